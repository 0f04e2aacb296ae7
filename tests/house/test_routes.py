"""Every registered function is documented, and every request to one leaves exactly one usage record."""

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from gateway.adapters.tables_sqlite import SqliteTables
from gateway.domain.tables import Entity
from gateway.metering.records import USAGE
from tests.house.asks import ASKS, Ask
from tests.house.sources import Function, codes, functions, read, table

# No record, with the reason.
EXEMPT = {
    "healthz": "probes would drown the calls",
    "readyz": "probes would drown the calls",
}
ANY_METHODS = 7  # a function that takes this many takes all that clients send


def send_all(gateway: Any) -> Iterator[tuple[str, Ask, int, str]]:
    """Send everything in order; `{last}` in a path is the request id of the one before, `{made}` the id of what was stored last."""
    last = made = ""
    for name, asks in ASKS.items():
        for ask in asks:
            path = ask.path.replace("{last}", last).replace("{made}", made)
            status, last, body = send(gateway, ask._replace(path=path))
            made = made_by(body) or made
            yield name, ask, status, last


def made_by(body: bytes) -> str:
    """Return the id of the response or the subscription that an answer is; empty where it is something else."""
    found: Any = json.loads(body) if body.startswith((b'{"id":"resp_', b'{"id":"sub_')) else {}
    return str(found.get("id", ""))


def send(gateway: Any, ask: Ask) -> tuple[int, str, bytes]:
    """Send it, read the answer to its end, return its status, request id and body."""
    keys = {"user": gateway.demo_keys["unlimited"], "admin": gateway.admin_key, "nobody": "gwk_nobody_issued_this"}
    parts = urlsplit(gateway.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        form = isinstance(ask.body, bytes)
        body = ask.body if form or ask.body is None else json.dumps(ask.body)
        kind = "multipart/form-data; boundary=house" if form else "application/json"
        connection.request(ask.method, ask.path, body, {"authorization": f"Bearer {keys[ask.key]}", "content-type": kind})
        response = connection.getresponse()
        answer = response.read()
        return response.status, response.headers["x-request-id"], answer
    finally:
        connection.close()


async def usage_rows(gateway: Any) -> list[Entity]:
    """Read all usage records, after the gateway has written those that it still held."""
    assert send(gateway, Ask(200, "GET", "/manage/usage", None, "admin"))[0] == 200
    tables = SqliteTables(str(gateway.data / "tables.db"))
    try:
        rows: list[Entity] = []
        page = await tables.query(USAGE)
        rows += page.entities
        while page.continuation is not None:
            page = await tables.query(USAGE, continuation=page.continuation)
            rows += page.entities
        return rows
    finally:
        await tables.close()


async def test_every_request_leaves_exactly_one_usage_record(gateway: Any) -> None:
    sent = list(send_all(gateway))
    assert [(name, ask, status) for name, ask, status, _ in sent if status != ask.status] == []
    assert len({request_id for *_, request_id in sent}) == len(sent)
    rows = await usage_rows(gateway)
    left = [(name, ask.status, [row.values["status"] for row in rows if row.row == request_id]) for name, ask, _, request_id in sent]
    assert [(name, status, found) for name, status, found in left if found != [status]] == []
    made = Counter((gateway.data / "counts").read_text(encoding="utf-8").split())
    assert [(name, ask, made[request_id]) for name, ask, _, request_id in sent if made[request_id] != 1] == []


def test_every_registered_function_is_asked_or_exempt() -> None:
    registered = {function.name for function in functions()}
    assert registered == ASKS.keys() | EXEMPT.keys()
    refusing = [name for name, asks in ASKS.items() if not any(ask.status < 400 for ask in asks) and not name.startswith("zz_")]
    assert refusing == ["manage_alert_replay"]  # it needs an alert; tests/host/test_alerts.py replays one
    assert [name for name, asks in ASKS.items() if not any(ask.status >= 400 for ask in asks)] == []


def test_readme_documents_exactly_the_registered_routes() -> None:
    documented = sorted((path, method) for method, paths, _ in table(read("README.md"), "Routes") for path in codes(paths))
    assert documented == sorted((f"/{function.route}", methods_of(function)) for function in functions())


def methods_of(function: Function) -> str:
    return "any" if len(function.methods) >= ANY_METHODS else ", ".join(sorted(function.methods))


def test_catch_alls_stand_under_a_fixed_prefix_and_are_tried_last() -> None:
    names = sorted(function.name for function in functions())
    greedy = [function for function in functions() if "{*" in function.route]
    assert [
        function.route for function in greedy if function.route.startswith("{") or function.route.split("/")[0] in {"admin", "runtime"}
    ] == []
    # The Functions host tries functions in the order of their names.
    assert {function.name for function in greedy} == set(names[-len(greedy) :])
