"""What the model sees in place of personal data comes back as it was, whatever the model does with it, however it is cut."""

import html
import json
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.guardrails.masking.forms import literals
from gateway.guardrails.masking.placeholders import Entry, Placeholders

ANNA, BEN, PHONE = ("EMAIL", "anna@contoso.com"), ("EMAIL", "ben@contoso.com"), ("PHONE", "+49 30 1234567")
ODD = ("NAME", 'Zoë "Z" O\\Hara\n<b>&')


def masked(placeholders: Placeholders, parts: list[tuple[str, str | None]]) -> str:
    """Mask those parts of a text that have a name."""
    texts = ["".join(text for text, _ in parts)]
    given_out = placeholders.assign([(name, text) for text, name in parts if name], texts)
    return "".join(given_out[name, text] if name else text for text, name in parts)


def whole(parts: list[tuple[str, str | None]]) -> str:
    return "".join(text for text, _ in parts)


def streamed(placeholders: Placeholders, chunks: list[str], *, as_json: bool = False) -> str:
    out, held = "", ""
    for chunk in chunks:
        held += chunk
        cut = placeholders.open_from(held)
        out += placeholders.text(held[:cut], json=as_json)
        held = held[cut:]
    return out + placeholders.text(held, json=as_json)


def test_numbers_count_by_name_in_order_of_appearance() -> None:
    placeholders = Placeholders()
    assert placeholders.assign([BEN, PHONE, ANNA, BEN]) == {BEN: "<EMAIL_1>", PHONE: "<PHONE_1>", ANNA: "<EMAIL_2>"}
    assert placeholders.assign([ANNA]) == {ANNA: "<EMAIL_2>"}
    assert placeholders.assign([("PHONE", ANNA[1])]) == {("PHONE", ANNA[1]): "<PHONE_2>"}


def test_a_placeholder_that_stands_in_the_request_literally_is_not_given() -> None:
    placeholders = Placeholders()
    texts = ["what is <EMAIL_1>, &lt;email_2&gt; or \\u003cEMAIL_3\\u003E, <EMAIL\\_4>?", "and %3CEMAIL_5%3e"]
    assert placeholders.assign([ANNA], texts) == {ANNA: "<EMAIL_6>"}
    assert placeholders.text("<EMAIL_1> is <EMAIL_6>") == "<EMAIL_1> is anna@contoso.com"


def test_a_session_gives_another_number_for_a_call_that_types_the_known_one() -> None:
    session, call = Placeholders(), Placeholders()
    session.assign([ANNA])
    call.learn(session.entries)
    assert call.text("<EMAIL_1>") == "<EMAIL_1>"
    assert call.assign([ANNA], ["tell me <EMAIL_1>"]) == {ANNA: "<EMAIL_2>"}
    assert call.text("<EMAIL_1> <EMAIL_2>") == "<EMAIL_1> anna@contoso.com"


def test_what_is_known_but_not_in_use_is_not_put_back_until_it_is() -> None:
    call = Placeholders()
    call.learn([Entry("EMAIL", 1, ANNA[1]), Entry("EMAIL", 2, BEN[1])])
    assert not call
    assert call.assign([BEN]) == {BEN: "<EMAIL_2>"}
    assert (bool(call), call.text("<EMAIL_1> <EMAIL_2>")) == (True, "<EMAIL_1> ben@contoso.com")
    call.use_all()
    assert call.text("<EMAIL_1> <EMAIL_2>") == "anna@contoso.com ben@contoso.com"


def test_a_number_that_stands_for_something_else_already_keeps_its_meaning() -> None:
    call = Placeholders()
    call.assign([ANNA])
    call.learn([Entry("EMAIL", 1, BEN[1])])
    assert call.text("<EMAIL_1>") == ANNA[1]
    assert call.assign([BEN]) == {BEN: "<EMAIL_2>"}


FORMS = {
    "<NAME_1>": ODD[1],
    "<name_1>": ODD[1],
    "<Name\\_1>": ODD[1],
    "<NAME\\\\_1>": ODD[1],
    "&lt;NAME_1&gt;": html.escape(ODD[1], quote=False),
    "&LT;Name_1&GT;": html.escape(ODD[1], quote=False),
    "\\u003cNAME_1\\u003e": json.dumps(ODD[1], ensure_ascii=False)[1:-1],
    "\\u003CNAME_1\\u003E": json.dumps(ODD[1], ensure_ascii=False)[1:-1],
}


@pytest.mark.parametrize("form", FORMS)
def test_models_write_it_in_many_forms_and_each_is_put_back_as_its_place_asks(form: str) -> None:
    placeholders = Placeholders()
    placeholders.assign([ODD])
    assert placeholders.text(f"a {form}, {form}") == f"a {FORMS[form]}, {FORMS[form]}"
    document = placeholders.text('{"to": "' + form.replace("\\_", "_").replace("\\_", "_") + '"}', json=True)
    assert json.loads(document)["to"] in (ODD[1], html.escape(ODD[1], quote=False))


def test_in_a_link_it_is_escaped_as_links_are() -> None:
    placeholders = Placeholders()
    placeholders.assign([ODD, ANNA])
    assert unquote(placeholders.text("%3CNAME_1%3E")) == ODD[1]
    assert placeholders.text("[write](mailto:%3cEMAIL_1%3E)") == "[write](mailto:anna@contoso.com)"


