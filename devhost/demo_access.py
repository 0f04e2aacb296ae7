"""The second half of `make demo`: who may ask, how much, and what it cost.

A tenant with three subscriptions is made at `/manage`, as any administrator makes one: to a product with a budget that is soon
used up, to one that takes two calls a minute, and to one that asks before a dear call; the last one is also bound to an
application of the simulated Entra ID.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import aiohttp
import openai

from devhost import console
from devhost.demo_calls import Seen, Step, chat
from devhost.simulator.config import ENTRA_AUDIENCE, ENTRA_TENANT

TENANT = "contoso"
APPLICATION = "cccccccc-0000-4000-8000-000000000009"
PRODUCTS: tuple[dict[str, Any], ...] = (
    {"id": "small-budget", "models": ["gpt-4o*"], "shared_limits": {"budget_usd": [{"period": "month", "limit": 0.0004}]}},
    {"id": "two-a-minute", "models": ["gpt-4o*"], "limits": {"requests_per_minute": 2}},
    {"id": "asks-first", "models": ["*"], "call_cost": {"over_usd": 0.002}},
)
MOST_CALLS = 40
WRITTEN_S, LOOKS = 0.5, 20  # records are written every 0.25 s
COLUMNS = ("tenant", "product", "calls", "failed", "tokens", "cost")


@dataclass(frozen=True, slots=True)
class Keys:
    """What the calls are made with: a virtual key for each product, and an access token."""

    small_budget: str
    two_a_minute: str
    asks_first: str
    token: str


async def prepare(facts: dict[str, Any], simulator_url: str) -> Keys:
    """Make the tenant, its products and its subscriptions; get a token.

    Args:
        facts: What the gateway's ready file says.
        simulator_url: Where tokens are issued.

    Raises:
        aiohttp.ClientResponseError: The gateway refused.
    """
    async with _manage(facts) as http:
        await _post(http, "/manage/tenants", {"id": TENANT, "name": "Contoso"})
        keys = []
        for product in PRODUCTS:
            await _post(http, "/manage/products", product)
            identities = [APPLICATION] if product["id"] == "asks-first" else []
            order = {"tenant": TENANT, "product": product["id"], "name": product["id"], "identities": identities}
            keys.append((await _post(http, "/manage/subscriptions", order))["keys"]["primary"])
    small_budget, two_a_minute, asks_first = keys
    form = {"grant_type": "client_credentials", "client_id": APPLICATION, "client_secret": "any", "scope": f"{ENTRA_AUDIENCE}/.default"}
    url = f"{simulator_url}/entra/{ENTRA_TENANT}/oauth2/v2.0/token"
    async with aiohttp.ClientSession(raise_for_status=True) as http, http.post(url, data=form) as answer:
        return Keys(small_budget, two_a_minute, asks_first, (await answer.json())["access_token"])


def steps(keys: Keys) -> tuple[Step, ...]:
    """Return the calls."""
    return (
        Step("a token of Entra ID, no key", lambda client: chat(client.with_options(api_key=keys.token), console.MODEL), 200),
        Step("a dear call is asked about first", lambda client: chat(client.with_options(api_key=keys.asks_first), "gpt-4o"), 402),
        Step(
            "and made once that is agreed to",
            lambda client: chat(client.with_options(api_key=keys.asks_first), "gpt-4o", {"x-gateway-accept-cost-usd": "0.01"}),
            200,
        ),
        Step("two calls a minute, the third", lambda client: until_refused(client, keys.two_a_minute), 429),
        Step("a monthly budget is used up", lambda client: until_refused(client, keys.small_budget), 403),
    )


async def until_refused(client: openai.AsyncOpenAI, key: str) -> Seen:
    """Call until that is refused, and return the refusal; or the last answer."""
    seen = Seen(0)
    for done in range(MOST_CALLS):
        seen = await chat(client.with_options(api_key=key), console.MODEL)
        if seen.status != 200:
            seen.note += f" after {done} calls"
            break
    return seen


async def spending(facts: dict[str, Any], calls: int) -> list[tuple[str, ...]]:
    """Return who spent what, a row for each tenant and product, once all calls are recorded.

    Args:
        facts: What the gateway's ready file says.
        calls: How many there are at least; more are recorded where two looks see the same.

    Raises:
        aiohttp.ClientResponseError: The gateway refused.
    """
    before: list[dict[str, Any]] = []
    async with _manage(facts) as http:
        for _ in range(LOOKS):
            async with http.get("/manage/usage", params={"group_by": "tenant,product"}) as answer:
                report = await answer.json()
            if report["data"] == before and report["total"]["requests"] >= calls:
                break
            before = report["data"]
            await asyncio.sleep(WRITTEN_S)
    return [row(each) for each in report["data"]]


def row(sums: dict[str, Any]) -> tuple[str, ...]:
    """Lay out one row of a report for the table."""
    counts = (f"{sums[name]:,}" for name in ("requests", "errors", "total_tokens"))
    return (sums["tenant"], sums["product"] or "-", *counts, f"${sums['cost_usd']:.6f}")


def _manage(facts: dict[str, Any]) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(facts["url"], headers={"authorization": f"Bearer {facts['admin_key']}"}, raise_for_status=True)


async def _post(http: aiohttp.ClientSession, path: str, document: dict[str, Any]) -> dict[str, Any]:
    async with http.post(path, json=document) as answer:
        made: dict[str, Any] = await answer.json()
    return made
