"""What detectors have read before is not read again, and only that."""

from collections.abc import Sequence

import pytest

from gateway.domain.guardrails import Action, Direction, Terms
from gateway.domain.verdicts import NOTHING_FOUND, Finding, Passage, Reading, Role, Verdict
from gateway.guardrails.chain import Chain, Side
from gateway.guardrails.kinds import Guard
from gateway.guardrails.seen import Seen
from tests.fakes.clock import FakeClock


class Reader:
    """Remembers what it was given; finds `bad`."""

    spans = True

    def __init__(self) -> None:
        self.read_texts: list[str] = []

    def read(self, text: str, role: Role = Role.USER) -> Reading:
        self.read_texts.append(text)
        at = text.find("bad")
        return Reading((Finding(at, at + 3, "bad"),)) if at >= 0 else NOTHING_FOUND

    def open_from(self, text: str) -> int:
        return len(text)

    def replacement(self, finding: Finding, original: str) -> str:
        return "[X]"


def turns(*texts: str, role: Role = Role.USER) -> list[Passage]:
    return [Passage(("messages", index, "content"), text, role) for index, text in enumerate(texts)]


async def run(seen: Seen, reader: Reader, passages: Sequence[Passage], tenant: str = "contoso", *, output: bool = False) -> list[Verdict]:
    guard = Guard(Terms(id="t", terms=("x",)), frozenset(Direction), Action.REDACT, detector=reader)
    verdicts: list[Verdict] = []
    await Chain([guard], tenant, FakeClock(), verdicts.append, seen=seen).run(Side(passages, output=output))
    return verdicts


async def test_earlier_turns_are_read_once_and_the_newest_each_time() -> None:
    seen, reader = Seen(), Reader()
    await run(seen, reader, turns("one"))
    await run(seen, reader, turns("one", "two"))
    (verdict,) = await run(seen, reader, turns("one", "two", "three"))
    assert reader.read_texts == ["one", "one", "two", "two", "three"]
    assert verdict.scanned == len("onetwothree")


async def test_a_text_with_a_finding_is_read_each_time_and_found_each_time() -> None:
    seen, reader = Seen(), Reader()
    for _ in range(2):
        (verdict,) = await run(seen, reader, turns("bad", "two"))
        assert verdict.count == 1
    assert reader.read_texts.count("bad") == 2


@pytest.mark.parametrize("other", ["tenant", "role", "detector", "output"])
async def test_nothing_is_taken_over_from_another(other: str) -> None:
    seen, reader, again = Seen(), Reader(), Reader()
    await run(seen, reader, turns("one", "two"))
    second = again if other == "detector" else reader
    before = len(second.read_texts)
    role = Role.ASSISTANT if other == "role" else Role.USER
    await run(seen, second, turns("one", "three", role=role), "fabrikam" if other == "tenant" else "contoso", output=other == "output")
    assert second.read_texts[before:] == ["one", "three"]


async def test_half_a_surrogate_pair_can_be_known_again() -> None:
    seen, reader = Seen(), Reader()
    for _ in range(2):
        await run(seen, reader, turns("\ud83d", "two"))
    assert reader.read_texts.count("\ud83d") == 1


def test_what_is_asked_for_stays_and_the_rest_goes() -> None:
    seen = Seen(entries=10)
    for number in range(35):
        seen.put(number, NOTHING_FOUND)
        assert seen.get(0) is NOTHING_FOUND
    assert seen.get(5) is None
