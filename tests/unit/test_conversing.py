"""Calls that do not fit their model's window, as their product says."""

import json
from typing import Any

import msgspec
import pytest

from gateway.conversations.summary import MARK
from gateway.conversing import Conversing
from gateway.domain.call import Call, Operation
from gateway.domain.catalog import Catalog, Model
from gateway.domain.conversations import Window
from gateway.domain.labels import Labels
from gateway.domain.policy import Fallbacks, Lifecycle, LifecycleState, Rule, When
from gateway.domain.request import Request
from gateway.errors import NoCapacity, RequestError
from gateway.metering.draft import Draft
from gateway.metering.tokens import Count
from gateway.settlement import Flight
from tests.builders import make_call, make_deployment, make_inbound, make_model, make_principal, make_product
from tests.fakes.clock import FakeClock

CLOCK = FakeClock()


def model(name: str, window: int | None, **over: Any) -> Model:
    return make_model(make_deployment(id=name), id=name, context_window=window, **over)


SMALL = model("small", 500, fallbacks=Fallbacks(context_length=("middle", "big")))
MODELS = (SMALL, model("middle", 600), model("big", 5000, max_output_tokens=50), model("cheap", 8000))
TALK = [
    {"role": "system", "content": "S" * 20},
    {"role": "user", "content": "a" * 250},
    {"role": "assistant", "content": "b" * 200},
    {"role": "user", "content": "c" * 150},
    {"role": "assistant", "content": "d" * 80},
    {"role": "user", "content": "e" * 50},
]  # fmt: skip


class Parts:
    """A `Conversing` over a counter of characters and a model that answers what it is told to."""

    def __init__(self, *, bound: bool = False, answer: str | Exception = "They said a and b.") -> None:
        self.counted: list[str] = []
        self.asked: list[tuple[str, list[dict[str, Any]], int]] = []
        self.answer, self.bound = answer, bound
        self.draft = Draft(make_inbound())
        self.flight = Flight(self.draft)
        self.conversing = Conversing(self.count, self.ask, CLOCK)

    async def count(self, call: Call, model: Model) -> Count:
        self.counted.append(model.id)
        messages = call.document.get("messages", call.document.get("input", ()))
        texts = [messages] if isinstance(messages, str) else [str(each.get("content") or "") for each in messages]
        return Count(sum(map(len, texts)), exact=not self.bound, bound=self.bound)

    async def ask(self, flight: Flight, request: Request, model: str, messages: list[dict[str, Any]], max_tokens: int) -> str:
        assert flight is self.flight
        self.asked.append((model, messages, max_tokens))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def fit(self, request: Request, **window: Any) -> Request:
        return await self.conversing.fit(self.draft, request, make_product(window=Window(**window)))

    async def summarise(self, request: Request, **window: Any) -> Request:
        rules = Window(**{"over": "summarise", "summary_model": "cheap", "keep_turns": 1} | window)
        return await self.conversing.summarise(self.flight, request, make_product(window=rules))


def request(
    messages: Any = TALK, asked: Model = SMALL, rules: tuple[Rule, ...] = (), models: tuple[Model, ...] = MODELS, **more: Any
) -> Request:
    operation, call_over = more.pop("operation", Operation.CHAT), {"pinned": more.pop("pinned", "")}
    param = "input" if operation is Operation.RESPONSES else "messages"
    ceiling = more.get("max_tokens")
    call = make_call({"model": asked.id, param: messages, **more}, operation=operation, max_output_tokens=ceiling, **call_over)
    catalog = Catalog((asked, *(each for each in models if each.id != asked.id)), (), rules)
    return Request(call, asked, catalog, make_principal(), Labels(), 10.0)


def said(request: Request) -> Any:
    document = json.loads(request.call.body)
    assert document == request.call.document
    return document.get("messages", document.get("input"))


async def test_a_short_call_is_neither_counted_nor_changed() -> None:
    parts, short = Parts(), request(TALK[-1:])
    for over in ("refuse", "truncate", "bigger-model"):
        assert await parts.fit(short, over=over) is short
    assert await parts.summarise(short) is short
    assert (parts.counted, parts.draft.changes) == ([], [])


async def test_without_a_window_nothing_is_counted() -> None:
    parts, long = Parts(), request()
    assert await parts.conversing.fit(parts.draft, long, make_product()) is long
    assert await parts.conversing.summarise(parts.flight, long, make_product()) is long
    nobody_knows = request(asked=model("unknown", None))
    assert await parts.fit(nobody_knows, over="truncate") is nobody_knows
    assert parts.counted == []


async def test_what_fits_by_its_tokens_passes() -> None:
    parts, fits = Parts(), request(TALK[3:], max_tokens=150)
    assert len(fits.call.body) + 150 > 500
    assert await parts.fit(fits, over="refuse") is fits


async def test_what_does_not_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(RequestError, match=r"maximum context length is 500 tokens.*\(750 in the messages, 100") as caught:
        await Parts().fit(request(max_tokens=100), over="refuse")
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, "context_length_exceeded", "messages")


async def test_what_only_the_backend_can_tell_is_not_refused() -> None:
    bound = request([{"role": "user", "content": "x" * 2000}])
    assert await Parts(bound=True).fit(bound, over="refuse") is bound
    with pytest.raises(RequestError):
        await Parts(bound=True).fit(request([{"role": "user", "content": "x" * 4000}]), over="refuse")


async def test_the_oldest_turns_go_until_the_answers_ceiling_fits_too() -> None:
    parts = Parts()
    fitted = await parts.fit(request(max_tokens=100, seed=7), over="truncate", keep_turns=1)
    assert said(fitted) == [TALK[0], *TALK[3:]]
    assert fitted.call.document["seed"] == 7
    assert parts.draft.changes == ["truncated"]


