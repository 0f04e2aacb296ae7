"""A thousand calls of many callers, answered, streamed, repeated, refused and broken off: the ledger says what the providers said."""

import random
from collections import Counter
from typing import Any

import pytest

from gateway.errors import GatewayError, UpstreamError
from gateway.metering.reports import Reports
from tests.flow.street import CHAT, DONE, Street, completion, event, failure, read_until_error, streamed

CALLS = 1000
USERS, TEAMS, MODELS = ("anna", "bert", "carla"), ("web", "shop"), ("gpt-4o", "gpt-4o-mini", "even")
# How a call goes, and how often.
ENDS = {"plain": 40, "stream": 30, "second try": 10, "refused": 8, "not allowed": 4, "broken": 4, "left": 4}
FIELDS = ("prompt_tokens", "completion_tokens", "cached_tokens", "cost_micro_usd")


def reported(rng: random.Random) -> dict[str, Any]:
    prompt = rng.randrange(1, 100_000)
    usage = {"prompt_tokens": prompt, "completion_tokens": rng.randrange(5000)}
    usage["total_tokens"] = sum(usage.values())
    return {**usage, "prompt_tokens_details": {"cached_tokens": rng.randrange(prompt)}}


def sums(usage: dict[str, Any]) -> Counter[str]:
    """Return what a usage adds to the ledger, its price worked out here: 2.50, 1.25 and 10 dollars per million tokens."""
    prompt, completion, cached = usage["prompt_tokens"], usage["completion_tokens"], usage["prompt_tokens_details"]["cached_tokens"]
    exact = (prompt - cached) * 2_500_000 + cached * 1_250_000 + completion * 10_000_000
    return Counter(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached, cost_micro_usd=-(-exact // 1_000_000))


class Year:
    """The calls, and what their providers reported."""

    def __init__(self, street: Street, seed: int) -> None:
        self.street = street
        self.rng = random.Random(seed)
        self.reported: dict[tuple[str, str, str, str], Counter[str]] = {}
        self.ended: Counter[str] = Counter()

    async def call(self) -> None:
        rng, upstream = self.rng, self.street.upstream
        end = rng.choices(list(ENDS), list(ENDS.values()))[0]
        product = rng.choice(("all", "mini-only"))
        user, team, usage = rng.choice(USERS), rng.choice(TEAMS), reported(rng)
        model = "gpt-4o" if end == "not allowed" else "gpt-4o-mini" if product == "mini-only" else rng.choice(MODELS)
        if end == "not allowed":
            product = "mini-only"
        if end == "second try":
            model, product = "gpt-4o", "all"  # it has two deployments
        steps = [event("Hel"), event("lo"), event(finish_reason="stop"), event(usage=usage), DONE]
        replies = {
            "plain": [completion(usage=usage)],
            "stream": [streamed(*steps)],
            "second try": [failure(500), completion(usage=usage)],
            "refused": [failure(400)],
            "not allowed": [],
            "broken": [streamed(steps[0], UpstreamError("gone"))],
            "left": [streamed(*steps)],
        }[end]
        upstream.will(*replies)
        served = await self._send(end, {**CHAT, "model": model, "stream": end in ("stream", "broken", "left")}, product, user, team)
        assert not upstream.script or not served
        upstream.script.clear()
        self.street.clock.advance(61)  # breakers forget, minutes turn
        self.ended[end if served else "failed"] += 1
        if served and end in ("plain", "stream", "second try"):
            self.reported.setdefault((user, product, model, team), Counter()).update(sums(usage))

    async def _send(self, end: str, document: dict[str, Any], product: str, user: str, team: str) -> bool:
        """Return whether it was answered, and if only in part."""
        said = {"x-gateway-user": user, "x-gateway-tags": f"team={team},run=1"}
        try:
            answer = await self.street.call(document, product=product, headers=said)
        except GatewayError:
            assert end in ("refused", "not allowed", "second try")  # now and then the budget for second tries is used up
            return False
        if end == "left" and answer.stream is not None:
            await anext(aiter(answer.stream))
            await answer.stream.aclose()
        elif answer.stream is not None:
            _, error = await read_until_error(answer)
            assert (error is not None) == (end == "broken")
        return True


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_ledger_of_a_thousand_calls_is_the_sum_of_what_the_providers_reported(street: Street, seed: int) -> None:
    year = Year(street, seed)
    for _ in range(CALLS):
        await year.call()
    records = await street.records()
    assert len(records) == CALLS
    assert all(year.ended[end] > 20 for end in ("plain", "stream", "second try", "failed", "broken", "left")), year.ended
    assert sum(1 for record in records if record["tokens_estimated"]) == year.ended["broken"] + year.ended["left"]
    certain = [record for record in records if not record["tokens_estimated"]]
    ledger: dict[tuple[str, str, str, str], Counter[str]] = {}
    for record in certain:
        key = (str(record["user"]), str(record["product"]), str(record["model"]), str(record["tags"])[5:].partition(",")[0])
        if record["status"] == 200:
            ledger.setdefault(key, Counter()).update({name: int(str(record[name])) for name in FIELDS})
        else:
            assert [record[name] for name in FIELDS] == [0] * len(FIELDS)
    assert ledger == year.reported

    async def current() -> Any:
        return street.catalog

    reports = Reports(street.tables, street.recorder, street.clock, current)
    subscriptions = {str(record["product"]): str(record["subscription"]) for record in records}
    report = await reports.usage({"group_by": "user,subscription,model,tag:team", "from": "2026-01-01", "interval": "none"})
    rows = {tuple(row[name] for name in ("user", "subscription", "model", "tag:team")): row for row in report["data"]}
    assert sum(row["requests"] for row in rows.values()) == report["total"]["requests"] == CALLS
    guessed = [record for record in records if record["tokens_estimated"]]
    for (user, product, model, team), expected in year.reported.items():
        row = rows[user, subscriptions[product], model, team]
        of_row = [
            record
            for record in guessed
            if (record["user"], record["product"], record["model"], record["tags"]) == (user, product, model, f"team={team},run=1")
        ]
        for name in FIELDS[:3]:
            assert row[name] == expected[name] + sum(int(str(record[name])) for record in of_row)
        cost = expected["cost_micro_usd"] + sum(int(str(record["cost_micro_usd"])) for record in of_row)
        assert round(row["cost_usd"] * 1e6) == cost
