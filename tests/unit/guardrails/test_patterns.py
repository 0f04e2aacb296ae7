r"""Patterns cost what they may and no more, and what they match never slips through a stream."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guardrails.rules.patterns import PatternsDetector, check_pattern, longest
from gateway.guardrails.rules.patterns_length import length
from tests.unit.guardrails.laws import leaks, redacted, spans


def detector(*patterns: str, replacement: str = "[X]", window: int = 0) -> PatternsDetector:
    return PatternsDetector({f"p{index}": pattern for index, pattern in enumerate(patterns)}, replacement, window)


def test_findings_name_their_pattern_and_repeat_nothing() -> None:
    reading = PatternsDetector({"order": r"ORD-\d{4}", "case": r"(?i)case #\d+"}, "[X]", 0).read("ORD-1234 é Case #7 ORD-12")
    assert [(each.start, each.end, each.category) for each in reading.findings] == [(0, 8, "order"), (11, 18, "case")]
    assert {each.reason for each in reading.findings} == {"a listed pattern matches"}


def test_of_matches_that_overlap_all_is_covered_once() -> None:
    assert spans(detector("abc", "cde", "b").read("abcde")) == [(0, 3), (3, 5)]


def test_places_are_characters_whatever_the_text_is_made_of() -> None:
    assert spans(detector(r"\d{3}").read("é日\U0001f600\ud800123")) == [(4, 7)]


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        (r"(a+)+$", None),
        (r"[a-z]{3}-\pL{2,30}", None),
        ("x" * 1025, "has 1025 characters; a pattern has at most 1024"),
        (r"(x{1000}){1000}", "is no RE2 pattern: invalid repetition size: {1000}"),
        (r"(?:.{1,99}z){9}", "takes 900 steps and 8023 instructions; allowed are 500 and 40000: repeat less"),
        (r"a*", "matches the empty text; let it need at least one character"),
        (r"x|\b", "matches the empty text; let it need at least one character"),
        (r"\Q\E", "matches the empty text; let it need at least one character"),
        (r"(", "is no RE2 pattern: missing ): ("),
        (r"(?=a)b", "is no RE2 pattern: invalid perl operator: (?="),
        (r"a\Cb", r"must not hold \C, which matches parts of characters"),
        ("\ud800", "is no RE2 pattern: is not Unicode"),
    ],
)
def test_a_pattern_that_asks_for_too_much_is_refused_with_the_reason(pattern: str, fault: str | None) -> None:
    assert check_pattern(pattern) == fault
    if fault is not None:
        with pytest.raises(ValueError, match=re.escape(fault)):
            longest(pattern)
        with pytest.raises(ValueError, match=re.escape(f"p0: {fault}")):
            detector(pattern)


@pytest.mark.parametrize(
    ("pattern", "most"),
    [
        ("abc", 3),
        ("a|bcd|", 3),
        (r"[]a-z]{2}\d{3,4}", 6),
        (r"[^\]x]?[[:alpha:]\pL]", 2),
        (r"(?i)ab(?P<n>c|de)?", 4),
        (r"(?:ab|c{2,4})\p{Greek}\pN", 6),
        (r"\x{1F600}\x41\101\n", 4),
        (r"\bfoo\B$", 3),
        (r"^\Afoo\z", 3),
        (r"a{,3}", 5),
        (r"(?s:.)(?U)b??", 2),
        (r"a{2,}", None),
        (r"a+?", None),
        (r"(?:a|b*)c", None),
        (r"(?:^)*a", 1),
        (r"\Qa+\E", None),
    ],
)
def test_the_longest_match_is_read_from_the_pattern(pattern: str, most: int | None) -> None:
    assert length(pattern).most == most


ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^b]", r"\d", r"\b", "^", "$", r"\x61", r"\pL"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["?", "??", "{2}", "{1,3}", "{0,2}?"])).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    ),
    max_leaves=5,
)


@given(pattern=PATTERNS, text=st.text(alphabet="ab1 \n", max_size=12))
def test_no_match_is_shorter_or_longer_than_said(pattern: str, text: str) -> None:
    if check_pattern(pattern) is None:
        least, most, _ = length(pattern)
        assert most is not None
        assert all(least <= end - start <= most for start, end in spans(detector(pattern).read(text)))


@given(
    patterns=st.lists(PATTERNS.filter(lambda each: check_pattern(each) is None), min_size=1, max_size=2),
    text=st.text("ab1 \n", max_size=12),
)
def test_no_split_of_a_stream_lets_a_part_of_a_match_through(patterns: list[str], text: str) -> None:
    for pattern in patterns:
        assert leaks(detector(pattern), text) == []
    several = detector(*patterns)
    whole = [each for pattern in patterns for each in spans(detector(pattern).read(text))]
    for cut in range(len(text) + 1):
        place = several.open_from(text[:cut])
        known = {index for start, end in spans(several.read(text[:cut])) for index in range(start, end)}
        assert all(index in known for start, end in whole for index in range(start, min(end, place)))


ENDLESS = (r"a+b", r"b.*?1", r"(?s)a.+b", r"\ba\w*", r"a(?:b+|1)")


@given(pattern=st.sampled_from(ENDLESS), window=st.integers(1, 12), text=st.text(alphabet="ab1 \n", max_size=20))
def test_a_match_within_the_window_never_slips_through(pattern: str, window: int, text: str) -> None:
    found = detector(pattern, window=window)
    if all(end - start <= window for start, end in spans(found.read(text))):
        assert leaks(found, text) == []


@given(text=st.text(alphabet="ab1 \n", max_size=20))
def test_without_a_window_an_endless_pattern_holds_back_everything(text: str) -> None:
    assert detector(r"a+b", "1").open_from(text) == 0


def test_a_match_that_grows_is_held_whole_however_long_it_gets() -> None:
    assert detector(r"\d{4,}", window=8).open_from("x" + "1" * 500) == 1
    assert detector(r"\d{4,}", window=8).open_from("1" * 500 + "x" * 20) == 512


def test_a_bounded_pattern_holds_back_its_longest_match_and_one_character() -> None:
    assert detector(r"\d{3,4}", "ab").open_from("x" * 100) == 95


@given(text=st.text(alphabet="abX[]1 ", max_size=20), replacement=st.sampled_from(["[X]", "[ab1]", "<>"]))
def test_what_was_redacted_is_not_found_again(text: str, replacement: str) -> None:
    found = detector(r"[ab]{1,3}1?", "X", replacement=replacement)
    once = redacted(found, text)
    assert redacted(found, once) == once


HOSTILE = [
    (r"(a+)+$", "a" * 100_000 + "b"),
    (r"(a|aa)+c", "a" * 100_000),
    (r"(?:[ab]{0,20}a[ab]{14}){6}z", "ab" * 5000),
    (r"(?:a{0,99}){4}z", "a" * 10_000),
    (r"\s+$", " " * 100_000 + "x"),
]


@pytest.mark.parametrize(("pattern", "hostile"), HOSTILE)
def test_a_hostile_pattern_ends(pattern: str, hostile: str) -> None:
    assert detector(pattern).read(hostile).findings == ()  # Python's own engine would run into the suite's time limit
