"""Every step's refusal: the right error, exactly one record, and nothing spent."""

from typing import Any

import pytest

from gateway.access import keys
from gateway.domain.access import Principal
from gateway.domain.call import Answer, Operation
from gateway.domain.limits import Limits
from gateway.errors import GatewayError, MethodNotAllowed, NotFound, PayloadTooLarge, StoreUnavailable, UnsupportedMediaType
from tests.flow.street import ADMIN_KEY, CHAT, Street, completion

RATES = {f"x-ratelimit-{part}-{what}" for part in ("limit", "remaining", "reset") for what in ("requests", "tokens")}


async def assert_refused(street: Street, error: GatewayError, status: int, code: str) -> Any:
    """Check the error and its only record; nothing was sent or used."""
    record = await street.record()
    assert (error.status, error.code) == (status, code)
    assert (record["status"], record["error_code"]) == (status, code)
    assert (record["attempts"], record["prompt_tokens"], record["completion_tokens"], record["cost_micro_usd"]) == (0, 0, 0, 0)
    assert record["unpriced"] is False
    assert street.upstream.requests == []
    return record


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_api_key"),
        ({"authorization": "Basic Zm9v"}, "missing_api_key"),
        ({"authorization": "Bearer "}, "missing_api_key"),
        ({"authorization": "Bearer sk-something-else-entirely"}, "invalid_api_key"),
        ({"api-key": "gwk_short_key"}, "invalid_api_key"),
        ({"api-key": keys.mint().text}, "invalid_api_key"),
    ],
)
async def test_a_bad_key_is_refused_before_the_body_is_read(street: Street, headers: dict[str, str], code: str) -> None:
    error = await street.refused(headers={"authorization": ""} | headers)
    record = await assert_refused(street, error, 401, code)
    assert street.bodies_read == 0
    assert (record["tenant"], record["model"]) == ("-", "")


async def test_a_wrong_secret_under_a_right_id_is_refused(street: Street) -> None:
    good = await street.key()
    wrong = good[:-1] + ("A" if good[-1] != "A" else "B")
    await assert_refused(street, await street.refused(key=wrong), 401, "invalid_api_key")
    assert street.bodies_read == 0


async def test_the_administrators_key_calls_no_model(street: Street) -> None:
    await assert_refused(street, await street.refused(key=ADMIN_KEY), 403, "permission_denied")


async def test_a_key_that_cannot_be_checked_is_not_accepted(street: Street) -> None:
    await street.key()
    street.tables.down = True
    error = await street.refused()
    street.tables.down = False
    await assert_refused(street, error, 503, "store_unavailable")
    assert isinstance(error, StoreUnavailable)


async def test_an_unknown_model_is_not_found(street: Street) -> None:
    record = await assert_refused(street, await street.refused(CHAT | {"model": "gpt-9"}), 404, "model_not_found")
    assert (record["model"], record["product"]) == ("gpt-9", "all")


async def test_a_model_outside_the_product_is_forbidden(street: Street) -> None:
    await assert_refused(street, await street.refused(product="mini-only"), 403, "model_not_allowed")


async def test_a_product_that_is_gone_opens_nothing(street: Street) -> None:
    await street.key()
    del street.catalog.products["all"]  # type: ignore[attr-defined]
    await assert_refused(street, await street.refused(), 403, "product_not_found")


@pytest.mark.parametrize("path_model", ["gpt-9", "gpt-4o"])
async def test_getting_a_model_that_is_not_visible_finds_none(street: Street, path_model: str) -> None:
    over = {"operation": Operation.GET_MODEL, "path_model": path_model, "product": "mini-only"}
    await assert_refused(street, await street.refused(**over), 404, "model_not_found")


async def test_the_third_of_two_requests_a_minute_waits(street: Street) -> None:
    street.upstream.will(completion(), completion(), completion())
    await street.call(product="two-calls")
    street.clock.advance(10)
    assert (await street.call(product="two-calls")).headers["x-ratelimit-remaining-requests"] == "0"
    error = await street.refused(product="two-calls")
    assert (error.status, error.code, error.retry_after_s) == (429, "rate_limit_exceeded", 51)
    assert set(error.headers) == {name for name in RATES if name.endswith("requests")}
    assert error.details == {"scope": "product", "limit": "requests_per_minute"}
    assert sorted(str(record["status"]) for record in await street.records()) == ["200", "200", "429"]
    street.clock.advance(51)
    await street.call(product="two-calls")


