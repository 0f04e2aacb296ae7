"""Every character of a text and every byte of its folding know each other."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.guardrails.rules.terms_folding import fold, fold_bytes, fold_term, folded_from

TEXTS = st.text(st.one_of(st.sampled_from("aB \té\u0301\u200b中가ガｶﾞ\u1109\u1161\u11b7ßﬁΣςİᎠꭰ\ud800"), st.characters()), max_size=12)


@given(text=TEXTS)
def test_quick_and_exact_folding_agree(text: str) -> None:
    assert fold_bytes(text) == fold(text).data
    assert f" {''.join(each for _, each in folded_from(text, 0))} ".encode() == fold_bytes(text)


@given(text=TEXTS)
def test_places_grow_with_the_bytes_and_stay_inside_the_text(text: str) -> None:
    folded = fold(text)
    inside = range(1, len(folded.data) - 1)
    starts = [folded.start_of(place) for place in inside]
    ends = [folded.end_of(place + 1) for place in inside]
    assert starts == sorted(starts)
    assert all(0 <= start < end <= len(text) for start, end in zip(starts, ends, strict=True))


@given(text=TEXTS)
def test_a_piece_of_the_text_folds_to_the_bytes_that_point_at_it(text: str) -> None:
    folded = fold(text)
    for place in range(1, len(folded.data) - 1):
        start, end = folded.start_of(place), folded.end_of(place + 1)
        assert folded.data[place : place + 1] in fold_bytes(text[start:end])


def test_every_character_is_folded_as_what_it_is_made_of() -> None:
    every = [chr(code) for code in (*range(1, 0xD800), *range(0xE000, 0x20000), *range(0x2F800, 0x2FA20))]
    assert [each for each in every if fold_term((once := fold_term(each)).replace("\0", "")) != once] == []


@given(text=TEXTS)
def test_what_is_folded_is_not_changed_by_folding_it_again(text: str) -> None:
    text = text.replace("\0", "")  # it stands for an edge, once folded
    assert fold_term(fold_term(text).replace("\0", "")) == fold_term(text)
