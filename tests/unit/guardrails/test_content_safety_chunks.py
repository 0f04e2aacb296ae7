"""A text that is cut loses nothing: every character, and every phrase up to the overlap, is whole in some chunk."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.guardrails.services.chunks import OVERLAP, cut
from gateway.guardrails.services.content_safety import LIMIT

SMALL, LAP = 40, 12
LETTERS = st.sampled_from("ab \n\u3000日😀")
TEXT = st.text(LETTERS, max_size=SMALL) | st.text(LETTERS, min_size=SMALL + 1, max_size=5 * SMALL)


@given(TEXT)
def test_chunks_are_in_order_within_the_limit_and_reach_from_end_to_end(text: str) -> None:
    spans = cut(text, SMALL, LAP)
    assert all(0 < end - start <= SMALL for start, end in spans)
    assert spans == sorted(set(spans))
    if text:
        assert (spans[0][0], spans[-1][1]) == (0, len(text))
    assert all(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans))


@given(TEXT)
@example("x" * 400)
@example("日" * 41)
def test_what_is_no_longer_than_the_overlap_is_whole_in_a_chunk_wherever_it_stands(text: str) -> None:
    spans = cut(text, SMALL, LAP)
    for start in range(len(text) - LAP + 1):
        assert any(first <= start and start + LAP <= last for first, last in spans)


@given(st.integers(0, 4 * SMALL))
@example(SMALL)
@example(SMALL + 1)
def test_a_text_within_the_limit_is_one_chunk_and_a_longer_one_is_more(length: int) -> None:
    assert (len(cut("x" * length, SMALL, LAP)) <= 1) == (length <= SMALL)


@given(st.lists(st.integers(1, 9), min_size=20, max_size=60))
def test_where_there_is_white_space_near_no_word_is_cut(lengths: list[int]) -> None:
    text = " ".join("w" * length for length in lengths)
    edges = {place for start, end in cut(text, 200, 60) for place in (start, end)} - {0, len(text)}
    assert all(text[place].isspace() or text[place - 1].isspace() for place in edges)


@pytest.mark.parametrize(("length", "chunks"), [(LIMIT, 1), (LIMIT + 1, 2), (10 * LIMIT, 11), (100 * LIMIT, 106)])
def test_the_overlap_costs_about_a_twentieth(length: int, chunks: int) -> None:
    assert len(cut("x" * length, LIMIT)) == chunks
    assert OVERLAP * 20 == LIMIT
