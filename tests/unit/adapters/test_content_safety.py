"""Content Safety's adapter holds the service to its word, waits as it is told, and leaves it alone while it is down."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError

from gateway.adapters.content_safety import MAX_WAIT_S, SLOW_S, USUAL_WAIT_S, AzureContentSafety, connect
from gateway.adapters.content_safety_breaker import FAILURES, OPEN_S, Breaker
from gateway.domain.verdicts import Analysis
from gateway.errors import GuardrailUnavailable
from tests.fakes.clock import FakeClock
from tests.fakes.loopback import CUT, HANG, Loopback, answer, loopback

ALL = ("Hate", "SelfHarm", "Sexual", "Violence")
SECRET = "what-nobody-may-see"
JSON = "content-type: application/json"


@pytest.fixture
async def service() -> AsyncIterator[Loopback]:
    async with loopback() as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def safety(service: Loopback, clock: FakeClock) -> AsyncIterator[AzureContentSafety]:
    made = AzureContentSafety(service.url, "the-key", None, clock, timeout_s=5.0)
    yield made
    await made.close()
    await made.close()


def says(service: Loopback, document: Any, status: str = "200 OK", *headers: str) -> None:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    service.will(answer(body, status, JSON, *headers))


def graded(*, without: str = "", **severities: int) -> dict[str, Any]:
    rows = [{"category": name, "severity": severities.get(name, 0)} for name in ALL if name != without]
    return {"categoriesAnalysis": rows, "blocklistsMatch": []}


ATTACK = {"attackDetected": True}


@pytest.mark.parametrize(
    "document",
    [
        b"{",
        b"\xff\xfe",
        b"",
        b"[]",
        b"<html>",
        {"categoriesAnalysis": [{"category": "Hate", "severity": "high"}]},
        {"categoriesAnalysis": [{"category": "Hate"}]},
        {"categoriesAnalysis": None},
        {},
        graded(without="Violence"),
        {**graded(), "blocklistsMatch": [{"name": "list"}]},
    ],
    ids=str,
)
async def test_an_analysis_in_doubt_is_none(safety: AzureContentSafety, service: Loopback, document: Any) -> None:
    says(service, document)
    with pytest.raises(GuardrailUnavailable, match="cannot be read"):
        await safety.analyze(SECRET, categories=ALL)
    says(service, graded(Hate=2))
    assert (await safety.analyze(SECRET, categories=ALL)).severities["Hate"] == 2


async def test_what_a_hit_spared_may_be_missing_and_only_that(safety: AzureContentSafety, service: Loopback) -> None:
    hit = {"categoriesAnalysis": [], "blocklistsMatch": [{"blocklistName": "a", "blocklistItemId": "1", "blocklistItemText": "x"}] * 2}
    says(service, hit)
    assert await safety.analyze("x", categories=ALL, blocklists=("a",), halt_on_blocklist=True) == Analysis({}, ("a",))
    says(service, hit)
    with pytest.raises(GuardrailUnavailable):
        await safety.analyze("x", categories=ALL, blocklists=("a",))
    says(service, {"categoriesAnalysis": []})
    with pytest.raises(GuardrailUnavailable):
        await safety.analyze("x", categories=ALL, blocklists=("a",), halt_on_blocklist=True)


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"userPromptAnalysis": ATTACK},
        {"userPromptAnalysis": None, "documentsAnalysis": [ATTACK, ATTACK]},
        {"userPromptAnalysis": ATTACK, "documentsAnalysis": [ATTACK]},
        {"userPromptAnalysis": ATTACK, "documentsAnalysis": [ATTACK] * 3},
        {"userPromptAnalysis": {"attackDetected": "no"}, "documentsAnalysis": [ATTACK] * 2},
        {"userPromptAnalysis": {}, "documentsAnalysis": [ATTACK] * 2},
    ],
    ids=str,
)
async def test_a_shield_that_does_not_judge_all_judges_nothing(safety: AzureContentSafety, service: Loopback, document: Any) -> None:
    says(service, document)
    with pytest.raises(GuardrailUnavailable, match="cannot be read"):
        await safety.shield("x", ["y", "z"])


async def test_documents_without_a_prompt_need_no_verdict_of_one(safety: AzureContentSafety, service: Loopback) -> None:
    says(service, {"documentsAnalysis": [ATTACK]})
    assert await safety.shield("", ["y"]) == (False, (True,))
    assert json.loads(service.received[0].body) == {"userPrompt": "", "documents": ["y"]}


@pytest.mark.parametrize("document", [{}, {"protectedMaterialAnalysis": {}}, {"protectedMaterialAnalysis": {"detected": "no"}}], ids=str)
async def test_material_in_doubt_has_no_verdict(safety: AzureContentSafety, service: Loopback, document: Any) -> None:
    says(service, document)
    with pytest.raises(GuardrailUnavailable, match="cannot be read"):
        await safety.protected_material("x")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"ungroundedDetected": False, "ungroundedPercentage": 0, "ungroundedDetails": []}, (0.0, ())),
        ({"ungroundedDetected": True, "ungroundedPercentage": 0.25, "ungroundedDetails": [{"text": "x"}]}, (0.25, ("x",))),
        ({"ungroundedDetected": True}, (1.0, ())),
        ({"ungroundedDetected": True, "ungroundedPercentage": 0}, (1.0, ())),
        ({"ungroundedPercentage": 0}, None),
        ({"ungroundedDetected": True, "ungroundedPercentage": 25}, None),
        ({"ungroundedDetected": True, "ungroundedPercentage": -1}, None),
    ],
    ids=str,
)
async def test_a_share_is_what_the_service_says_and_never_less(
    safety: AzureContentSafety, service: Loopback, document: Any, expected: Any
) -> None:
    says(service, document)
    asked = safety.groundedness("x", ["y"], query="why is it so", domain="Medical", task="QnA")
    if expected is None:
        with pytest.raises(GuardrailUnavailable, match="cannot be read"):
            await asked
    else:
        assert await asked == expected
    request = service.received[0]
    assert request.target == "/contentsafety/text:detectGroundedness?api-version=2024-09-15-preview"
    assert json.loads(request.body) == {
        "domain": "Medical",
        "task": "QnA",
        "qna": {"query": "why is it so"},
        "text": "x",
        "groundingSources": ["y"],
        "reasoning": False,
    }


async def test_a_summary_is_asked_for_without_a_question(safety: AzureContentSafety, service: Loopback) -> None:
    says(service, {"ungroundedDetected": False})
    assert await safety.groundedness("x", ["y"], query="why is it so", domain="Generic", task="Summarization") == (0.0, ())
    assert "qna" not in json.loads(service.received[0].body)


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ((), [USUAL_WAIT_S]),
        (("retry-after: 1",), [1.0]),
        (("retry-after: 1", "retry-after-ms: 30"), [0.03]),
        (("x-ms-retry-after-ms: 40",), [0.04]),
        (("retry-after: 0",), [0.0]),
        (("retry-after: soon",), [USUAL_WAIT_S]),
        (("retry-after: -5",), [USUAL_WAIT_S]),
    ],
    ids=str,
)
@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_a_busy_service_is_asked_once_more_after_its_wait(
    safety: AzureContentSafety, service: Loopback, clock: FakeClock, status: str, headers: tuple[str, ...], waited: list[float]
) -> None:
    says(service, {}, status, *headers)
    says(service, graded(Hate=4))
    assert (await safety.analyze("x", categories=ALL)).severities["Hate"] == 4
    assert (clock.slept_s, len(service.received)) == (waited, 2)


async def test_there_is_no_third_try(safety: AzureContentSafety, service: Loopback) -> None:
    for _ in range(2):
        says(service, {}, "429 Too Many Requests")
    with pytest.raises(GuardrailUnavailable, match="429"):
        await safety.shield("x")
    assert len(service.received) == 2


async def test_a_long_wait_is_the_callers(safety: AzureContentSafety, service: Loopback, clock: FakeClock) -> None:
    says(service, {}, "429 Too Many Requests", f"retry-after: {MAX_WAIT_S + 1:.0f}")
    with pytest.raises(GuardrailUnavailable) as raised:
        await safety.shield("x")
    assert (raised.value.retry_after_s, clock.slept_s) == (MAX_WAIT_S + 1, [])


@pytest.mark.parametrize("status", ["301 Moved Permanently", "307 Temporary Redirect"])
async def test_nothing_is_sent_elsewhere(safety: AzureContentSafety, service: Loopback, status: str) -> None:
    says(service, {}, status, f"location: {service.url}/elsewhere")
    with pytest.raises(GuardrailUnavailable, match=status[:3]):
        await safety.shield("x")
    assert len(service.received) == 1


async def test_a_connection_that_breaks_is_no_verdict(safety: AzureContentSafety, service: Loopback) -> None:
    service.will(answer(b"{" * 99, "200 OK", JSON)[:-50], CUT)
    with pytest.raises(GuardrailUnavailable, match="did not answer"):
        await safety.shield("x")


async def test_a_service_that_never_answers_is_given_up(service: Loopback, clock: FakeClock) -> None:
    service.will(HANG)
    safety = AzureContentSafety(service.url, "the-key", None, clock, timeout_s=0.05)
    with pytest.raises(GuardrailUnavailable, match="did not answer"):
        await safety.shield("x")
    await safety.close()


async def test_neither_message_nor_log_says_where_it_is_or_what_it_was_asked(
    safety: AzureContentSafety, service: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    error = {"error": {"code": "Forbidden", "message": f"{SECRET} at {service.url} with the-key"}}
    with caplog.at_level(logging.INFO, "gateway"):
        for status in ("403 Forbidden", "200 OK"):
            says(service, error, status)
            with pytest.raises(GuardrailUnavailable) as raised:
                await safety.shield(SECRET)
            assert not any(word in raised.value.message for word in (SECRET, service.url, "the-key"))
    assert "answered 403 (Forbidden): give the gateway's identity the role Cognitive Services User" in caplog.text
    assert not any(word in caplog.text for word in (SECRET, service.url, "the-key"))


async def fail(safety: AzureContentSafety, service: Loopback, status: str = "500 Oh") -> None:
    says(service, {}, status)
    with pytest.raises(GuardrailUnavailable):
        await safety.shield("x")


async def test_after_failures_in_a_row_it_is_left_alone_then_one_tries(
    safety: AzureContentSafety, service: Loopback, clock: FakeClock
) -> None:
    for _ in range(FAILURES):
        await fail(safety, service)
    with pytest.raises(GuardrailUnavailable, match="left alone") as raised:
        await safety.shield("x")
    assert (raised.value.retry_after_s, len(service.received)) == (OPEN_S, FAILURES)
    clock.advance(OPEN_S)
    await fail(safety, service)
    with pytest.raises(GuardrailUnavailable, match="left alone"):
        await safety.shield("x")
    clock.advance(OPEN_S)
    for _ in range(2):
        says(service, {"userPromptAnalysis": ATTACK})
        assert await safety.shield("x") == (True, ())


async def test_the_other_questions_go_on(safety: AzureContentSafety, service: Loopback) -> None:
    for _ in range(FAILURES):
        await fail(safety, service)
    says(service, {"protectedMaterialAnalysis": {"detected": True}})
    assert await safety.protected_material("x")


@pytest.mark.parametrize(
    ("status", "counts"),
    [("400 Bad Request", False), ("404 Not Found", False), ("401 Unauthorized", True), ("403 Forbidden", True), ("502 Bad Gateway", True)],
)
async def test_a_refused_question_says_nothing_of_the_next(
    safety: AzureContentSafety, service: Loopback, status: str, counts: bool
) -> None:
    for _ in range(FAILURES):
        await fail(safety, service, status)
    says(service, {"userPromptAnalysis": ATTACK})
    if counts:
        with pytest.raises(GuardrailUnavailable, match="left alone"):
            await safety.shield("x")
    else:
        assert await safety.shield("x") == (True, ())


@pytest.mark.parametrize(("after_s", "counts"), [(SLOW_S, True), (SLOW_S / 2, False)])
async def test_a_service_that_hangs_is_left_alone_too_but_not_for_clients_that_leave(
    safety: AzureContentSafety, service: Loopback, clock: FakeClock, after_s: float, counts: bool
) -> None:
    for number in range(FAILURES):
        service.will(HANG)
        asking = asyncio.create_task(safety.shield("x"))
        while len(service.received) <= number:  # noqa: ASYNC110 - the server does not say when
            await asyncio.sleep(0)
        clock.advance(after_s)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    says(service, {"userPromptAnalysis": ATTACK})
    if counts:
        with pytest.raises(GuardrailUnavailable, match="left alone"):
            await safety.shield("x")
    else:
        assert await safety.shield("x") == (True, ())


def test_of_many_that_wait_one_alone_tries() -> None:
    clock = FakeClock()
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        breaker.enter()
        breaker.left(failed=True)
    clock.advance(OPEN_S)
    breaker.enter()
    with pytest.raises(GuardrailUnavailable):
        breaker.enter()
    breaker.left(failed=False)  # its caller left: the next one tries
    breaker.enter()
    breaker.succeeded()
    breaker.enter()
    breaker.enter()


def test_a_success_forgets_the_failures_before_it() -> None:
    breaker = Breaker(FakeClock())
    for _ in range(3):
        for _ in range(FAILURES - 1):
            breaker.enter()
            breaker.left(failed=True)
        breaker.enter()
        breaker.succeeded()
    breaker.enter()


class NoIdentity:
    async def get_token(self, *_: str, **__: Any) -> Any:
        raise ClientAuthenticationError(f"no identity at {SECRET}")


async def test_without_a_token_there_is_no_verdict(service: Loopback) -> None:
    safety = connect(service.url, "", NoIdentity(), FakeClock())  # type: ignore[arg-type]
    with pytest.raises(GuardrailUnavailable, match="no token") as raised:
        await safety.shield("x")
    assert (SECRET in raised.value.message, service.received) == (False, [])
    await safety.close()


@pytest.mark.parametrize(
    "endpoint",
    [
        *("", "contoso", "http://contoso.example", "http://10.0.0.1", "http://localhost.example", "ftp://localhost"),
        *(
            "https://",
            "https://key@contoso.example",
            "https://contoso.example?a=b",
            "https://contoso.example#a",
            "http://127.0.0.1@evil.example",
        ),
    ],
)
def test_an_endpoint_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="must be https"):
        connect(endpoint, "the-key", None, FakeClock())


@pytest.mark.parametrize(
    "endpoint", ["https://contoso.cognitiveservices.azure.com/", "http://127.0.0.1:1", "http://localhost:1/azure-ai", "http://[::1]:1"]
)
async def test_an_endpoint_is_https_or_on_the_loopback(endpoint: str) -> None:
    await connect(endpoint, "the-key", None, FakeClock()).close()


def test_somebody_must_ask() -> None:
    with pytest.raises(ValueError, match="key or a managed identity"):
        connect("https://contoso.example", "", None, FakeClock())
