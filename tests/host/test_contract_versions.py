"""Both versions of the contract, byte for byte: what each answers to the same requests stands in `golden_contract/<version>/`.

What changes from run to run (ids, times, what is left of a limit) is put aside by `settled`. `UPDATE_GOLDEN=1` writes the files anew;
a difference in the folder of an old version breaks what docs/versions.md promises.
"""

import json
import os
import re
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gateway.domain.contract_versions import FIRST, HEADER, NOVEMBER, VERSIONS
from tests.host.asking import Reply, ask, chat_body, key_of
from tests.host.test_manage_access import made, manage

GOLDEN = Path(__file__).parent / "golden_contract"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
CHAT = "/v1/chat/completions"
# Of the connection, or of the time it took.
LEFT_OUT = {"date", "server", "content-length", "transfer-encoding", "connection", "keep-alive", "x-gateway-overhead-ms"}
VOLATILE = (
    (re.compile(r"req_[0-9a-f]{32}"), "req_ID"),
    (re.compile(r'"(id|item_id)":"(chatcmpl|resp|msg)[-_][^"]+"'), r'"\1":"\2_ID"'),
    (re.compile(r'"(created|created_at|retry_after_ms)":[0-9.]+'), r'"\1":0'),
    (re.compile(r'"system_fingerprint":"[^"]*"'), '"system_fingerprint":"FP"'),
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|\+00:00)"), "TIME"),
    (re.compile(r"golden-[0-9a-f]{8}"), "golden-TENANT"),
    (re.compile(r'("after":"|after=)[^"&]+'), r"\1AFTER"),
    (re.compile(r"in [0-9.]+ s\b"), "in N s"),
)
# A failing backend is tried as often as the budget for retries, which other calls share, lets it.
VOLATILE_HEADERS = {"etag", "x-gateway-attempts", "retry-after", "retry-after-ms", "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"}


class Case(NamedTuple):
    """A request; `key` is whose: caller, limited, slow, admin or nobody's."""

    method: str
    path: str
    body: Any = None
    key: str = "caller"


CASES = {
    "chat": Case("POST", CHAT, chat_body(model="gpt-4o-mini", max_tokens=5)),
    "chat-stream": Case("POST", CHAT, chat_body(model="gpt-4o-mini", max_tokens=3, stream=True)),
    "chat-stream-breaks": Case("POST", CHAT, chat_body(model="mock-abort", stream=True)),
    "responses-stream-breaks": Case("POST", "/v1/responses", {"model": "mock-abort", "input": "Hello", "stream": True}),
    "chat-bad-field": Case("POST", CHAT, chat_body(model="gpt-4o-mini", temperature="warm")),
    "chat-no-such-model": Case("POST", CHAT, chat_body(model="nobody")),
    "chat-backend-fails": Case("POST", CHAT, chat_body(model="mock-500")),
    "chat-over-quota": Case("POST", CHAT, chat_body(model="gpt-4o-mini"), "limited"),
    "chat-over-rate": Case("POST", CHAT, chat_body(model="gpt-4o-mini"), "slow"),
    "chat-no-key": Case("POST", CHAT, chat_body(model="gpt-4o-mini"), "nobody"),
    "messages-bad-field": Case("POST", "/v1/messages", chat_body(model="gpt-4o-mini")),
    "models": Case("GET", "/v1/models"),
    "model": Case("GET", "/v1/models/gpt-4o-mini"),
    "unknown-path": Case("GET", "/v1/nothing"),
    "wrong-method": Case("PUT", "/v1/models"),
    "manage-list": Case("GET", "/manage/lookups/customer?tenant={tenant}&limit=1", None, "admin"),
    "manage-list-end": Case("GET", "/manage/lookups/customer?tenant={tenant}", None, "admin"),
    "manage-one": Case("GET", "/manage/lookups/customer/a?tenant={tenant}", None, "admin"),
    "manage-not-found": Case("GET", "/manage/tenants/nobody", None, "admin"),
    "manage-bad-field": Case("POST", "/manage/tenants", {"id": "x", "nonsense": 1}, "admin"),
    "manage-forbidden": Case("GET", "/manage/tenants"),
}


