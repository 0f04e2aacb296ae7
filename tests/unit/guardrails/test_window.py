"""A window, case by case: what is released, what is held, and what several detectors make of one text."""

import re
from collections.abc import Sequence

import pytest

from gateway.domain.verdicts import NOTHING_FOUND, Finding, Reading
from gateway.guardrails.streams.window import CONTEXT, Window, left_context


class Pattern:
    """A detector: `finds` is what it finds, `opens` what at the end of a text could become that."""

    def __init__(self, finds: str, opens: str, mask: str = "[A]", *, blocks: bool = False) -> None:
        self.finds = re.compile(finds)
        self.opens = re.compile(opens)
        self.mask = mask
        self.blocks = blocks
        self.redacts = not blocks
        self.context = CONTEXT
        self.counted: list[tuple[int, int]] = []
        self.reads = 0

    def read(self, text: str) -> Reading:
        self.reads += 1
        return Reading(tuple(Finding(found.start(), found.end(), "a") for found in self.finds.finditer(text)))

    def scan(self, text: str, start: int) -> tuple[Reading, int]:
        found = self.opens.search(text)
        place = found.start() if found else len(text)
        return (self.read(text) if place > start else NOTHING_FOUND), place

    def replacement(self, finding: Finding, original: str) -> str:
        return self.mask

    def count(self, findings: Sequence[Finding], characters: int) -> None:
        self.counted.append((len(findings), characters))


def digits(**over: bool) -> Pattern:
    return Pattern(r"\d{4}", r"\d{1,3}$", "[D]", **over)


def ending(**over: bool) -> Pattern:
    """Begins inside four digits, and goes on behind them."""
    return Pattern(r"4!+x", r"4!*$", "[E]", **over)


def fed(pieces: Sequence[str], *readers: Pattern) -> tuple[list[str], Window]:
    window = Window(readers)
    return [*(window.push(piece) for piece in pieces), window.flush()], window


def test_a_finding_that_another_detector_may_still_add_to_is_held_whole() -> None:
    out, _ = fed(["ab1234", "!!", "x c"], digits(), ending())
    assert out == ["ab", "", "[D] c", ""]
    assert fed(["ab1234", "!!", "y c"], digits(), ending())[0] == ["ab", "", "[D]!!y c", ""]


def test_a_finding_that_blocks_counts_for_nothing_where_an_earlier_guardrail_redacts_all_of_it() -> None:
    inner = Pattern("23", "2$", blocks=True)
    assert fed(["a1234b"], digits(), inner)[0] == ["a[D]b", ""]
    assert inner.counted == [(1, 6)]
    out, window = fed(["a1234b"], Pattern("23", "2$", blocks=True), digits())
    assert out == ["a[D]", ""]
    assert window.blocked == 0
    out, window = fed(["a1234!x"], digits(), ending(blocks=True))
    assert (out, window.blocked) == (["a[D]", ""], 1)


def test_what_nothing_can_come_of_is_released_at_once() -> None:
    assert fed("so it", digits())[0] == ["s", "o", " ", "i", "t", ""]


def test_nothing_follows_a_finding_that_blocks() -> None:
    out, window = fed(["so 12", "34 no", "more"], digits(blocks=True))
    assert out == ["so ", "", "", ""]
    assert window.blocked == 0
    assert window.held == 0


def test_a_long_open_stretch_is_read_again_only_when_it_has_grown() -> None:
    reader = Pattern("<[^>]*>", "<[^>]*$", "[X]")
    window = Window([reader])
    for _ in range(4000):
        assert window.push("<aaa") == ""
    opened = window.held
    assert window.push(">") + window.push("b" * 4000) == "[X]" + "b" * 4000
    assert reader.reads == 1
    assert opened == 16_000


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("short", "short"),
        ("x" * 30, "x" * 8),
        ("a bbb ccc ddddddd", " bbb ccc ddddddd"),
        ("yyyyyyyyyyyyyy yyyyy 12345678", " yyyyy 12345678"),
    ],
    ids=["all", "no word begins", "twice as long", "a word begins"],
)
def test_context_begins_with_a_word_where_one_does(text: str, kept: str) -> None:
    assert left_context(text, 8) == kept


def test_what_was_released_is_context_in_its_own_words() -> None:
    # Five digits are no finding: the one before, which was released, must be seen.
    reader = Pattern(r"(?<!\d)\d{4}(?!\d)", r"(?<!\d)\d{1,4}$", "[D]")
    assert fed(["1", "2345", "6789 1", "234 "], reader)[0] == ["", "12345", "6789 ", "[D] ", ""]
