"""Long conversations on the street: refused, truncated, sent to a bigger model or summarised, as the product says."""

import json
from typing import Any

import pytest

from gateway.captures.rebuild import as_sent, proved, rebuild
from gateway.conversations.summary import MARK
from gateway.domain.access import Product
from gateway.domain.call import Operation, Surface
from gateway.domain.catalog import Catalog
from gateway.domain.conversations import Capture, Window
from gateway.domain.guardrails import Guardrail, Pii
from gateway.domain.limits import Limits
from gateway.domain.policy import Fallbacks, Rule, When
from gateway.metering.tokens import TokenCounter
from tests.builders import make_model, make_product
from tests.flow.guarding import sent
from tests.flow.replayed import Recording
from tests.flow.street import COST, USAGE_JSON, Street, completion, failure, priced, read, streamed
from tests.flow.test_rebuilding import encoded

EMAIL = "ada@contoso.com"
WORDS = "the quick brown fox jumps over the lazy dog " * 40  # 361 tokens
WINDOW = 600
CALLED = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q": "fox"}'}}
TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": f"I am {EMAIL}. {WORDS}"},
    {"role": "assistant", "content": None, "tool_calls": [CALLED]},
    {"role": "tool", "tool_call_id": "c1", "content": WORDS},
    {"role": "assistant", "content": "A fox."},
    {"role": "user", "content": f"And now? {WORDS}"},
    {"role": "assistant", "content": "A dog."},
    {"role": "user", "content": "Which one jumps?"},
]
ASKED = {"model": "small", "messages": TALK, "max_tokens": 50}


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    counter = TokenCounter()
    counter.start_loading()
    assert counter.wait(60.0)
    return counter


