"""The laws of streams with the detectors that are really used: personal data, secrets, terms and patterns."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.call import Operation
from gateway.domain.guardrails import Direction
from gateway.guardrails.pii.detector import PiiDetector
from gateway.guardrails.rules.patterns import PatternsDetector
from gateway.guardrails.rules.terms import TermsDetector
from gateway.guardrails.streams.reader import Reader
from gateway.guardrails.streams.window import Window
from gateway.guardrails.tally import Tally
from tests.fakes.clock import FakeClock
from tests.unit.guardrails import streams
from tests.unit.guardrails.streams import Client, call_of, guard, run

WORDS = [
    *("anna.b@contoso.com", "4111 1111 1111 1111", "4111111111111111", "DE89 3704 0044 0532 0130 00", "+49 30 901820", "(212) 555-0187"),
    *("078-05-1120", "192.168.10.254", "2001:db8::8a2e:370:7334", "born 1984-03-12", "my SSN is ", "card: ", "call ", "order no "),
    *(" ", " ", "\n", ".", ",", "-", "@", "1", "20260301", "v3.14", "hello ", "Übergröße ", "x" * 70, "https://x.example/a?b=c"),
]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=10).map("".join)
SECRETS = st.lists(
    st.sampled_from(
        ["AccountKey=", "A1b2" * 22, "==", "sk-", "proj-", " ", "\n", "-----BEGIN PRIVATE KEY-----", "-----END", "password: ", "hunter2x9"]
    ),
    max_size=8,
).map("".join)
DETECTORS: dict[str, tuple[Any, Any]] = {
    "pii": (PiiDetector, TEXTS),
    "secrets": (lambda: PiiDetector(secrets=True), SECRETS),
    "terms": (lambda: TermsDetector(("Contoso", "new york", "x1"), "term", "[T]"), st.text("Contosnewyrk x1.-\n", max_size=40)),
    "patterns": (lambda: PatternsDetector({"id": r"ID-[0-9]{4,6}", "long": r"<<[a-z]*>>"}, "[P]", 0), st.text("ID-12<>ab ", max_size=40)),
}


def whole(detector: Any, text: str) -> str:
    out, done = "", 0
    for finding in detector.read(text).findings:
        out += text[done : finding.start] + detector.replacement(finding, text[finding.start : finding.end])
        done = finding.end
    return out + text[done:]


@pytest.mark.parametrize("name", list(DETECTORS))
@settings(deadline=None)
@given(data=st.data())
def test_pieces_add_up_to_what_is_redacted_of_the_whole(name: str, data: Any) -> None:
    make, texts = DETECTORS[name]
    text = data.draw(texts)
    cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=8))})
    guarded = guard(detector=make())
    window = Window([Reader(guarded, Tally(guarded, Direction.OUTPUT), FakeClock(), guarded.detector)])
    released = [window.push(text[start:end]) for start, end in itertools.pairwise(cuts)]
    assert "".join(released) + window.flush() == whole(guarded.detector, text)


def test_personal_data_in_single_characters_never_reaches_the_client() -> None:
    text = "Write to anna.b@contoso.com, or pay with 4111 1111 1111 1111 today. Nothing else is personal."
    client = run(
        Client(call_of(Operation.CHAT), [guard(detector=PiiDetector())]).read(streams.chat([(0, char) for char in text], choices=1))
    )
    assert client.texts[0, "content"] == whole(PiiDetector(), text)
    for moment in client.moments:
        assert "anna" not in moment[0, "content"]
        assert "4111" not in moment[0, "content"]
