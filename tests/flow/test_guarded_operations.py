"""Whatever is asked by whichever URL: personal data never reaches a backend, nor a secret, and what is blocked costs nothing.

Each route's own request is sent with the text in it that must not get out, wherever a client can put words: what is said, what stands
beside it, and members that nobody knows.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from gateway.domain.call import Operation, UpstreamRequest
from gateway.domain.catalog import Catalog
from gateway.domain.guardrails import JsonSchema, Pii, Secrets
from tests.fakes.upstream import Reply
from tests.flow.guarding import CARD, EMAIL, SECRET, asking, content, guarded, prompt, sent
from tests.flow.street import completion, failure, models
from tests.flow.test_every_surface import FORM, SERVED
from tests.flow.whole import Told, Whole, whole
from tests.house.asks import ASKS, Ask

# They have no body: what they lead to was guarded when it was made.
WITHOUT_BODY = ("_response", "_response_cancel", "_response_delete", "_response_input")
WALKED = [name for name in SERVED if not name.endswith(WITHOUT_BODY)]
WORDS = {"Hello", "A lighthouse"}
TENANT = "contoso"


class Walk:
    """A gateway, a key whose product has one guardrail, and all that went to backends."""

    def __init__(self, it: Whole, subscription: str, key: str) -> None:
        self.it, self.subscription, self.key = it, subscription, key
        self.sent: list[UpstreamRequest] = []
        it.network.meddle = self._note

    def _note(self, request: UpstreamRequest, _: dict[str, str]) -> None:
        self.sent.append(request)

    async def ask(self, ask: Ask, text: str, *, beside: bool = False, **headers: str) -> Told:
        path = f"{ask.path}{'&' if '?' in ask.path else '?'}note={quote(text, safe='')}" if ask.path.startswith("/ai/") else ask.path
        body = with_text(ask.body, text, beside=beside)
        kind = FORM if isinstance(body, bytes) else "application/json"
        return await self.it.asked(ask.method, path, self.key, body, **({"content_type": kind} | headers))

    async def records(self) -> list[Mapping[str, Any]]:
        await self.it.quiet()
        return [each.values for each in self.it.tables.rows("usage") if each.values.get("subscription") == self.subscription]

    def kept(self, text: str) -> list[str]:
        """Name the tables that hold a text."""
        return sorted({table for (table, _, _), entity in self.it.tables.data.items() if text in repr(entity.values)})


def with_text(body: Any, text: str, *, beside: bool) -> Any:
    """Put a text into every place of a request that holds words; or leave those alone, and put it into members beside them."""
    if isinstance(body, bytes):
        boundary = b"--house\r\n"
        return boundary + b'Content-Disposition: form-data; name="prompt"\r\n\r\n' + f"Say {text}".encode() + b"\r\n" + body
    return body | {"of_next_year": {"note": [text]}, "metadata": {"who": text}, "user": text} if beside else _put(body, f"Say {text} twice")


def _put(value: Any, text: str) -> Any:
    if isinstance(value, dict):
        return {name: _put(member, text) for name, member in value.items()}
    if isinstance(value, list):
        return [_put(each, text) for each in value]
    return text if value in WORDS else value


def written(folder: Path, text: str) -> list[Path]:
    """Return the files that hold a text."""
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def asks_of(name: str) -> list[Ask]:
    """Return a function's requests that are served and hold words."""
    return [ask for ask in ASKS[name] if ask.status == 200 and ask.method == "POST" and ask.body is not None]


def holds(request: UpstreamRequest, text: str) -> bool:
    shown = f"{request.url} {request.headers}".encode() + request.body
    return any(form.encode() in shown for form in (text, quote(text, safe=""), json.dumps(text)[1:-1]))


async def walk(it: Whole, guardrail: str) -> Walk:
    product = {"id": guardrail, "models": ["*"], "guardrails": [guardrail]}
    assert (await it.asked("POST", "/manage/products", document=product)).status == 201
    subscription, key = await it.subscribe(TENANT, guardrail, limits={"tokens": [{"period": "month", "limit": 10**9}]})
    return Walk(it, subscription, key)


def test_every_route_that_takes_words_is_walked() -> None:
    assert [name for name in WALKED if not asks_of(name)] == []
    assert len(WALKED) > len(SERVED) / 2


async def test_personal_data_reaches_no_backend_comes_back_and_is_kept_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with whole(tmp_path) as it:
        walked = await walk(it, "mask-pii")
        found: dict[str, list[Any]] = {}
        for name in WALKED:
            for ask in asks_of(name):
                walked.sent.clear()
                told = await walked.ask(ask, EMAIL)
                leaks = [request.url for request in walked.sent if holds(request, EMAIL)]
                found.setdefault(name, []).append(
                    (told.status, bool(walked.sent), leaks, b"EMAIL_1" in told.bytes, EMAIL in repr(told.headers))
                )
        assert found == {name: [(200, True, [], False, False)] * len(asks_of(name)) for name in WALKED}
        records = await walked.records()
        assert len(records) == sum(len(asks_of(name)) for name in WALKED)
        verdicts = [{(each["direction"], each["outcome"]) for each in json.loads(str(row["guardrails"]))} for row in records]
        assert [told for told in verdicts if ("messages", "redacted") not in told and ("messages", "skipped") not in told] == []
        assert walked.kept(EMAIL) == []
    assert EMAIL not in caplog.text
    assert written(tmp_path, EMAIL) == []