@pytest.fixture
def street(counter: TokenCounter, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a street whose product has this window."""
    monkeypatch.setattr("tests.flow.street.TokenCounter", lambda: counter)

    def make(product: Product | Window | None, *guardrails: Guardrail, rules: tuple[Rule, ...] = ()) -> Street:
        fallbacks = Fallbacks(context_length=("gpt-4o-big",))
        models = (
            make_model(priced("gpt-4o-small"), id="small", context_window=WINDOW, fallbacks=fallbacks),
            make_model(priced("gpt-4o-big"), id="gpt-4o-big", context_window=5000),
            make_model(priced("gpt-4o-mini"), id="gpt-4o-mini", context_window=8000),
        )
        if not isinstance(product, Product):
            product = make_product(id="all", window=product, guardrails=tuple(each.id for each in guardrails))
        return Street(Catalog(models, (product,), rules, guardrails={each.id: each for each in guardrails}))

    return make


SUMMARISE = Window(over="summarise", summary_model="gpt-4o-mini", keep_turns=1)


async def test_what_is_over_the_window_is_refused_before_anything_is_reserved_or_sent(street: Any) -> None:
    refusing = street(make_product(id="all", window=Window(), limits=Limits(requests_per_minute=1)))
    error = await refusing.refused(ASKED)
    assert (error.status, error.code, error.param) == (400, "context_length_exceeded", "messages")
    assert "maximum context length is 600 tokens" in error.message
    assert refusing.upstream.requests == []
    refusing.upstream.will(completion())
    await refusing.call(ASKED | {"messages": TALK[-1:]})


async def test_without_a_window_the_context_length_fallback_answers_as_ever(street: Any) -> None:
    plain = street(None)
    plain.upstream.will(completion())
    await plain.call(ASKED)
    record = await plain.record()
    assert (record["model"], record["fallback"], record["changes"]) == ("gpt-4o-big", "context_length", "")


@pytest.mark.parametrize("stream", [False, True])
async def test_the_oldest_turns_go_with_their_tools_results_and_the_rest_keeps_its_bytes(street: Any, *, stream: bool) -> None:
    truncating = street(Window(over="truncate", keep_turns=1))
    truncating.upstream.will(streamed() if stream else completion())
    answer = await truncating.call(ASKED | {"temperature": 0.5, "stream": stream})
    if stream:
        await read(answer)
    assert sent(truncating)["messages"] == [TALK[0], *TALK[5:]]
    assert sent(truncating)["temperature"] == 0.5
    assert (await truncating.record())["changes"] == "truncated"


async def test_anthropics_messages_and_responses_are_truncated_too(street: Any) -> None:
    truncating = street(Window(over="truncate", keep_turns=1))
    talk = [{"role": "user", "content": WORDS * 3}, {"role": "assistant", "content": "A."}, {"role": "user", "content": "B?"}]
    truncating.upstream.will(completion(), completion())
    messages = {"model": "small", "system": "Be kind.", "messages": talk, "max_tokens": 50}
    await truncating.call(messages, operation=Operation.MESSAGES, surface=Surface.ANTHROPIC, path="/v1/messages")
    assert [each["content"] for each in sent(truncating)["messages"]] == ["Be kind.", "B?"]
    await truncating.call({"model": "small", "input": talk}, operation=Operation.RESPONSES, path="/v1/responses")
    assert [each["content"] for each in sent(truncating)["messages"]] == ["B?"]  # a backend that knows chats alone


async def test_a_bigger_model_is_asked_and_the_record_says_so(street: Any) -> None:
    switching = street(Window(over="bigger-model"))
    switching.upstream.will(completion())
    answer = await switching.call(ASKED)
    assert answer.headers["x-gateway-model"] == "gpt-4o-big"
    assert sent(switching)["messages"] == TALK
    record = await switching.record()
    assert (record["model"], record["changes"], record["fallback"]) == ("gpt-4o-big", "bigger_model", "")


async def test_no_call_leaves_what_a_rule_confines_it_to_for_a_bigger_model(street: Any) -> None:
    confined = street(Window(over="bigger-model"), rules=(Rule("stay", When(model=("small",)), confine=True),))
    assert (await confined.refused(ASKED)).code == "context_length_exceeded"
    assert confined.upstream.requests == []


async def test_a_cheap_model_summarises_and_its_cost_is_on_the_same_record_and_paid_once(street: Any) -> None:
    summarising = street(SUMMARISE)
    summarising.upstream.will(completion("Ada asked for a fox."), completion("The fox."), completion("Still the fox."))
    answer = await summarising.call(ASKED)
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "The fox."
    assert sent(summarising)["messages"] == [
        TALK[0], {"role": "user", "content": f"{MARK}\n\nAda asked for a fox."}, *TALK[5:],
    ]  # fmt: skip
    assert sent(summarising, 0)["messages"][0]["role"] == "system"
    assert "the lazy dog" in sent(summarising, 0)["messages"][1]["content"]
    record = await summarising.record()
    assert (record["changes"], record["model"], record["cost_micro_usd"]) == ("summarised", "small", 2 * COST)
    assert record["prompt_tokens"] == 2 * USAGE_JSON["prompt_tokens"]
    grown = [*TALK, {"role": "assistant", "content": "The fox."}, {"role": "user", "content": "Sure?"}]
    await summarising.call(ASKED | {"messages": grown})
    assert len(summarising.upstream.requests) == 3
    assert sent(summarising)["messages"][1]["content"] == f"{MARK}\n\nAda asked for a fox."
    assert (await summarising.records())[-1]["cost_micro_usd"] == COST


async def test_where_the_cheap_model_fails_old_turns_are_truncated(street: Any) -> None:
    summarising = street(SUMMARISE)
    summarising.upstream.will(failure(400, "invalid_request"), completion())
    await summarising.call(ASKED)
    assert sent(summarising)["messages"] == [TALK[0], *TALK[5:]]
    assert (await summarising.record())["changes"] == "summary_failed truncated"


async def test_the_cheap_model_sees_what_guardrails_left_of_a_conversation(street: Any) -> None:
    summarising = street(SUMMARISE, Pii(id="mask"))
    summarising.upstream.will(completion("Somebody asked."), completion())
    await summarising.call(ASKED)
    assert len(summarising.upstream.requests) == 2
    assert all(EMAIL.encode() not in request.body for request in summarising.upstream.requests)


async def test_a_call_that_a_rule_confines_is_told_to_no_other_model(street: Any) -> None:
    confined = street(SUMMARISE, rules=(Rule("stay", When(tenant=("*",)), confine=True),))
    confined.upstream.will(completion())
    await confined.call(ASKED)
    (request,) = confined.upstream.requests
    assert "gpt-4o-small" in request.url
    assert (await confined.record())["changes"] == "summary_failed truncated"


async def test_a_products_ceiling_holds_and_is_set_where_there_is_none(street: Any) -> None:
    held = street(Window(max_output_tokens=40))
    held.upstream.will(completion(), completion())
    await held.call({"model": "small", "messages": TALK[-1:], "max_tokens": 90})
    assert sent(held)["max_tokens"] == 40
    await held.call({"model": "small", "messages": TALK[-1:]})
    assert sent(held)["max_completion_tokens"] == 40
    assert [each["changes"] for each in await held.records()] == ["output_clamped", "output_defaulted"]


@pytest.mark.parametrize("over", ["truncate", "summarise", "bigger-model"])
async def test_what_a_backend_was_sent_is_computed_again_also_where_a_conversation_was_shortened(street: Any, over: Any) -> None:
    summary_model = "gpt-4o-mini" if over == "summarise" else ""
    window = Window(over=over, summary_model=summary_model, keep_turns=1, max_output_tokens=40)
    catalog = street(make_product(id="all", window=window, capture=Capture())).catalog
    recording = Recording(catalog)
    recording.upstream.will(completion("Short."), completion())
    await recording.call(ASKED)
    (kept,) = await recording.kept()
    by = {"truncate": "window", "summarise": "summary"}
    assert [each.by for each in kept.changes] == ["limits", *([by[over]] if over in by else [])]
    rebuilt = rebuild(kept, None, as_sent, encoded)
    assert rebuilt == kept.upstream_body
    assert proved(kept, rebuilt)
