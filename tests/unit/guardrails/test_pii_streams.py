"""However a text is cut into chunks, nothing of a finding gets out, and the findings are those of the whole text."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.domain.verdicts import NOTHING_FOUND, Finding
from gateway.guardrails.pii import plain
from gateway.guardrails.pii.detector import MAX_HELD, PiiDetector
from gateway.guardrails.pii.text import same_length

PERSONAL, SECRETS = PiiDetector(), PiiDetector(secrets=True)
PEM = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEAq7f0\nabcd+/12\n" * 3 + "-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
AWS = "AKIAIOSFODNN7ABCDEFG"
FRAGMENTS = [
    *(
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111111111111111",
        "3782 822463 10005",
        "DE89 3704 0044 0532 0130 00",
        "GB82WEST12345698765432",
    ),
    *(
        "ana.o'neil+x@mail.example.co.uk",
        "+44 20 7946 0958",
        "(305) 555-0177",
        "212-555-0134 ext. 123",
        "345-899-3560x4587",
        "0479 50 54 03",
    ),
    *(
        "phone",
        "fax",
        "Phone: ",
        "call me on ",
        " office",
        "SSN ",
        "123-45-6789",
        "219 09 9999",
        "card no ",
        "675984103431",
        "born on ",
        "10/23/1951",
        "17-Oct-1956",
        "3 de septiembre de 1980",
        "1er août 1980",
        "né le ",
        "LKDyYKsy8fHXjUyVZsVEF5XAVWbYQFQLkH",
        "080-8676-9931",
    ),
    *(
        "12 March 1980",
        "March 12, 1980",
        "AB 12 34 56 C",
        "AB123456C",
        "12345678Z",
        "X1234567L",
        "RSSMRA85T10A562S",
        "529.982.247-25",
        "131052-308T",
    ),
    *("2363 4567 8901", "198.51.100.7", "2001:db8::da43", "fe80::1:22", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "passport ", "C01X00T47"),
    *("version ", "order #", "1.2.3.4", "35b7eb69-6499-4f0c-8fae-5a0e64368591", "12", "7 8 9", "2024-03-11", "08:15:02"),
    *(
        " ",
        " ",
        " ",
        "\n",
        ", ",
        ". ",
        "-",
        "/",
        "(",
        ")",
        "+",
        ":",
        "@",
        "x",
        "a",
        "the ",
        "It's March ",
        "IT ",
        "is ",
        '"',
        "'",
        "：",
        "は",
        "é",
        "４１１１",
        "–",
        "\u00a0",
        "\u200b",
    ),
    *("<EMAIL_1>", "[PHONE]", "[PAYMENT_CARD]"),
]
SECRET_FRAGMENTS = [
    *(PEM, PEM[:40], PEM[-40:], "-----BEGIN ", "-----", "PRIVATE KEY-----", JWT, JWT[:30]),
    *("sk-proj-abcDEF0123456789abcDEF0123456789", "AKIAIOSFODNN7EXAMPLE", AWS, 'password: "hunter2! ', "hunter2x9"),
    *("password", "Password: ", "pwd=", "hunter2!x", '"password": "', "api_key = ", "token: "),
    *("hvs.aB3dE6gH9jK2aB3dE6gH9jK2", "key-" + "0123456789abcdef" * 2, "0123456789abcdef" * 2 + "-us12"),
    *("AccountKey=", "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZg==", "Bearer "),
    *("postgres://user:", "s3cr3t!", "@db.example.com/x", "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "secret"),
    *("=", ":", " ", " ", "\n", '"', "'", ";", ",", "."),
    *("the ", "is ", "my ", "${VAR}", "<PASSWORD_1>", "[PASSWORD]", "\\n", "é", "は", "aaaa bbbb", "9f8e7d6c5b4a39281706f5e4d3c2b1a0"),
]  # fmt: skip


def streamed(detector: PiiDetector, chunks: list[str]) -> tuple[list[Finding], list[str], list[int]]:
    """Read chunks as a stream's machine does; return what was found, what was let out, and where it was cut."""
    context, held, offset = "", "", 0
    found: list[Finding] = []
    released: list[str] = []
    cuts: list[int] = []
    for number, chunk in enumerate(chunks, 1):
        held += chunk
        text = context + held
        place = len(text)
        if number < len(chunks):
            _, scanned = detector.scan(text, len(context))
            place = max(scanned, len(context))
            assert place == max(detector.open_from(text), len(context)), "at once or one by one, it is the same"
        base = offset - len(context)
        found += [
            Finding(each.start + base, each.end + base, each.category)
            for each in (detector.read(text) if number == len(chunks) else detector.scan(text, len(context))[0]).findings
            if len(context) <= each.start < place
        ]
        out = text[len(context) : place]
        released.append(out)
        offset += len(out)
        cuts.append(offset)
        context, held = text[:place][-detector.context :], text[place:]
    return found, released, cuts


def check(detector: PiiDetector, text: str, places: list[int]) -> None:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    chunks = [text[start:end] for start, end in itertools.pairwise(edges)]
    whole = [Finding(each.start, each.end, each.category) for each in detector.read(text).findings]
    found, _, cuts = streamed(detector, chunks)
    assert not [(cut, each) for cut in cuts for each in whole if each.start < cut < each.end], "a part of a finding got out"
    assert found == whole