@pytest.mark.parametrize(
    "text",
    [
        *("EMAIL_1", "EMAIL_1>", "<EMAIL_1", "<EMAIL_2>", "<EMAIL_10>", "<EMAIL_01>", "<EMAIL>", "<EMAIL__1>", "<EMAIL-1>", "< EMAIL_1 >"),
        *(
            "[EMAIL_1]",
            "{EMAIL_1}",
            "<EMAIL_1&gt;",
            "&lt;EMAIL_1>",
            "\\u003cEMAIL_1>",
            "<XEMAIL_1>",
            "<\u017fSN_1>",
            "\\u003cEMAIL_1\\u003c",
        ),
    ],
)
def test_what_may_be_ordinary_text_stays(text: str) -> None:
    placeholders = Placeholders()
    placeholders.assign([ANNA, ("SSN", "078-05-1120")])
    assert placeholders.text(f"x {text} y") == f"x {text} y"


@pytest.mark.parametrize("form", [*FORMS, "%3CNAME_1%3E"])
def test_an_unfinished_form_is_held_from_its_first_character_and_a_finished_one_is_not(form: str) -> None:
    placeholders = Placeholders()
    placeholders.assign([ODD])
    for length in range(1, len(form)):
        assert placeholders.open_from(f"before {form[:length]}") == len("before "), form[:length]
    assert placeholders.open_from(f"before {form}") == len(f"before {form}")


@pytest.mark.parametrize(
    "text",
    ["", "a", "a <b", "a <NAME_2", "<NAME_1x", "<NAME_ 1", "&amp", "\\n", "%20", "<NAME_1>.", "&lt;NAME_2&g", "<" + "A" * 200],
)
def test_nothing_is_held_that_cannot_become_one(text: str) -> None:
    placeholders = Placeholders()
    placeholders.assign([ODD])
    assert placeholders.open_from(text) == len(text)
    assert placeholders.open_from("<NAME_1\\") == len("<NAME_1")  # the backslash itself may begin one
    assert Placeholders().open_from("<NAME_1") == len("<NAME_1")


PIECES = st.one_of(
    st.sampled_from(
        ["<EMAIL_1>", "<EMAIL_2>", "<", ">", "&lt;EMAIL_1&gt;", "\\u003cEMAIL_1\\u003e", "<email\\_3>", "EMAIL_1", "_", "\\", "&", "%3C"]
    ),
    st.text(max_size=6),
)
PARTS = st.lists(
    st.one_of(st.tuples(PIECES, st.none()), st.tuples(PIECES.filter(bool), st.sampled_from(["EMAIL", "PHONE", "EMAIL_1"]))), max_size=12
)


@given(PARTS)
@example([("<EMAIL_", None), ("1>", "EMAIL"), ("1>", None)])
@example([("&lt;EMAIL_1", None), ("x", "EMAIL"), ("&gt;", None)])
def test_what_was_masked_comes_back_as_it_was(parts: list[tuple[str, str | None]]) -> None:
    placeholders = Placeholders()
    assert placeholders.text(masked(placeholders, parts)) == whole(parts)


@given(PARTS, PARTS, PARTS)
def test_and_so_in_each_call_of_a_session(first: list[tuple[str, str | None]], second: list, third: list) -> None:
    session = Placeholders()
    for parts in (first, second, third):
        call = Placeholders()
        call.learn(session.entries)
        assert call.text(masked(call, parts)) == whole(parts)
        session.learn(call.entries)
        session.use_all()


@given(PARTS)
def test_one_placeholder_has_one_original_and_one_original_one_placeholder(parts: list[tuple[str, str | None]]) -> None:
    placeholders = Placeholders()
    found = [(name, text) for text, name in parts if name]
    given_out = placeholders.assign(found, [whole(parts)])
    assert len(set(given_out.values())) == len(given_out) == len(set(found))
    assert placeholders.assign(reversed(found), [whole(parts)]) == given_out


@given(st.lists(PIECES, max_size=10), st.data(), st.booleans())
def test_however_a_stream_is_cut_it_says_the_same(pieces: list[str], data: st.DataObject, as_json: bool) -> None:
    placeholders = Placeholders()
    placeholders.assign([ANNA, ODD, BEN, PHONE])
    text = "".join([*pieces, *data.draw(st.lists(st.sampled_from(["<EMAIL_1>", "<NAME_1>", *FORMS]), max_size=3))])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    chunks = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert streamed(placeholders, chunks, as_json=as_json) == placeholders.text(text, json=as_json)
    assert streamed(placeholders, list(text), as_json=as_json) == placeholders.text(text, json=as_json)


@given(st.text())
def test_in_json_an_original_stays_a_part_of_its_string(original: str) -> None:
    placeholders = Placeholders()
    placeholders.assign([("NAME", original)])
    assert json.loads(placeholders.text('{"a": "x<NAME_1>\\u003cNAME_1\\u003e"}', json=True)) == {"a": f"x{original}{original}"}


@given(st.lists(PIECES, max_size=10).map("".join))
def test_nothing_is_put_back_that_would_not_have_been_avoided(text: str) -> None:
    placeholders = Placeholders()
    placeholders.assign([("EMAIL", "\0"), ("EMAIL", "\1"), ("EMAIL", "\2"), ("EMAIL", "\3")])
    if placeholders.text(text) != text:
        assert literals([text]) & {"EMAIL_1", "EMAIL_2", "EMAIL_3", "EMAIL_4"}


def test_a_name_is_as_placeholders_need_it_and_originals_never_show() -> None:
    placeholders = Placeholders()
    with pytest.raises(ValueError, match="capital") as caught:
        placeholders.assign([("e-mail", ANNA[1])])
    with pytest.raises(ValueError, match="no placeholder") as unknown:
        placeholders.use([ANNA])
    placeholders.assign([ANNA])
    shown = f"{placeholders!r} {placeholders.entries!r} {caught.value} {unknown.value}"
    assert "anna" not in shown
    assert "EMAIL_1" in shown
