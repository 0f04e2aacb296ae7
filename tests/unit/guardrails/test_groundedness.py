"""Answers are held against what their request brought with it, and against texts that are known."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.guardrails import Groundedness
from gateway.domain.verdicts import Passage, Reading, Role
from gateway.errors import GuardrailUnavailable
from gateway.guardrails.services.groundedness import LIMIT, MOST_SOURCES, GroundednessService, query_of, sources_of
from gateway.guardrails.services.protected_material import MIN_CHARACTERS, ProtectedMaterialService
from gateway.guardrails.services.remembered import Remembered
from tests.fakes.clock import FakeClock
from tests.fakes.safety import FakeSafety

QUESTION = "what does it cost"
FALSE = "sim-ungrounded."


def passage(role: Role, text: str) -> Passage:
    return Passage((), text, role)


SOURCES = [
    passage(Role.SYSTEM, "be kind"),
    passage(Role.USER, QUESTION),
    passage(Role.TOOL, "It costs 3."),
    passage(Role.DOCUMENT, "Or 4."),
]


async def inspect(safety: FakeSafety, *texts: str, sources: Any = SOURCES, **over: Any) -> list[Reading]:
    memory = over.pop("memory", None) or Remembered(FakeClock())
    service = GroundednessService(Groundedness(id="true", **over), safety, memory)
    return await service.inspect([passage(Role.ASSISTANT, text) for text in texts], sources, tenant="contoso")


async def test_an_answer_is_held_against_tool_results_and_documents_with_the_users_question() -> None:
    safety = FakeSafety()
    readings = await inspect(safety, "It costs 3.", FALSE + "x" * 15)
    assert [(each.findings and each.findings[0].category, each.score) for each in readings] == [((), 0.0), ("ungrounded", 0.5)]
    assert readings[1].findings[0].reason == "50% of it is not founded on the request's documents and tool results"
    assert safety.asked[0] == ("It costs 3.", ["It costs 3.", "Or 4."], QUESTION, "QnA")


@pytest.mark.parametrize("sources", [[], [passage(Role.USER, QUESTION)], [passage(Role.TOOL, " ")]])
async def test_without_sources_nothing_is_asked_and_nothing_said(sources: list[Passage]) -> None:
    safety = FakeSafety()
    assert await inspect(safety, FALSE, "", sources=sources) == [Reading(), Reading()]
    assert safety.asked == []


@pytest.mark.parametrize(("query", "task"), [("why", "Summarization"), ("", "Summarization"), ("and the price", "QnA")])
async def test_what_is_no_question_for_the_service_makes_it_a_summary(query: str, task: str) -> None:
    safety = FakeSafety()
    await inspect(safety, "text", sources=[passage(Role.USER, query), passage(Role.TOOL, "source")])
    assert safety.asked[0][3] == task


async def test_a_share_up_to_the_threshold_passes() -> None:
    text = FALSE + "x" * 15
    assert [bool((await inspect(FakeSafety(), text, threshold=share))[0].findings) for share in (0.49, 0.5)] == [True, False]


@given(st.lists(st.sampled_from(["It is so. ", f"Wrong {FALSE} "]), max_size=3), st.integers(0, 4000))
async def test_a_long_answer_is_unfounded_where_any_part_of_it_is(sentences: list[str], words: int) -> None:
    text = "".join(sentence + "word " * words for sentence in sentences)
    (reading,) = await inspect(FakeSafety(), text)
    assert bool(reading.findings) == (FALSE in text)
    assert not sentences or 0 <= (reading.score or 0) <= 1


async def test_what_one_of_many_sources_supports_is_founded() -> None:
    safety = FakeSafety()
    sources = [passage(Role.TOOL, "x" * MOST_SOURCES), passage(Role.DOCUMENT, f"it says {FALSE}")]
    (reading,) = await inspect(safety, FALSE, sources=sources)
    assert (reading.findings, len(safety.asked)) == ((), 2)


@given(st.lists(st.tuples(st.sampled_from(Role), st.integers(0, 2 * MOST_SOURCES)), max_size=6))
def test_sources_fit_into_their_questions(sizes: list[tuple[Role, int]]) -> None:
    passages = [passage(role, chr(97 + index) * size) for index, (role, size) in enumerate(sizes)]
    bundles = sources_of(passages)
    assert all(0 < sum(map(len, each)) <= MOST_SOURCES for each in bundles)
    held = {text[0] for each in bundles for text in each}
    assert held == {chr(97 + index) for index, (role, size) in enumerate(sizes) if size and role in (Role.TOOL, Role.DOCUMENT)}


def test_the_question_is_the_last_that_the_user_asked_and_of_a_long_one_the_end() -> None:
    said = [passage(Role.USER, "first"), passage(Role.USER, "x" * LIMIT + "why?"), passage(Role.USER, " "), passage(Role.TOOL, "t")]
    assert query_of(said).endswith("xwhy?")
    assert len(query_of(said)) == LIMIT


async def test_the_same_answer_to_other_sources_is_asked_again() -> None:
    safety, memory = FakeSafety(), Remembered(FakeClock())
    for sources in (SOURCES, SOURCES, SOURCES[:3]):
        await inspect(safety, "text", sources=sources, memory=memory)
    assert len(safety.asked) == 2


async def test_a_failing_part_is_a_failing_whole() -> None:
    safety = FakeSafety()
    safety.faulty = "wrong"
    with pytest.raises(GuardrailUnavailable):
        await inspect(safety, "word " * 3000 + "wrong")


async def material(safety: FakeSafety, *texts: str, memory: Remembered | None = None) -> list[str]:
    service = ProtectedMaterialService(safety, memory or Remembered(FakeClock()))
    readings = await service.inspect([passage(Role.ASSISTANT, text) for text in texts], tenant="contoso")
    return ["".join(each.category for each in reading.findings) for reading in readings]


@pytest.mark.parametrize("words", [30, 3000, 30_000])
async def test_a_known_text_is_found_in_answers_of_any_length(words: int) -> None:
    assert await material(FakeSafety(), "word " * words, "word " * words + "sim-lyrics") == ["", "protected_material"]


async def test_what_is_too_short_to_be_known_is_not_sent() -> None:
    safety = FakeSafety()
    assert await material(safety, "x" * MIN_CHARACTERS, "", "x" * (MIN_CHARACTERS + 1)) == ["", "", ""]
    assert len(safety.asked) == 1


async def test_known_texts_are_asked_about_once_and_failures_again() -> None:
    safety, memory = FakeSafety(), Remembered(FakeClock())
    text = "word " * 30
    safety.faulty = "word"
    with pytest.raises(GuardrailUnavailable):
        await material(safety, text, memory=memory)
    safety.faulty = ""
    for _ in range(2):
        await material(safety, text, memory=memory)
    assert len(safety.asked) == 2
