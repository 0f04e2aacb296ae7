"""Prompt Shields gets users' words as prompts, tools' and documents' as documents, in as few questions as fit."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.verdicts import Passage, Reading, Role
from gateway.errors import GuardrailUnavailable
from gateway.guardrails.services.content_safety import LIMIT
from gateway.guardrails.services.remembered import Remembered
from gateway.guardrails.services.shields import MOST_DOCUMENTS, PromptShields, packed
from tests.fakes.clock import FakeClock
from tests.fakes.safety import FakeSafety

ATTACK = "sim-attack"


def passages(*said: tuple[Role, str]) -> list[Passage]:
    return [Passage(("messages", index), text, role) for index, (role, text) in enumerate(said)]


async def inspect(safety: FakeSafety, *said: tuple[Role, str], memory: Remembered | None = None, tenant: str = "contoso") -> list[Reading]:
    return await PromptShields(safety, memory or Remembered(FakeClock())).inspect(passages(*said), tenant=tenant)


def categories(readings: list[Reading]) -> list[str]:
    return ["".join(each.category for each in reading.findings) for reading in readings]


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (Role.USER, "jailbreak"),
        (Role.TOOL, "indirect_attack"),
        (Role.DOCUMENT, "indirect_attack"),
        (Role.SYSTEM, ""),
        (Role.ASSISTANT, ""),
    ],
)
async def test_an_attack_is_named_by_whose_words_hold_it(role: Role, expected: str) -> None:
    safety = FakeSafety()
    (reading,) = await inspect(safety, (role, f"a {ATTACK}"))
    assert categories([reading]) == [expected]
    assert len(safety.asked) == bool(expected)
    assert all((each.start, each.end) == (0, 12) for each in reading.findings)


async def test_prompts_and_documents_share_questions() -> None:
    safety = FakeSafety()
    said = [(Role.USER, "one"), (Role.TOOL, "a"), (Role.DOCUMENT, ATTACK), (Role.USER, "two"), (Role.SYSTEM, ATTACK)]
    assert categories(await inspect(safety, *said)) == ["", "", "indirect_attack", "", ""]
    assert safety.asked == [("one", ["a", ATTACK]), ("two", [])]


async def test_documents_alone_go_without_a_prompt() -> None:
    safety = FakeSafety()
    await inspect(safety, (Role.TOOL, "a"))
    assert safety.asked == [("", ["a"])]


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([], []),
        ([1], [[0]]),
        ([LIMIT], [[0]]),
        ([LIMIT, 1], [[0], [1]]),
        ([1, LIMIT], [[0], [1]]),
        ([4000, 6000], [[0, 1]]),
        ([4000, 6001], [[0], [1]]),
        ([1] * 5, [[0, 1, 2, 3, 4]]),
        ([1] * 6, [[0, 1, 2, 3, 4], [5]]),
        ([5000, 5000, 5000], [[0, 1], [2]]),
    ],
)
def test_documents_are_packed(lengths: list[int], expected: Any) -> None:
    assert packed(lengths) == expected


@given(st.lists(st.integers(1, LIMIT), max_size=40))
def test_every_document_is_in_one_question_and_every_question_within_the_limits(lengths: list[int]) -> None:
    bundles = packed(lengths)
    assert [index for each in bundles for index in each] == list(range(len(lengths)))
    assert all(len(each) <= MOST_DOCUMENTS and sum(lengths[index] for index in each) <= LIMIT for each in bundles)


PARTS = st.tuples(st.sampled_from(["word ", "x", "日本"]), st.integers(0, 4000)).map(lambda each: each[0] * each[1])
SAID = st.lists(st.tuples(st.sampled_from(Role), st.tuples(PARTS, st.sampled_from(["", ATTACK]), PARTS).map("".join)), max_size=7)


@given(SAID)
async def test_an_attack_in_any_part_is_one_of_the_whole_and_nowhere_else(said: list[tuple[Role, str]]) -> None:
    asked = {Role.USER: "jailbreak", Role.TOOL: "indirect_attack", Role.DOCUMENT: "indirect_attack"}
    expected = [asked.get(role, "") if ATTACK in text else "" for role, text in said]
    assert categories(await inspect(FakeSafety(), *said)) == expected


async def test_older_turns_are_remembered_and_new_ones_asked() -> None:
    safety, memory = FakeSafety(), Remembered(FakeClock())
    said = [(Role.USER, ATTACK), (Role.TOOL, ATTACK), (Role.USER, "later"), (Role.TOOL, "fresh")]
    for count in (1, 2, 3, 4, 4):
        readings = await inspect(safety, *said[:count], memory=memory)
    assert categories(readings) == ["jailbreak", "indirect_attack", "", ""]
    assert safety.asked == [(ATTACK, []), ("", [ATTACK]), ("later", []), ("", ["fresh"])]
    await inspect(safety, *said, memory=memory, tenant="fabrikam")
    assert len(safety.asked) == 6


async def test_one_failing_question_is_a_failing_whole_and_is_not_remembered() -> None:
    safety, memory = FakeSafety(), Remembered(FakeClock())
    safety.faulty = "wrong"
    said = [(Role.USER, "fine"), (Role.TOOL, "wrong"), (Role.USER, "wrong as well")]
    with pytest.raises(GuardrailUnavailable):
        await inspect(safety, *said, memory=memory)
    safety.faulty = ""
    assert categories(await inspect(safety, *said, memory=memory)) == ["", "", ""]
    assert sum("wrong" in str(each) for each in safety.asked) >= 3