class Party(NamedTuple):
    gateway: Any
    tenant: str
    keys: dict[str, str]

    def send(self, name: str, version: str | None) -> Reply:
        case = CASES[name]
        headers = {} if version is None else {HEADER: version}
        return ask(self.gateway, case.method, case.path.format(tenant=self.tenant), case.body, headers, key=self.keys[case.key])


@pytest.fixture(scope="module")
def party(gateway: Any) -> Party:
    tenant = f"golden-{uuid.uuid4().hex[:8]}"
    made(gateway, "tenants", {"id": tenant})
    made(gateway, "products", {"id": tenant, "models": ["gpt-4o-mini", "mock-500", "mock-abort"]})
    order = {"tenant": tenant, "product": tenant, "name": "x"}
    keys = {
        "admin": gateway.admin_key,
        "nobody": "gwk_nobody_issued_this",
        "caller": made(gateway, "subscriptions", order)["keys"]["primary"],
    }
    limited = made(gateway, "subscriptions", order | {"limits": {"requests": [{"period": "month", "limit": 1}]}})
    keys["limited"] = limited["keys"]["primary"]
    keys["slow"] = made(gateway, "subscriptions", order | {"limits": {"tokens_per_minute": 1}})["keys"]["primary"]
    for key in ("a", "b"):
        assert manage(gateway, "PUT", f"lookups/customer/{key}?tenant={tenant}", {"value": {"plan": key}}).status == 200
    found = Party(gateway, tenant, keys)
    assert found.send("chat-over-quota", None).status == 200  # the one that it may
    return found


def settled(reply: Reply) -> dict[str, Any]:
    """Return an answer as its golden file has it."""
    headers = {name: value for name, value in sorted(reply.headers.items()) if name not in LEFT_OUT}
    headers = {name: "N" if name in VOLATILE_HEADERS else _settled(value) for name, value in headers.items()}
    return {"status": reply.status, "headers": headers, "body": _settled(reply.body.decode())}


def _settled(text: str) -> str:
    for pattern, stands in VOLATILE:
        text = pattern.sub(stands, text)
    return text


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_a_version_answers_as_its_golden_file_says(party: Party, name: str, version: str) -> None:
    found, path = settled(party.send(name, version)), GOLDEN / version / f"{name}.json"
    if UPDATE:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(path.read_text(encoding="utf-8"))
    assert found["headers"][HEADER] == version


@pytest.mark.parametrize("name", CASES)
def test_who_asks_for_none_gets_the_first_and_no_new_header(party: Party, name: str) -> None:
    golden = json.loads((GOLDEN / FIRST / f"{name}.json").read_text(encoding="utf-8"))
    del golden["headers"][HEADER]
    assert settled(party.send(name, None)) == golden


def test_there_is_no_golden_file_without_a_request() -> None:
    assert {path.relative_to(GOLDEN).as_posix() for path in GOLDEN.glob("*/*")} == {
        f"{each}/{name}.json" for each in VERSIONS for name in CASES
    }


@pytest.mark.parametrize("name", ["chat", "models", "manage-list", "manage-forbidden"])
def test_a_version_that_does_not_exist_is_refused_everywhere(party: Party, name: str) -> None:
    reply = party.send(name, "2027-01-01")
    said = reply.json()
    error = said.get("error", said)
    assert (reply.status, error["code"], error["param"]) == (400, "unsupported_api_version", HEADER)
    assert NOVEMBER in error.get("message", error.get("detail"))
    assert HEADER not in reply.headers
    assert "retryable" not in error


def test_azures_own_version_is_another_thing(party: Party) -> None:
    path = "/openai/deployments/gpt-4o-mini/chat/completions?api-version=2024-10-21"
    reply = ask(party.gateway, "POST", path, chat_body(), {HEADER: NOVEMBER}, key=key_of(party.gateway))
    assert (reply.status, reply.headers[HEADER]) == (200, NOVEMBER)
    assert ask(party.gateway, "POST", path.replace("2024-10-21", "1999-01-01"), chat_body(), key=key_of(party.gateway)).status == 200