async def test_turns_that_are_to_stay_and_do_not_fit_are_refused() -> None:
    with pytest.raises(RequestError, match="maximum context length"):
        await Parts().fit(request(), over="truncate", keep_turns=3)
    with pytest.raises(RequestError, match="in the input"):
        await Parts().fit(request("x" * 600, operation=Operation.RESPONSES, max_tokens=1), over="truncate")


async def test_the_first_fallback_that_is_big_enough_is_asked_in_place_of_the_model() -> None:
    parts = Parts()
    fitted = await parts.fit(request(max_tokens=100), over="bigger-model")
    assert fitted.model.id == "big"
    assert fitted.call.max_output_tokens == 50
    assert said(fitted) == TALK
    assert parts.draft.changes == ["bigger_model", "output_clamped"]


async def test_a_named_bigger_model_is_asked_and_no_other() -> None:
    assert (await Parts().fit(request(), over="bigger-model", model="cheap")).model.id == "cheap"
    with pytest.raises(RequestError, match="maximum context length is 500"):
        await Parts().fit(request(), over="bigger-model", model="middle")


CONFINING = (Rule("here", When(model=("small",)), confine=True),)
RETIRED = (model("middle", 600), model("big", 5000, lifecycle=Lifecycle(LifecycleState.RETIRED)))


@pytest.mark.parametrize(
    "kept",
    [request(rules=CONFINING), request(pinned="east"), request(models=RETIRED)],
    ids=["a rule confines it", "it refers to what one deployment holds", "the bigger one is retired"],
)
async def test_no_bigger_model_is_asked_where_it_may_not_be(kept: Request) -> None:
    with pytest.raises(RequestError, match="maximum context length is 500"):
        await Parts().fit(kept, over="bigger-model")


async def test_what_will_be_summarised_is_left_alone_at_first() -> None:
    parts, long = Parts(), request()
    assert await parts.fit(long, over="summarise", summary_model="cheap") is long
    assert (parts.asked, parts.counted) == ([], [])


async def test_old_turns_become_a_message_of_the_users_that_a_cheap_model_writes() -> None:
    parts = Parts()
    shortened = await parts.summarise(request(max_tokens=20))
    stand_in = {"role": "user", "content": f"{MARK}\n\nThey said a and b."}
    assert said(shortened) == [TALK[0], stand_in, *TALK[3:]]
    assert parts.draft.changes == ["summarised"]
    ((asked, messages, tokens),) = parts.asked
    assert (asked, tokens) == ("cheap", 48)
    assert "a" * 200 in messages[1]["content"]
    assert "S" * 20 not in messages[1]["content"]
    assert "c" * 150 not in messages[1]["content"]


async def test_a_summary_is_made_once_also_when_the_conversation_goes_on() -> None:
    parts = Parts()
    first = await parts.summarise(request(max_tokens=20))
    grown = [*TALK, {"role": "assistant", "content": "f" * 10}, {"role": "user", "content": "g" * 10}]
    second = await parts.summarise(request(grown, max_tokens=20))
    assert len(parts.asked) == 1
    assert said(second)[:3] == said(first)[:3]
    other = request(max_tokens=20)
    await parts.summarise(msgspec.structs.replace(other, principal=make_principal(tenant="fabrikam")))
    assert len(parts.asked) == 2


async def test_what_does_not_fit_with_summaries_is_truncated() -> None:
    parts = Parts(answer="s" * 400)
    shortened = await parts.summarise(request(max_tokens=20))
    assert len(parts.asked) == 1
    assert parts.draft.changes == ["truncated"]
    assert said(shortened) == [TALK[0], *TALK[3:]]


@pytest.mark.parametrize("answer", [NoCapacity("down"), "  "], ids=["it fails", "it writes nothing"])
async def test_without_a_summary_old_turns_are_truncated(answer: str | Exception, caplog: pytest.LogCaptureFixture) -> None:
    parts = Parts(answer=answer)
    shortened = await parts.summarise(request(max_tokens=20))
    assert said(shortened) == [TALK[0], *TALK[3:]]
    assert parts.draft.changes == ["summary_failed", "truncated"]
    assert "aaa" not in caplog.text


async def test_one_turn_that_is_too_long_is_refused_and_nobody_is_asked() -> None:
    parts = Parts()
    with pytest.raises(RequestError, match="maximum context length"):
        await parts.summarise(request([{"role": "user", "content": "x" * 900}]))
    assert parts.asked == []


@pytest.mark.parametrize(
    ("window", "asked", "given", "becomes", "change"),
    [
        ({"max_output_tokens": 30}, SMALL, 90, 30, ["output_clamped"]),
        ({"max_output_tokens": 30}, SMALL, 20, 20, []),
        ({"max_output_tokens": 30}, SMALL, None, 30, ["output_defaulted"]),
        ({"default_output_tokens": 25, "max_output_tokens": 30}, SMALL, None, 25, ["output_defaulted"]),
        ({"default_output_tokens": 80}, MODELS[2], None, 50, ["output_defaulted"]),
        ({"max_output_tokens": 80}, MODELS[2], 70, 50, ["output_clamped"]),
        ({}, MODELS[2], 70, 50, ["output_clamped"]),
        ({}, SMALL, None, None, []),
    ],
)
async def test_a_products_ceilings_hold_beside_the_models(
    window: dict[str, Any], asked: Model, given: int | None, becomes: int | None, change: list[str]
) -> None:
    parts = Parts()
    limits = {} if given is None else {"max_tokens": given}
    fitted = await parts.fit(request(TALK[-1:], asked=asked, **limits), **window)
    assert fitted.call.max_output_tokens == becomes
    assert parts.draft.changes == change
