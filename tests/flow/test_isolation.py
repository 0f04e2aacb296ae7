"""Tenants do not see each other, and what one does changes nothing for another: a property over the whole gateway (I6).

Every example is a program of two tenants. It is run twice, with and without what the neighbour does. The law: nothing that the
watched tenant gets holds a mark of its neighbour's, what it asks of the neighbour's ids is answered as for ids of nobody, and all
its answers are the same in both runs. Shared, and so left out, are the gateway's own limits and the health of backends.
"""

import asyncio
import base64
import json
import random
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.tables import Page
from gateway.routes.rights import RIGHTS, Role
from tests.fakes.tables import FakeTables
from tests.flow.whole import Told, Whole, whole

OPEN = [right for right in RIGHTS if right.role is Role.TENANT_ADMIN]
LISTS = sorted(right.route for right in OPEN if right.method == "GET" and "{" not in right.route)
NAMED = sorted((right.method, right.route) for right in RIGHTS if re.search(r"\{(tenant|subscription|alert|request_id)\}", right.route))
# What lists are asked for, over and over: filters and groups of each; a parameter that a list does not know is left out of it.
QUERIES = (
    *("", "limit=1", "limit=2", "group_by=user", "group_by=tag:team,session", "group_by=tenant,subscription,key", "interval=hour"),
    *("format=csv", "user=zoe", "session=s-1", "tag=team", "state=active", "state=kept", "action=subscription.create"),
    *("actor=bootstrap-admin", "model=mock-echo"),
)
KEEPER = "  - {id: keeper, pool: [{deployment: gpt-5-mini-eastus}], capabilities: [chat, responses]}\n  - {id: gpt-image-2, pool"
LIMITS = {"requests": [{"period": "day", "limit": 6}], "tokens": [{"period": "month", "limit": 900}], "requests_per_minute": 4}
TENANT_LIMITS = {"budget_usd": [{"period": "month", "limit": 0.001}], "tokens": [{"period": "day", "limit": 100_000}], "mode": "soft"}
# What differs from run to run, whoever does what: ids, keys, paging tokens, ETags; and how fast a backend was of late.
RANDOM = re.compile(
    r"gwk_\w+_[\w*-]+|(?:resp|msg|rs|chatcmpl|sub|req|alert)[_-][\w-]+|[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{8,}\b|\b[a-z0-9]{16}\b"
    r'|"after":"[^"]*"|"etag": ?"[^,]*"|\'etag\': \'[^\']*\'|"created(?:_at)?": ?\d+|"latency_s":[^,]+|after=[\w%=-]+'
)


class Resting(FakeTables):
    """Rests after three rows, as the service may at any time."""

    async def query(self, table: str, *, limit: int = 1000, **bounds: Any) -> Page:
        return await super().query(table, limit=min(limit, 3), **bounds)