async def test_personal_data_in_members_that_nobody_knows_reaches_no_backend(tmp_path: Path) -> None:
    async with whole(tmp_path) as it:
        walked = await walk(it, "mask-pii")
        for name in WALKED:
            for ask in asks_of(name):
                told = await walked.ask(ask, EMAIL, beside=True)
                assert told.status in (200, 400), name  # some backends refuse what they do not know
        assert len(walked.sent) > len(WALKED) / 2
        assert [request.url for request in walked.sent if holds(request, EMAIL)] == []
        assert walked.kept(EMAIL) == []


async def test_a_secret_is_refused_before_any_backend_is_asked_costs_nothing_and_leaves_one_record(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with whole(tmp_path) as it:
        walked = await walk(it, "block-secrets")
        found: dict[str, list[Any]] = {}
        for name in WALKED:
            for ask in asks_of(name):
                told = await walked.ask(ask, SECRET)
                found.setdefault(name, []).append(
                    (told.status, b"guardrail_blocked" in told.bytes or told.bytes, SECRET.encode() in told.bytes)
                )
        assert found == {name: [(400, True, False)] * len(asks_of(name)) for name in WALKED}
        assert walked.sent == []
        records = await walked.records()
        assert len(records) == sum(len(asks_of(name)) for name in WALKED)
        assert {json.loads(str(each["guardrails"]))[0]["outcome"] for each in records} == {"blocked"}
        charged = ("cost_micro_usd", "charged_micro_usd", "charged_input_tokens", "charged_output_tokens", "attempts")
        assert {tuple(each.get(name, 0) for name in charged) for each in records} == {(0, 0, 0, 0, 0)}
        assert walked.kept(SECRET) == []
    counters = [each for each in it.tables.rows("limits") if each.row.startswith("c|") and walked.subscription in each.partition]
    assert {(each.values["out"], each.values["spent"]) for each in counters if "tokens" in each.row} == {(0, 0)}
    assert SECRET not in caplog.text


async def test_an_explanation_blocks_what_the_call_would_and_repeats_nothing(tmp_path: Path) -> None:
    async with whole(tmp_path) as it:
        walked = await walk(it, "block-secrets")
        for name in WALKED:
            told = await walked.ask(asks_of(name)[0], SECRET, x_gateway_explain="true")
            assert (name, told.status, told.json["refusal"]["code"]) == (name, 200, "guardrail_blocked")
            assert SECRET.encode() not in told.bytes
        assert walked.sent == []


async def test_a_backends_refusal_is_told_without_what_guardrails_find_in_it() -> None:
    street = guarded(Pii(id="mask"), Secrets(id="block-secrets"))
    said = iter([f"you said: I am <EMAIL_1>, and {CARD}", f"the key is {SECRET}"])
    street.upstream.does = lambda _: Reply(status=400, steps=[json.dumps({"error": {"message": next(said), "code": "odd"}}).encode()])
    assert (await street.refused(asking(f"I am {EMAIL}"))).message == f"you said: I am {EMAIL}, and [PAYMENT_CARD]"
    assert (await street.refused(asking("What is it?"))).message == "[withheld by the gateway's guardrail 'block-secrets']"


async def test_every_attempt_gets_the_masked_call() -> None:
    street = guarded(Pii(id="mask"))
    street.upstream.will(failure(500), failure(500), completion("Dear <EMAIL_1>"))
    assert EMAIL in await content(street, asking(f"I am {EMAIL}"))
    assert [EMAIL.encode() in each.body for each in street.upstream.requests] == [False] * 3


async def test_a_request_for_repair_has_placeholders_still() -> None:
    street = guarded(Pii(id="mask"), JsonSchema(id="form", schema={"enum": [EMAIL, "nobody"]}))
    street.upstream.will(completion("<EMAIL_1>"), completion('"<EMAIL_1>"'))
    assert await content(street, asking(f"Say {EMAIL} as JSON")) == json.dumps(EMAIL)
    assert [EMAIL.encode() in each.body for each in street.upstream.requests] == [False] * 2
    assert "is not JSON" in prompt(street)


@pytest.mark.parametrize("native", [True, False])
async def test_what_a_response_repeats_of_its_request_gets_its_originals_back(native: bool) -> None:
    street = guarded(Pii(id="mask"))
    model = msgspec.structs.replace(models()[0], capabilities=("responses",) if native else ("chat",))
    street.catalog = Catalog((model,), tuple(street.catalog.products.values()), guardrails=street.catalog.guardrails)
    street.upstream.does = lambda sent: Reply(steps=[answer_of(json.loads(sent.body))])
    asked = {"model": "gpt-4o", "input": "Hi", "instructions": f"You serve {EMAIL}", "metadata": {"who": EMAIL}}
    told = json.loads((await street.call(asked, operation=Operation.RESPONSES)).body)
    assert EMAIL.encode() not in street.upstream.requests[0].body
    assert ("metadata" in sent(street), "messages" in sent(street)) == (native, not native)
    assert (told["instructions"], told["metadata"]) == (asked["instructions"], asked["metadata"])


def answer_of(asked: dict[str, Any]) -> bytes:
    if "messages" in asked:
        return completion("Hi").steps[0]  # type: ignore[return-value]
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    return json.dumps({"id": "resp_1", "object": "response", "status": "completed", "output": [], "usage": usage, **asked}).encode()