def redacted(detector: PiiDetector, text: str) -> str:
    for each in reversed(detector.read(text).findings):
        text = text[: each.start] + detector.replacement(each, text[each.start : each.end]) + text[each.end :]
    return text


texts = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)
secret_texts = st.lists(st.sampled_from(SECRET_FRAGMENTS), max_size=10).map("".join)
cuts = st.lists(st.integers(0, 2000), max_size=12)


@settings(max_examples=150, deadline=None)
@given(texts, cuts)
@example("212-555-0134 ext. 12AB 12 34 56 C ", list(range(40)))
@example("to GB82 WEST 1234 5698 7654 32.", list(range(40)))
def test_personal_data_does_not_depend_on_where_a_text_is_cut(text: str, places: list[int]) -> None:
    check(PERSONAL, text, places)


@settings(max_examples=100, deadline=None)
@given(secret_texts, cuts)
@example('"password": "correct horse 7!", ', list(range(40)))
@example('password: "hunter2! AKIAIOSFODNN7EXAMPLE x" and then ' + "words that reach back to nothing at all; " * 4 + f"key={AWS}.", [110])
def test_secrets_do_not_depend_on_where_a_text_is_cut(text: str, places: list[int]) -> None:
    check(SECRETS, text, places)


@pytest.mark.parametrize("detector", [PERSONAL, SECRETS], ids=["personal", "secrets"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_text_in_single_characters_is_read_as_the_whole(detector: PiiDetector, data: st.DataObject) -> None:
    text = data.draw(texts if detector is PERSONAL else secret_texts)
    check(detector, text, list(range(len(text))))


@settings(max_examples=300, deadline=None)
@given(texts)
@example("ana.lee@mail.example.co.uk(305) 555-0177")
@example("passport LKDyYKsy8fHXjUyVZsVEF5XAVWbYQFQLkH(305) 555-0177")
def test_a_redacted_text_holds_no_personal_data(text: str) -> None:
    once = redacted(PERSONAL, text)
    assert redacted(PERSONAL, once) == once


@settings(max_examples=200, deadline=None)
@given(secret_texts)
@example('"password": "password' + PEM)
def test_a_redacted_text_holds_no_secrets(text: str) -> None:
    once = redacted(SECRETS, text)
    assert redacted(SECRETS, once) == once


def test_what_is_found_at_one_place_does_not_depend_on_what_is_found_at_another() -> None:
    first = 'password: "hunter2! AKIAIOSFODNN7EXAMPLE x" and then '
    then = "words that reach back to nothing at all; " * 4 + f"key={AWS}."
    assert SECRETS.read(first).findings == SECRETS.read(first + then).findings[:1]
    assert redacted(SECRETS, first) == 'password: "[API_KEY_AWS]" and then '


@pytest.mark.parametrize("size", [3, 40])
def test_a_token_longer_than_what_is_held_does_not_get_out(size: int) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkw" * (MAX_HELD // 20) + "." + "dozjgNryP4" * size
    text = f"a {token} b"
    assert redacted(SECRETS, text) == "a [TOKEN_JWT] b"
    check(SECRETS, text, list(range(0, len(text), 1009)))


def test_a_private_key_that_is_indented_is_found_to_its_end() -> None:
    lines = PEM.replace("\n", "\n    ")
    assert redacted(SECRETS, f"key: |\n    {lines}\nport: 80") == "key: |\n    [PRIVATE_KEY]\nport: 80"
    check(SECRETS, f"key: |\n    {lines}\nport: 80", list(range(400)))


PLAIN = "It's the summary of March, by the well-known IT team. Über alles, naïve! 日本 "


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([*PLAIN.split(" "), " ", "\n", "AB ", "AB C", "may ", "'", "--", "don't"]), max_size=12).map("".join), cuts)
def test_plain_words_are_released_as_if_they_were_read_with_care(text: str, places: list[int]) -> None:
    check(PERSONAL, text, places)
    check(SECRETS, text, places)


def test_of_plain_words_only_the_last_is_held() -> None:
    for detector in (PERSONAL, SECRETS):
        assert detector.scan("we met the fo", 3) == (NOTHING_FOUND, 11)
        assert detector.scan("we met the fox ", 3) == (NOTHING_FOUND, 15)


@settings(max_examples=100, deadline=None)
@given(st.text())
@example("\ud800 4111111111111111")
def test_findings_of_any_text_are_ordered_and_apart(text: str) -> None:
    for detector in (PERSONAL, SECRETS):
        edges = [edge for each in detector.read(text).findings for edge in (each.start, each.end)]
        assert edges == sorted(edges)
        assert all(0 <= edge <= len(text) for edge in edges)
        assert 0 <= detector.open_from(text) <= len(text)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("abcdefxyzABCDEFGHIZ .,;!?*_\n'-\u00e9\u4e2d"), max_size=80), st.booleans())
def test_plain_words_hold_nothing_however_they_are_read(text: str, secrets: bool) -> None:
    detector = PiiDetector(secrets=secrets)
    data = same_length(text)
    if plain.clear(data, secrets=secrets):
        assert detector._findings(text, data) == ()


def test_a_private_key_behind_a_quote_and_a_blank_is_held_from_its_first_dash() -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAq7f0\nabcd+/12\n-----END RSA PRIVATE KEY-----"
    text = f'"password": " {key}hunter2x9'
    check(PiiDetector(secrets=True), text, list(range(len(text))))