class Tenant:
    """What one tenant does; `words` is what nobody else may read."""

    def __init__(self, it: Whole, name: str) -> None:
        self.it, self.name, self.words = it, name, f"secretof{name.replace('-', '')}"
        self.admin = self.key = self.subscription = ""
        self.ids: dict[str, list[str]] = {"subscription": [], "request_id": [], "alert": [], "response": [], "tenant": [name], "after": []}
        self.told: list[tuple[str, Told]] = []

    async def settle(self) -> "Tenant":
        """Become known: an administrator's subscription, and one with limits."""
        it = self.it
        await it.asked("POST", "/manage/tenants", document={"id": self.name, "name": self.words, "limits": TENANT_LIMITS})
        it.clock.advance(1)
        _, self.admin = await it.subscribe(self.name, name=self.words, roles=["Gateway.User", "Gateway.TenantAdmin"])
        it.clock.advance(1)
        self.subscription, self.key = await it.subscribe(self.name, name=self.words, limits=LIMITS)
        self.ids["subscription"].append(self.subscription)
        return self

    async def ask(self, method: str, target: str, key: str, document: Any = None, **headers: str) -> Told:
        self.it.clock.advance(0.002)  # ids sort by time, and would come at random within a moment
        told = await self.it.asked(method, target, key, document, **headers)
        self.told.append((f"{method} {target}", told))
        self.ids["request_id"].append(told.headers["x-request-id"])
        if told.headers["content-type"].endswith("json"):
            self.keep(told.json)
        await self.it.quiet()
        return told

    def keep(self, found: Any) -> None:
        """Note ids that an answer shows, for the neighbour to ask for."""
        for kind, start in (("subscription", "sub_"), ("alert", "alert_"), ("response", "resp_")):
            ids = re.findall(rf'"({start}[\w-]+)"', json.dumps(found))
            self.ids[kind] += [each for each in ids if each not in self.ids[kind]]
        if isinstance(found, dict) and found.get("after"):
            self.ids["after"].append(found["after"])

    async def call(self, number: int, *, stream: bool = False, model: str = "mock-echo", **headers: str) -> None:
        said = {
            "x_gateway_user": ("zoe", self.words)[number % 2],
            "x_gateway_session": f"s-{self.words}",
            "x_client_request_id": self.words,
        }
        document = {"model": model, "stream": stream, "messages": [{"role": "user", "content": f"My word is {self.words}"}]}
        key = (self.key, self.admin)[number % 2]
        await self.ask("POST", "/v1/chat/completions", key, document, **said, x_gateway_tags=f"team={self.words},{self.words}=1", **headers)

    async def store(self) -> None:
        """Have a response stored, and read it."""
        made = await self.ask("POST", "/v1/responses", self.admin, {"model": "keeper", "input": self.words, "store": True})
        await self.ask("GET", f"/v1/responses/{made.json['id']}", self.admin)

    async def make(self, number: int) -> None:
        """Make a subscription, and do something to one's own."""
        document = {"product": ("starter", "unlimited")[number % 2], "name": self.words}
        await self.ask("POST", "/manage/subscriptions", self.admin, document)
        mine = self.ids["subscription"][number % len(self.ids["subscription"])]
        action = ("suspend", "resume", "keys/secondary/regenerate", "keys/secondary/revoke", "cancel", "approve")[number % 6]
        if mine != self.subscription:
            await self.ask("POST", f"/manage/subscriptions/{mine}/{action}", self.admin, if_match=('"x"', "*")[number % 2])

    async def look(self, route: str, query: str) -> None:
        """Read a list, page by page."""
        told = await self.ask("GET", f"/{route}?{query}", self.admin)
        for _ in range(20):
            after = told.json.get("after") if told.status == 200 and told.headers["content-type"].endswith("json") else None
            if not after:
                return
            told = await self.ask("GET", f"/{route}?{query}&after={after}", self.admin)


async def act(one: Tenant, action: str, number: int) -> None:
    """Do one step of a program."""
    rng = random.Random(number)
    if action == "call":
        await one.call(number, stream=number % 3 == 0)
    elif action == "fail":
        await one.call(number, model="mock-500" if one.name.startswith("n") else "mock-filter")
    elif action == "explain":
        await one.call(number, x_gateway_explain="true")
    elif action == "store":
        await one.store()
    elif action == "make":
        await one.make(number)
    elif action == "look":
        await one.look(rng.choice(LISTS), rng.choice(QUERIES))


def unlike(name: str) -> str:
    """Return an id of the same shape that nobody has."""
    return name[:-4] + ("0000" if name[-4:] != "0000" else "1111")


async def pry(one: Tenant, other: Tenant) -> None:
    """Ask for what is the other's, by every route that names something: it is answered as what nobody has."""
    for method, route in [*NAMED, ("GET", "v1/responses/{response}"), ("DELETE", "v1/responses/{response}")]:
        kind = re.findall(r"\{(tenant|subscription|alert|request_id|response)\}", route)[0]
        path = "/" + route.replace("{slot}", "primary")
        document = {} if method in ("PATCH", "POST", "PUT") else None
        for name in other.ids[kind][:2]:
            answers = []
            for each in (name, unlike(name)):
                told = await one.it.asked(method, path.replace(f"{{{kind}}}", each), one.admin, document, if_match="*")
                answers.append((told.status, RANDOM.sub("#", told.body.decode().replace(each, "#"))))
            assert answers[0] == answers[1], (method, route)
            assert answers[0][0] in (403, 404), (method, route, answers)


STEPS = st.tuples(
    st.sampled_from(["call", "call", "fail", "explain", "store", "make", "make", "look", "look", "time"]), st.integers(0, 999)
)


