"""Whatever a subscription calls, by whichever URL: it is limited, metered, and its counters say what the ledger says."""

from collections import Counter
from pathlib import Path
from typing import Any

from gateway.domain.readers import READERS
from gateway.routes.table import ANTHROPIC_ROWS, AZURE_ROWS, OPENAI_ROWS
from tests.flow.whole import FUNCTIONS, Told, Whole, whole
from tests.house.asks import ASKS, Ask

ROWS = (*OPENAI_ROWS, *AZURE_ROWS, *ANTHROPIC_ROWS)
# Routes that call no model and reserve nothing: a list of names.
FREE = {row.name for row in ROWS if row.operation not in READERS}
SERVED = sorted({row.name for row in ROWS} - FREE | {"zz_ai_forward"})
OTHERS = ("manage_", "zz_", "healthz", "readyz")
# What has no tokens, by how its functions' names end: paid by the character or the second, by the transaction, or not at all;
# the tokens of a stored response were charged to whoever had it made.
WITHOUT_TOKENS = (
    *("_speech", "_transcriptions", "zz_ai_forward", "_moderations"),
    *("_response", "_response_cancel", "_response_delete", "_response_input"),
)
TENANT = "contoso"
FORM = "multipart/form-data; boundary=house"


async def send(it: Whole, ask: Ask, key: str, made: str) -> Told:
    kind = FORM if isinstance(ask.body, bytes) else "application/json"
    return await it.asked(ask.method, ask.path.replace("{made}", made), key, ask.body, content_type=kind)


async def served(it: Whole, name: str, key: str, maker: str) -> Told:
    """Send the function's first request that must be served; what it is about is made by another subscription."""
    stored, made = "_response_" in f"{name}_", ""
    ask = next(ask for ask in ASKS[name] if ask.status == 200 and (not stored or "{made}" in ask.path))
    if "{made}" in ask.path:
        made = (await send(it, ASKS[name][0], maker, "")).json["id"]
    return await send(it, ask, key, made)


def test_all_routes_that_call_models_are_walked() -> None:
    assert {name for name in FUNCTIONS if not name.startswith(OTHERS)} == {*SERVED, *FREE} - {"zz_ai_forward"}
    assert {FUNCTIONS[name][0].template.rpartition("/")[2] for name in FREE} == {
        *("models", "{model}", "prompts", "{prompt}", "openapi.json", "feedback", "{session}"),
    }


async def test_a_second_call_within_the_minute_is_refused_everywhere(tmp_path: Path) -> None:
    async with whole(tmp_path) as it:
        _, maker = await it.subscribe(TENANT)
        found: dict[str, Any] = {}
        for name in SERVED:
            _, key = await it.subscribe(TENANT, limits={"requests_per_minute": 1})
            told = [await served(it, name, key, maker) for _ in range(2)]
            found[name] = (told[0].status, told[1].status, told[1].code, "retry-after" in told[1].headers)
        assert found == dict.fromkeys(SERVED, (200, 429, "rate_limit_exceeded", True))


async def test_a_quota_that_is_used_up_refuses_everywhere(tmp_path: Path) -> None:
    async with whole(tmp_path) as it:
        _, maker = await it.subscribe(TENANT)
        found: dict[str, Any] = {}
        for name in SERVED:
            _, key = await it.subscribe(TENANT, limits={"requests": [{"period": "month", "limit": 1}]})
            told = [await served(it, name, key, maker) for _ in range(2)]
            found[name] = (told[0].status, told[1].status, told[1].code)
        assert found == dict.fromkeys(SERVED, (200, 403, "insufficient_quota"))


async def test_a_quota_of_tokens_refuses_everywhere_where_there_are_tokens(tmp_path: Path) -> None:
    async with whole(tmp_path) as it:
        _, maker = await it.subscribe(TENANT)
        found: dict[str, Any] = {}
        for name in SERVED:
            _, key = await it.subscribe(TENANT, limits={"tokens": [{"period": "month", "limit": 1}]})
            told = [await served(it, name, key, maker) for _ in range(3)]
            found[name] = told[-1].status
        assert found == {name: 200 if name.endswith(WITHOUT_TOKENS) else 403 for name in SERVED}


async def test_counters_say_what_the_ledger_says_of_every_route(tmp_path: Path) -> None:
    month = [{"period": "month", "limit": 10**9}]
    limits = {
        "requests": month, "tokens": [*month, month[0] | {"count": "input"}, month[0] | {"count": "output"}], "budget_usd": month,
        "mode": "soft",
    }  # fmt: skip
    subscriptions: dict[str, str] = {}
    async with whole(tmp_path) as it:
        _, maker = await it.subscribe(TENANT)
        for name in SERVED:
            subscription, key = await it.subscribe(TENANT, limits=limits)
            subscriptions[subscription] = name
            assert (await served(it, name, key, maker)).status == 200
    ledger: dict[str, Counter[str]] = {name: Counter() for name in SERVED}
    for row in (entity.values for entity in it.tables.rows("usage")):
        if (name := subscriptions.get(str(row.get("subscription")))) is not None:
            asked, said = (int(str(row.get(f"charged_{kind}_tokens", 0))) for kind in ("input", "output"))
            ledger[name].update({
                "requests.month": int(str(row.get("charged_requests", 0))), "tokens.month": asked + said, "input_tokens.month": asked,
                "output_tokens.month": said, "cost.month": int(str(row.get("charged_micro_usd", 0))),
            })  # fmt: skip
    counted: dict[str, Counter[str]] = {name: Counter() for name in SERVED}
    for entity in it.tables.rows("limits"):
        if entity.row.startswith("c|") and entity.partition.startswith("subscription|"):
            assert entity.values["out"] == 0
            counted[subscriptions[entity.partition.rpartition("|")[2]]][entity.row.split("|")[1]] = int(str(entity.values["spent"]))
    assert {name: +each for name, each in counted.items()} == {name: +each for name, each in ledger.items()}
    assert {name: each["requests.month"] for name, each in ledger.items()} == dict.fromkeys(SERVED, 1)
