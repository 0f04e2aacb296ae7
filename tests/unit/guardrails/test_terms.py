"""Terms are found however they are written, where they are whole words, and never slip through a stream."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guardrails.rules.terms import MAX_TERMS, TermsDetector, check_terms
from tests.unit.guardrails.laws import leaks, redacted, spans

TERMS = ("Acme", "über", "foo bar", "AT&T", ".NET", "C++", "中国", "삼성", "ガ", "straße", "node.js", "café")


def found(text: str, *terms: str) -> list[str]:
    return [text[start:end] for start, end in spans(TermsDetector(terms or TERMS, "term", "[X]").read(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ACME, acme and Acme", ["ACME", "acme", "Acme"]),
        ("acmes, macme, acme2", []),
        ("(acme) _Acme_ acme's", ["acme", "Acme", "acme"]),
        ("ÜBER uber ü\u0062er u\u0308ber", ["ÜBER", "über", "u\u0308ber"]),
        ("foo \n\u00a0\u3000bar; foobar; foo-bar", ["foo \n\u00a0\u3000bar"]),
        ("at&t at & t", ["at&t"]),
        ("asp.net, .netto", [".net"]),
        ("c++ c+ c++11", ["c++", "c++"]),
        ("我爱中国acme啊", ["中国", "acme"]),
        ("삼성은 좋다", ["삼성"]),
        ("\uff76\uff9e カ ガ カ\u3099", ["\uff76\uff9e", "ガ", "カ\u3099"]),
        ("STRASSE straße", ["STRASSE", "straße"]),
        ("Node.js nodexjs", ["Node.js"]),
        ("ＡＣＭＥ ⒶⒸⓂⒺ", ["ＡＣＭＥ", "ⒶⒸⓂⒺ"]),
        ("a\u200bc\u00adm\u2060e\ufe0f!", ["a\u200bc\u00adm\u2060e"]),
        ("\ud800acme\udfff", ["acme"]),
        ("cafe cafés CAFÉ cafe\u0301", ["CAFÉ", "cafe\u0301"]),
        ("", []),
    ],
)
def test_a_term_is_found_as_a_whole_word_however_it_is_written(text: str, expected: list[str]) -> None:
    assert found(text) == expected


def test_of_terms_that_begin_together_the_longest_that_is_whole_is_found() -> None:
    assert found("foo bar baz", "foo", "foo bar", "foo bar b") == ["foo bar"]
    assert found("foo barn", "foo", "foo bar") == ["foo"]
    assert found(".net and net", "net", ".net") == [".net", "net"]


def test_terms_side_by_side_are_all_found() -> None:
    assert found("foo foo\tfoo,foo", "foo") == ["foo"] * 4
    assert found("中国中国foo中国", "中国", "foo") == ["中国", "中国", "foo", "中国"]


def test_a_finding_names_its_category_and_repeats_nothing() -> None:
    (finding,) = TermsDetector(("Acme", "Globex"), "competitor", "[X]").read("we prefer acme").findings
    assert (finding.category, finding.reason) == ("competitor", "one of 2 listed terms")


SMALL = st.lists(st.sampled_from(["a", "b", "ab", "a b", "b a", "a.b", "é", "中", "中b", "+a", "aab b"]), min_size=1, max_size=4)
TEXTS = st.lists(st.sampled_from([*"ab .+_é中", "e\u0301", "  ", "\u200b", "A", "\uff42", "\u0301"]), max_size=14).map("".join)


@given(terms=SMALL, text=st.text(alphabet="ab c.+", max_size=40))
def test_in_plain_text_the_terms_are_those_of_a_plain_search(terms: list[str], text: str) -> None:
    terms.append("ab")
    branches = []
    for term in sorted(set(terms), key=len, reverse=True):
        if not term.isascii():
            continue
        before, after = r"(?<![a-z0-9])" * term[0].isalnum(), r"(?![a-z0-9])" * term[-1].isalnum()
        branches.append(before + " +".join(map(re.escape, term.split(" "))) + after)
    expected = [match.span() for match in re.finditer("|".join(branches), text)]
    assert spans(TermsDetector(terms, "t", "[X]").read(text)) == expected


DISGUISES = (
    str.upper,
    str.title,
    lambda text: unicodedata.normalize("NFD", text),
    lambda text: "".join(chr(ord(each) + 0xFEE0) if "!" <= each <= "~" else each for each in text),
    lambda text: text.replace(" ", "\u2003\t "),
)


@given(
    term=st.sampled_from(TERMS),
    disguise=st.sampled_from(DISGUISES),
    invisible=st.lists(st.sampled_from(["", "", "\u200b", "\u00ad", "\u2066", "\U000e0041"]), min_size=24, max_size=24),
    around=st.tuples(st.text(alphabet="xé ,.-\n", max_size=8), st.text(alphabet="xé ,.-\n", max_size=8)),
)
def test_no_letter_case_spelling_or_invisible_character_hides_a_term(
    term: str, disguise: object, invisible: list[str], around: tuple[str, str]
) -> None:
    shown = disguise(term)  # type: ignore[operator]
    hidden = shown[0] + "".join(
        each if unicodedata.combining(each) or "\u1161" <= each <= "\u11ff" else extra + each
        for each, extra in zip(shown[1:], invisible, strict=False)
    )
    text = f"{around[0]} {hidden} {around[1]}"
    start = len(around[0]) + 1
    assert (start, start + len(hidden)) in spans(TermsDetector(TERMS, "t", "[X]").read(text))


@given(terms=SMALL, text=TEXTS)
def test_no_split_of_a_stream_lets_a_part_of_a_term_through(terms: list[str], text: str) -> None:
    assert leaks(TermsDetector(terms, "t", "[X]"), text) == []


@given(text=TEXTS)
def test_findings_are_ordered_and_do_not_overlap(text: str) -> None:
    edges = [place for span in spans(TermsDetector((*TERMS, "a b", "b", "中"), "t", "[X]").read(text)) for place in span]
    assert edges == sorted(edges)
    assert all(0 <= place <= len(text) for place in edges)


@given(terms=SMALL, text=TEXTS, replacement=st.sampled_from(["[REDACTED]", "[a b]", "<a>", "*"]))
def test_what_was_redacted_is_not_found_again(terms: list[str], text: str, replacement: str) -> None:
    detector = TermsDetector(terms, "t", replacement)
    once = redacted(detector, text)
    assert redacted(detector, once) == once


def test_a_replacement_hides_nothing_that_stands_beside_it() -> None:
    assert spans(TermsDetector(("REDACTED", "Acme"), "t", "[REDACTED]").read("[REDACTED] Acme REDACTED [REDACTED]")) == [(11, 15), (16, 24)]


def test_what_cannot_become_a_term_is_released_at_once() -> None:
    detector = TermsDetector(("Acme Corp",), "t", "[X]")
    assert [detector.open_from(text) for text in ("nothing ", "an ac", "acme  ", "acme corp", "acme corp ", "xacme", "acme cord")] == [
        8, 3, 0, 0, 10, 5, 9,
    ]  # fmt: skip


def test_a_long_run_of_spaces_inside_a_phrase_is_held_with_it() -> None:
    assert TermsDetector(("foo bar",), "t", "[X]").open_from("x foo" + " " * 5000) == 2


def test_thousands_of_terms_are_one_automaton() -> None:
    terms = [f"term{index} of {index % 7}" for index in range(MAX_TERMS)]
    detector = TermsDetector(terms, "t", "[X]")
    assert spans(detector.read("TERM9999 of 3, term1 of 2, term12 of 5")) == [(0, 13), (27, 38)]


@pytest.mark.parametrize(
    ("terms", "fault"),
    [
        ((), "must have 1 to 10000 terms, not 0"),
        (("a", "\u200b "), "[1] has no visible character"),
        (("a", "b" * 257), "[1] has 257 characters; a term has at most 256"),
        (["a"] * 10_001, "must have 1 to 10000 terms, not 10001"),
        (("a",), None),
    ],
)
def test_a_list_that_is_none_is_refused_with_the_reason(terms: tuple[str, ...], fault: str | None) -> None:
    assert check_terms(terms) == fault
    if fault is not None:
        with pytest.raises(ValueError, match=re.escape(fault)):
            TermsDetector(terms, "t", "[X]")


def test_the_end_of_a_phrase_that_may_begin_another_is_held_with_the_phrase() -> None:
    detector = TermsDetector(("foo bar", "bar baz"), "t", "[X]")
    assert detector.open_from("x foo bar ") == 2
    assert spans(detector.read("x foo bar baz")) == [(2, 9)]
