"""What a client gets of a call that a guardrail blocked, byte by byte; and how it differs from what a backend's filter says.

guardrails/<case>/
  upstream_response.json  given, where an answer is blocked: what the model said
  client_response.json    made: what the client gets in its place, with status 200
  error.json              made: the body of a 400
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.call import Completion, Operation, Surface, Usage
from gateway.domain.guardrails import Direction
from gateway.domain.verdicts import Outcome, Verdict
from gateway.errors import GuardrailBlocked
from gateway.guardrails.backend_filter import unchecked
from gateway.guardrails.blocked import MEMBER, blocked_answer, blocked_request
from gateway.guardrails.texts.answers import answer_passages
from gateway.routes.errors import error_json
from tests.builders import make_call
from tests.wire.golden_case import GOLDEN, play

HERE = Path(__file__).parent / "guardrails"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
HATE = Verdict("content-safety", Direction.OUTPUT, Outcome.BLOCKED, category="hate", severity=6, count=1, scanned=14, ms=3.1)
CARD = Verdict("no-cards", Direction.MESSAGES, Outcome.BLOCKED, category="card", score=1.0, count=1, reason="a card number that checks")
ATTACK = Verdict("shield-prompts", Direction.TOOL_RESULTS, Outcome.BLOCKED, category="injection", score=0.97)
LONG = Verdict("small", Direction.DOCUMENTS, Outcome.BLOCKED)

ANSWERS: dict[str, tuple[Operation, Verdict, str]] = {
    "chat": (Operation.CHAT, HATE, ""),
    "chat-own-words": (Operation.CHAT, HATE, "Ask the service desk."),
    "completions": (Operation.COMPLETIONS, HATE, ""),
    "responses": (Operation.RESPONSES, HATE, ""),
    "messages": (Operation.MESSAGES, HATE, ""),
    "images": (Operation.IMAGES, HATE, ""),
}
REQUESTS: dict[str, tuple[Surface, Verdict]] = {
    "request": (Surface.OPENAI, CARD),
    "request-messages": (Surface.ANTHROPIC, CARD),
    "request-tool-result": (Surface.OPENAI, ATTACK),
    "request-document": (Surface.OPENAI, LONG),
}


def made_of(case: str) -> tuple[str, bytes]:
    """Return the name and the bytes of what a case makes."""
    if case in REQUESTS:
        surface, verdict = REQUESTS[case]
        return "error.json", error_json(blocked_request(verdict), surface)
    operation, verdict, message = ANSWERS[case]
    try:
        blocked = blocked_answer(make_call(operation=operation), answer(case), verdict, message)
    except GuardrailBlocked as refusal:
        return "error.json", error_json(refusal, Surface.OPENAI)
    return "client_response.json", blocked.body


def answer(case: str) -> Completion:
    return Completion((HERE / case / "upstream_response.json").read_bytes(), Usage(12, 5), finish_reason="stop")


def golden(case: str, name: str = "client_response.json") -> Any:
    return json.loads(play(GOLDEN / "azure-openai" / case)[name])


@pytest.mark.parametrize("case", sorted({*ANSWERS, *REQUESTS}))
def test_a_blocked_caller_gets_what_is_written_down(case: str) -> None:
    name, made = made_of(case)
    if UPDATE:
        (HERE / case / name).write_bytes(made + b"\n")
        pytest.skip(f"UPDATE_GOLDEN=1: rewrote {case}; read the diff before you commit it")
    assert {path.name for path in (HERE / case).iterdir()} == {name, *({"upstream_response.json"} if case in ANSWERS else ())}
    assert made + b"\n" == (HERE / case / name).read_bytes()


def test_every_folder_is_a_case() -> None:
    assert {path.name for path in HERE.iterdir()} == {*ANSWERS, *REQUESTS}


@pytest.mark.parametrize("case", ANSWERS)
def test_nothing_of_a_blocked_answer_is_left(case: str) -> None:
    name, made = made_of(case)
    assert b"what was found" not in made
    if name == "client_response.json":
        left = {name: value for name, value in json.loads(made).items() if name != "gateway_guardrail"}
        assert answer_passages(ANSWERS[case][0], left) == []


@pytest.mark.parametrize("case", [case for case in ANSWERS if case != "images"])
def test_what_a_blocked_answer_used_stays_known(case: str) -> None:
    before = answer(case)
    after = blocked_answer(make_call(operation=ANSWERS[case][0]), before, HATE)
    assert (after.usage, after.finish_reason) == (before.usage, "content_filter")
    assert json.loads(after.body)["usage"] == json.loads(before.body)["usage"]


def test_a_list_of_a_stored_responses_items_is_refused() -> None:
    with pytest.raises(GuardrailBlocked):
        blocked_answer(make_call(operation=Operation.RESPONSE_ITEM), Completion(b'{"object": "list", "data": []}'), HATE)


def test_the_four_outcomes_are_told_apart() -> None:
    prompt = golden("error-400-content-filter", "read.json")["error"]
    assert (prompt["status"], prompt["code"], prompt["details"]["innererror"]["code"]) == (
        400,
        "content_filter",
        "ResponsibleAIPolicyViolation",
    )
    completion = golden("chat-output-filtered")
    assert completion["choices"][0]["finish_reason"] == "content_filter"
    assert completion["choices"][0]["content_filter_results"]["violence"]["filtered"] is True
    assert MEMBER not in completion
    assert not unchecked(Operation.CHAT, completion)
    unavailable = golden("chat-filter-annotations")
    assert unavailable["choices"][0]["finish_reason"] == "stop"
    assert unchecked(Operation.CHAT, unavailable)
    ours = json.loads(made_of("chat")[1])
    assert ours["choices"][0]["finish_reason"] == "content_filter"
    assert ours[MEMBER]["guard"] == "content-safety"
    refused = json.loads(made_of("request")[1])["error"]
    assert (refused["code"], refused["innererror"]["code"]) == ("guardrail_blocked", "GuardrailBlocked")