async def run(watched: str, neighbour: str, program: list[tuple[bool, tuple[str, int]]], *, alone: bool) -> tuple[Tenant, Tenant]:
    """Run a program; `alone` leaves out what the neighbour does, once both are known."""
    with tempfile.TemporaryDirectory() as folder:
        tables = Resting()
        async with whole(Path(folder), tables=tables, edit=lambda text: text.replace("  - {id: gpt-image-2, pool", KEEPER, 1)) as it:
            mine, theirs = await Tenant(it, watched).settle(), await Tenant(it, neighbour).settle()
            due_s = it.clock.now_s()
            for own, (action, number) in program:
                due_s += 1 + (number % 40 if action == "time" else 0)
                it.clock.advance(due_s - it.clock.now_s())  # however long the neighbour took
                if action == "time":
                    await it.gateway.housekeeping.minute()
                elif own:
                    await act(mine, action, number)
                elif not alone:
                    await act(theirs, action, number)
            it.clock.advance(due_s + 1 - it.clock.now_s())
            for route in LISTS:
                await mine.look(route, "")
            if not alone:
                await ask_with_the_others_tokens(mine, theirs)
                await pry(mine, theirs)
        assert {key[0] for key in tables.data} <= STORES.keys()
    return mine, theirs


async def ask_with_the_others_tokens(one: Tenant, other: Tenant) -> None:
    """Go on in one's own lists from where the other was, and filter by the other's name."""
    for after in other.ids["after"][:8]:
        for route in LISTS:
            told = await one.it.asked("GET", f"/{route}?after={after}", one.admin)
            assert marks_in(told, other) == [], route
    for route in LISTS:
        told = await one.it.asked("GET", f"/{route}?tenant={other.name}", one.admin)
        assert told.status == 403 or marks_in(told, other) == [], route
    told = await one.it.asked("POST", "/manage/subscriptions", one.admin, {"tenant": other.name, "product": "starter", "name": "x"})
    assert (told.status, told.json["param"]) == (403, "tenant")


def marks_in(told: Told, other: Tenant) -> list[str]:
    """Return what of the other's is in an answer, its paging tokens opened."""
    text = told.bytes.decode()
    tokens = re.findall(r'"after":"([^"]+)"', text)
    text += "".join(base64.urlsafe_b64decode(token).decode() for token in tokens)
    marks = [other.name, other.words, *other.ids["subscription"], *other.ids["response"], *other.ids["request_id"]]
    return [mark for mark in marks if mark in text]


def seen(tenant: Tenant) -> list[tuple[str, int, str]]:
    """Return all answers, without what is random."""
    return [(RANDOM.sub("#", asked), told.status, RANDOM.sub("#", told.bytes.decode())) for asked, told in tenant.told]


def differ(one: tuple[str, int, str], other: tuple[str, int, str]) -> tuple[str, str]:
    """Return where two answers begin to differ."""
    texts = str(one[1:]), str(other[1:])
    at = next((at for at, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), 0)
    return texts[0][max(at - 60, 0) : at + 60], texts[1][max(at - 60, 0) : at + 60]


@pytest.mark.parametrize(("watched", "neighbour"), [("mine-co", "neighbour-co"), ("mine-co", "n-co"), ("zmine-co", "n-co")])
@settings(deadline=None, max_examples=4, suppress_health_check=[HealthCheck.too_slow])
@given(program=st.lists(st.tuples(st.booleans(), STEPS), min_size=8, max_size=25))
def test_a_tenant_sees_nothing_of_another_and_feels_nothing_of_it(watched: str, neighbour: str, program: Any) -> None:
    together, other = asyncio.run(run(watched, neighbour, program, alone=False))
    found = [(asked, marks) for asked, told in together.told if (marks := marks_in(told, other))]
    assert found == []
    alone, _ = asyncio.run(run(watched, neighbour, program, alone=True))
    assert [(one[0], differ(one, other)) for one, other in zip(seen(together), seen(alone), strict=True) if one != other] == []


# Every table, and what keeps tenants apart in it.
STORES = {
    "tenants": "a row each",
    "products": "shared: what everybody may subscribe to",
    "subscriptions": "the partition",
    "subscriptionids": "a row each; leads to the tenant",
    "keys": "a row each; leads to the tenant",
    "identities": "a row each; leads to the tenant",
    "usage": "the partition",
    "limits": "the partition; `gateway` is shared",
    "audit": "the partition",
    "alerts": "the column `tenant`",
    "series": "the row's key",
    "health": "shared: backends are",
    "overrides": "shared: the operator's",
    "prompts": "the partition; `~` is shared",
    "experiments": "the partition; `~` is shared",
    "feedback": "the partition",
    "lookups": "the partition; without a tenant it is shared",
    "conversations": "the partition",
}
