import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.guardrails import Direction
from gateway.domain.verdict_text import (
    GRAVITY,
    MAX_HEADER_BYTES,
    MAX_LABELS_CHARACTERS,
    MAX_RECORD_CHARACTERS,
    header_of,
    labels_of,
    line_of,
    read_line,
    to_document,
)
from gateway.domain.verdicts import Outcome, Verdict

MAIL = Verdict("mask-pii", Direction.MESSAGES, Outcome.REDACTED, "email", None, 0.98, 2, 412, 0.2, "two addresses", "personal")
CLEAR = Verdict("shield-prompts", Direction.MESSAGES, Outcome.PASSED, score=0.0, scanned=412, ms=0.875)
HARM = Verdict("content-safety", Direction.OUTPUT, Outcome.BLOCKED, "hate", 4, count=1, scanned=20, ms=31.0)

ITEM = r"(?:[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*|\"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\"\\])*\"|-?\d{1,12}\.\d{1,3}|-?\d{1,15})"
MEMBER = re.compile(rf"{ITEM}(?:;[a-z*][a-z0-9_.*-]*={ITEM})*")  # RFC 9651, 4.1: an item with parameters

words = st.text(max_size=200)
scores = st.none() | st.floats(0, 1)
all_verdicts = st.builds(
    Verdict,
    guard=words,
    direction=st.sampled_from(Direction),
    outcome=st.sampled_from(Outcome),
    category=words,
    severity=st.none() | st.integers(0, 7),
    score=scores,
    count=st.integers(0, 10**6),
    scanned=st.integers(0, 10**9),
    ms=st.floats(0, 1e6),
    reason=words,
    label=words,
)


def test_the_header_is_written_as_documented() -> None:
    assert header_of([MAIL, CLEAR, HARM]) == (
        "mask-pii;on=messages;is=redacted;category=email;count=2;score=0.98;scanned=412;label=personal;ms=0.2, "
        "shield-prompts;on=messages;is=passed;score=0.0;scanned=412;ms=0.875, "
        "content-safety;on=output;is=blocked;category=hate;count=1;severity=4;scanned=20;ms=31.0"
    )


def test_without_verdicts_there_is_nothing_to_say() -> None:
    assert (header_of([]), line_of([]), labels_of([]), read_line("")) == ("", "", "", ())


def test_the_record_says_the_same_with_the_reason_and_can_be_read_again() -> None:
    assert read_line(line_of([MAIL, CLEAR])) == (MAIL, CLEAR)


def test_the_record_has_no_more_digits_than_mean_something() -> None:
    (read,) = read_line(line_of([Verdict("g", Direction.OUTPUT, Outcome.PASSED, score=1 / 3, ms=2 / 3)]))
    assert (read.score, read.ms) == (0.3333, 0.667)


def test_a_word_of_nothing_but_escapes_still_has_room() -> None:
    nasty = Verdict("\x00" * 200, Direction.OUTPUT, Outcome.PASSED, "\x01" * 200, reason='"' * 500, label="\x7f" * 200)
    assert len(read_line(line_of([nasty]))) == 1
    assert header_of([nasty])


def test_an_explanation_leaves_out_what_is_not_said() -> None:
    assert to_document(HARM) == {
        "guard": "content-safety", "direction": "output", "outcome": "blocked", "category": "hate", "severity": 4, "count": 1,
        "scanned": 20, "ms": 31.0,
    }  # fmt: skip


def test_gravity_ranks_every_outcome() -> None:
    assert set(GRAVITY) == set(Outcome)


@pytest.mark.parametrize("text", ["1st", "two words", 'a"b\\c', "ü", "a\r\nx-evil: 1", "a,b;c=d", ""])
def test_a_word_that_is_no_token_cannot_break_out_of_the_header(text: str) -> None:
    header = header_of([Verdict("g", Direction.OUTPUT, Outcome.REPORTED, category=text, count=1), CLEAR])
    assert header.isascii()
    assert header.isprintable()
    assert MEMBER.fullmatch(header.removesuffix(f", {header_of([CLEAR])}"))


@given(st.lists(all_verdicts, max_size=40))
def test_the_header_is_always_a_list_of_whole_members_and_short(verdicts: list[Verdict]) -> None:
    header = header_of(verdicts)
    assert len(header.encode("ascii")) <= MAX_HEADER_BYTES
    assert bool(header) == bool(verdicts)
    rest = header
    while rest:
        found = MEMBER.match(rest)
        assert found
        rest = rest[found.end() :]
        assert not rest or rest.startswith(", ")
        rest = rest.removeprefix(", ")


@given(st.lists(all_verdicts, max_size=40))
def test_the_record_is_always_short_and_keeps_the_gravest(verdicts: list[Verdict]) -> None:
    line = line_of(verdicts)
    assert len(line) <= MAX_RECORD_CHARACTERS
    kept = read_line(line)
    assert bool(kept) == bool(verdicts)
    worst = sorted(GRAVITY.index(each.outcome) for each in verdicts)[: len(kept)]
    assert sorted(GRAVITY.index(each.outcome) for each in kept) == worst


def test_what_is_kept_stays_in_its_order() -> None:
    verdicts = [Verdict(f"guard-{n}", Direction.OUTPUT, Outcome.BLOCKED if n % 2 else Outcome.PASSED) for n in range(80)]
    header = header_of(verdicts)
    names = re.findall(r"guard-(\d+)", header)
    assert names == sorted(names, key=int)
    assert [name for name in names if int(name) % 2] == [str(n) for n in range(1, 80, 2)]
    assert len(names) < 80


def test_labels_are_there_once_and_cut_between_two() -> None:
    verdicts = [Verdict("g", Direction.MESSAGES, Outcome.REPORTED, label=label) for label in ("secret", "personal", "secret", "")]
    assert labels_of(verdicts) == "personal,secret"
    many = [Verdict("g", Direction.MESSAGES, Outcome.REPORTED, label=f"label-{n:02}") for n in range(50)]
    assert len(labels_of(many)) <= MAX_LABELS_CHARACTERS
    assert all(re.fullmatch(r"label-\d\d", each) for each in labels_of(many).split(","))


def test_labels_that_just_fit_are_all_kept() -> None:
    labels = [f"{n:02}{'x' * 62}" for n in range(3)] + [f"03{'x' * 59}"]
    verdicts = [Verdict("g", Direction.MESSAGES, Outcome.REPORTED, label=label) for label in labels]
    assert labels_of(verdicts) == ",".join(labels)
    assert len(labels_of(verdicts)) == MAX_LABELS_CHARACTERS
