"""Content Safety's verdict of a text of any length is that of its worst part; what could not be judged never passes."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.guardrails import ContentSafety
from gateway.domain.verdicts import Analysis, Passage, Reading, Role
from gateway.errors import GuardrailUnavailable
from gateway.guardrails.services.content_safety import LIMIT, ContentSafetyService, parts_of, worst
from gateway.guardrails.services.remembered import Remembered
from tests.fakes.clock import FakeClock
from tests.fakes.safety import MARK, FakeSafety

CONFIG = ContentSafety(id="safe", hate=2, sexual=4, violence=6, self_harm=0, blocklists=("rivals",))


def passage(text: str, role: Role = Role.USER) -> Passage:
    return Passage(("messages", 0, "content"), text, role)


def service(safety: FakeSafety, config: ContentSafety = CONFIG, memory: Remembered | None = None) -> ContentSafetyService:
    return ContentSafetyService(config, safety, memory or Remembered(FakeClock()))


async def inspect(safety: FakeSafety, *texts: str, **over: Any) -> list[Reading]:
    return await service(safety, **over).inspect([passage(text) for text in texts], tenant="contoso")


def found(reading: Reading) -> list[tuple[str, int | None]]:
    return [(each.category, each.severity) for each in reading.findings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing", []),
        ("", []),
        (" \n", []),
        ("sim-hate-2", [("hate", 2)]),
        ("sim-sexual-2", []),
        ("sim-sexual-4 sim-violence-6 sim-hate-2", [("violence", 6), ("sexual", 4), ("hate", 2)]),
        ("sim-selfharm-6", []),
        ("sim-blocked", [("blocklist.rivals", None)]),
        ("sim-blocked sim-hate-4", [("hate", 4), ("blocklist.rivals", None)]),
    ],
)
async def test_a_finding_is_what_reaches_its_threshold(text: str, expected: list[Any]) -> None:
    (reading,) = await inspect(FakeSafety(), text)
    assert found(reading) == expected
    assert all((each.start, each.end) == (0, len(text)) for each in reading.findings)
    assert not any(word in each.reason for each in reading.findings for word in text.split())


async def test_a_blocklists_hit_can_spare_the_rest() -> None:
    config = ContentSafety(id="safe", blocklists=("rivals",), halt_on_blocklist=True)
    (reading,) = await inspect(FakeSafety(), "sim-blocked sim-hate-6", config=config)
    assert found(reading) == [("blocklist.rivals", None)]


async def test_eight_levels_are_finer() -> None:
    (reading,) = await inspect(FakeSafety(), "sim-hate-5", config=ContentSafety(id="safe", hate=5, levels=8))
    assert found(reading) == [("hate", 5)]


FILLER = st.tuples(st.sampled_from(["word ", "x", "日本", "\n ", "😀"]), st.integers(0, 3000)).map(lambda each: each[0] * each[1])
WORD = st.sampled_from(["sim-hate-2", "sim-hate-6", "sim-violence-4", "sim-sexual-6", "sim-blocked"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(FILLER, WORD), max_size=4), FILLER)
async def test_a_long_text_has_the_verdict_that_it_would_have_in_one_piece(parts: list[tuple[str, str]], last: str) -> None:
    text = "".join(filler + word for filler, word in parts) + last
    safety = FakeSafety()
    (reading,) = await inspect(safety, text)
    severities: dict[str, int] = {}
    for name, severity in MARK.findall(text):
        severities[name] = max(severities.get(name, 0), int(severity))
    expected = {(name, severity) for name, severity in severities.items() if severity >= {"hate": 2, "sexual": 4, "violence": 6}[name]}
    assert {each for each in found(reading) if each[1]} == expected
    assert (("blocklist.rivals", None) in found(reading)) == ("sim-blocked" in text)


ANALYSIS = st.builds(
    Analysis,
    severities=st.dictionaries(st.sampled_from(["Hate", "Violence"]), st.integers(0, 7)),
    blocklists=st.lists(st.sampled_from("ab"), unique=True).map(tuple),
)


@given(st.lists(ANALYSIS, max_size=5), st.integers(0, 5))
def test_the_worst_of_a_whole_is_the_worst_of_its_parts_however_it_was_cut(parts: list[Analysis], place: int) -> None:
    whole = worst(parts)
    halves = worst([worst(parts[:place]), worst(parts[place:])])
    assert (whole.severities, set(whole.blocklists)) == (halves.severities, set(halves.blocklists))
    assert all(whole.severities[name] >= severity for each in parts for name, severity in each.severities.items())
    assert all(any(each.severities.get(name) == severity for each in parts) for name, severity in whole.severities.items())


async def test_each_passage_has_its_own_reading_in_its_place() -> None:
    long = "word " * 3000
    readings = await inspect(FakeSafety(), "fine", long + "sim-hate-4", "", "sim-hate-2")
    assert [found(each) for each in readings] == [[], [("hate", 4)], [], [("hate", 2)]]


async def test_white_space_is_not_sent() -> None:
    safety = FakeSafety()
    await inspect(safety, " " * 30_000 + "x", "", "\n")
    assert len(safety.asked) == 1
    assert parts_of(" " * LIMIT) == []


async def test_only_new_turns_are_asked_about_whatever_the_threshold_is_now() -> None:
    safety, memory = FakeSafety(), Remembered(FakeClock())
    turns = ["sim-hate-2", "second", "third"]
    for count in (1, 2, 3):
        await inspect(safety, *turns[:count], memory=memory)
    assert safety.asked == turns
    stricter = ContentSafety(id="other", hate=4, sexual=1, violence=1, self_harm=0, blocklists=("rivals",))
    (reading,) = await inspect(safety, turns[0], config=stricter, memory=memory)
    assert (found(reading), safety.asked) == ([], turns)
    await inspect(safety, turns[0], config=ContentSafety(id="safe"), memory=memory)
    assert len(safety.asked) == 4


@pytest.mark.parametrize("over", [{"blocklists": ("a",)}, {"halt_on_blocklist": True}, {"levels": 8}, {"self_harm": 2}], ids=str)
async def test_another_question_about_the_same_text_is_asked(over: dict[str, Any]) -> None:
    safety, memory = FakeSafety(), Remembered(FakeClock())
    for config in (CONFIG, CONFIG, msgspec.structs.replace(CONFIG, **over)):
        await inspect(safety, "text", config=config, memory=memory)
    assert len(safety.asked) == 2


async def test_what_another_tenant_sent_is_asked_again() -> None:
    safety = FakeSafety()
    guard = service(safety)
    for tenant in ("contoso", "fabrikam", "contoso"):
        await guard.inspect([passage("text")], tenant=tenant)
    assert safety.asked == ["text", "text"]


async def test_one_failing_chunk_is_a_failing_whole_and_the_next_try_asks_for_the_rest() -> None:
    safety, memory = FakeSafety(), Remembered(FakeClock())
    safety.faulty = "wrong"
    text = "word " * 5000 + "wrong"
    with pytest.raises(GuardrailUnavailable):
        await inspect(safety, text, memory=memory)
    before = len(safety.asked)
    safety.faulty = ""
    (reading,) = await inspect(safety, text, memory=memory)
    assert reading == Reading()
    assert len(safety.asked) < 2 * before


async def test_a_call_that_ends_takes_its_questions_with_it() -> None:
    safety = FakeSafety()
    safety.gate = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await inspect(safety, "x" * 50_000)
    assert safety.cancelled == len(safety.asked) > 1


async def test_one_that_looks_for_nothing_says_so_and_lets_nothing_pass() -> None:
    with pytest.raises(GuardrailUnavailable, match="looks for nothing"):
        await inspect(FakeSafety(), "text", config=ContentSafety(id="idle", hate=0, sexual=0, violence=0, self_harm=0))