async def test_tokens_are_limited_by_what_a_call_may_use(street: Street) -> None:
    error = await street.refused(CHAT | {"max_tokens": 989}, product="few-tokens")
    record = await assert_refused(street, error, 429, "rate_limit_exceeded")
    assert "more than the product's limit of 1000 tokens" in error.message
    assert error.headers["x-ratelimit-remaining-tokens"] == "1000"
    assert record["model"] == "gpt-4o"


async def test_every_choice_is_reserved_for(street: Street) -> None:
    assert (await street.refused(CHAT | {"max_tokens": 400, "n": 3}, product="few-tokens")).status == 429


async def test_a_refusal_for_tokens_counts_no_request(street: Street) -> None:
    both = Limits(requests_per_minute=1, tokens_per_minute=100)
    key = await street.subscribe(limits=both)
    street.upstream.will(completion())
    error = await street.refused(CHAT | {"max_tokens": 200}, key=key)
    assert set(error.headers) == RATES
    assert error.headers["x-ratelimit-remaining-requests"] == "1"
    await street.call(CHAT | {"max_tokens": 1}, key=key)


@pytest.mark.parametrize(
    ("over", "status", "code"),
    [
        ({"body": b"{"}, 400, None),
        ({"body": b"[]"}, 400, None),
        ({"document": {"messages": []}}, 400, "missing_required_parameter"),
        ({"fault": PayloadTooLarge("too large")}, 413, "request_too_large"),
        ({"fault": UnsupportedMediaType("what?")}, 415, "unsupported_media_type"),
        ({"headers": {"x-gateway-timeout-ms": "0"}}, 400, "invalid_value"),
        ({"headers": {"x-gateway-timeout-ms": "1.5"}}, 400, "invalid_value"),
        ({"headers": {"x-gateway-timeout-ms": "²"}}, 400, "invalid_value"),
    ],
)
async def test_a_bad_request_is_refused_once(street: Street, over: dict[str, Any], status: int, code: str | None) -> None:
    error = await street.refused(**over)
    record = await assert_refused(street, error, status, code or error.code)
    assert record["product"] == "all"


@pytest.mark.parametrize("error", [NotFound("no such route", code="unknown_url"), MethodNotAllowed("not that way")])
async def test_what_no_route_serves_is_recorded_too(street: Street, error: GatewayError) -> None:
    with pytest.raises(type(error)):
        await street.pipeline.refuse(street.inbound(operation=Operation.UNKNOWN, path="/v1/nowhere"), error)
    record = await assert_refused(street, error, error.status, error.code)
    assert (record["operation"], record["path"]) == ("unknown", "POST /v1/nowhere")


async def test_an_unforeseen_failure_becomes_a_500_that_tells_nothing(street: Street, caplog: pytest.LogCaptureFixture) -> None:
    error = await street.refused()  # nothing is scripted: the fake upstream itself fails
    record = await street.record()
    assert (error.status, error.code) == (record["status"], record["error_code"]) == (500, "internal_error")
    assert "IndexError" in caplog.text
    assert "deque" not in error.message


async def administer(street: Street, headers: dict[str, str], status: int = 201, fault: Exception | None = None) -> Answer:
    async def act(principal: Principal) -> Answer:
        if fault is not None:
            raise fault
        return Answer(headers={}, body=b"{}", status=status)

    inbound = street.inbound(operation=Operation.MANAGE, path="/manage/products", headers=headers)
    return await street.pipeline.administer(inbound, act)


AS_ADMIN = {"authorization": f"Bearer {ADMIN_KEY}"}


async def test_management_is_recorded_when_it_succeeds(street: Street) -> None:
    assert (await administer(street, AS_ADMIN)).status == 201
    record = await street.record()
    assert (record["operation"], record["status"], record["key_id"], record["tenant"]) == ("manage", 201, "bootstrap-admin", "default")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [(NotFound("no", code="tenant_not_found"), 404, "tenant_not_found"), (RuntimeError("a bug"), 500, "internal_error")],
)
async def test_management_is_recorded_when_it_fails(street: Street, fault: Exception, status: int, code: str) -> None:
    with pytest.raises(GatewayError) as caught:
        await administer(street, AS_ADMIN, fault=fault)
    await assert_refused(street, caught.value, status, code)


async def test_management_is_closed_to_virtual_keys_and_strangers(street: Street) -> None:
    for headers, status in (({"api-key": await street.key()}, 403), ({}, 401)):
        with pytest.raises(GatewayError) as caught:
            await administer(street, headers)
        assert caught.value.status == status
    assert sorted(str(record["status"]) for record in await street.records()) == ["401", "403"]
