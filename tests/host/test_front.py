"""What stands before the gateway, over real sockets: the proof, the address, the country, and lies about them."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.host.asking import Reply, ask, chat_body, key_of
from tests.host.conftest import started

FRONT_ID = "55ce4ed1-4b06-4bf1-b40e-4638452104da"
DENIED = "198.51.100.9"
BASE = {
    "GATEWAY_TRUSTED_FRONT_DOOR_ID": FRONT_ID,
    "GATEWAY_TRUSTED_HOPS": "1",
    "GATEWAY_IP_DENY": "198.51.100.0/24,2001:db8::/32",
    "GATEWAY_COUNTRY_HEADER": "X-Country",
    "GATEWAY_COUNTRIES_DENIED": "CU",
}
PROOF = {"x-azure-fdid": FRONT_ID}


@pytest.fixture(scope="module")
def fronted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A gateway that trusts a front, and is reached by others too."""
    with started(tmp_path_factory.mktemp("fronted"), settings=BASE) as running:
        assert running.url, running.errors()
        yield running


def call(gateway: Any, headers: Mapping[str, str], key: str | None = None) -> tuple[int, str]:
    """Call a model; returns the status and the error's code."""
    reply: Reply = ask(gateway, "POST", "/v1/chat/completions", chat_body(), headers=headers, key=key)
    return reply.status, "" if reply.status == 200 else reply.error["code"]


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"x-forwarded-for": "203.0.113.7:50123"}, True),
        ({"x-forwarded-for": f"{DENIED}, 203.0.113.7:50123"}, True),
        ({"x-forwarded-for": f"{DENIED}:50123"}, False),
        ({"x-forwarded-for": f"203.0.113.7, {DENIED}:50123"}, False),
        ({"x-forwarded-for": f"::ffff:{DENIED}"}, False),
        ({"x-forwarded-for": "[2001:db8::7]:443"}, False),
        ({"x-forwarded-for": f"{DENIED}:1", "x-azure-socketip": "203.0.113.7"}, False),
        ({"x-forwarded-for": f"{DENIED}:1", "x-azure-socketip": "203.0.113.7", **PROOF}, True),
        ({"x-forwarded-for": "203.0.113.7:1", "x-azure-socketip": DENIED, **PROOF}, False),
        ({"x-forwarded-for": f"{DENIED}:1", "x-azure-clientip": "203.0.113.7", **PROOF}, False),
        ({"x-forwarded-for": f"{DENIED}:1", "x-azure-socketip": "203.0.113.7", "x-azure-fdid": FRONT_ID.upper()}, False),
    ],
)
def test_the_address_is_what_those_say_who_are_trusted(fronted: Any, headers: Mapping[str, str], passes: bool) -> None:
    assert call(fronted, headers) == ((200, "") if passes else (403, "address_not_allowed"))
    managed = ask(fronted, "GET", "/manage/tenants", headers=headers, key=fronted.admin_key)
    assert managed.status == (200 if passes else 403)


def test_countries_are_denied_by_the_fronts_word_only(fronted: Any) -> None:
    assert call(fronted, {"x-country": "cu", **PROOF}) == (403, "country_not_allowed")
    assert call(fronted, {"x-country": "cu"}) == (200, "")
    assert call(fronted, {"x-country": "DE", **PROOF}) == (200, "")


def test_api_managements_key_counts_behind_the_front_only(fronted: Any) -> None:
    apim = {"ocp-apim-subscription-key": key_of(fronted)}
    assert call(fronted, apim | PROOF, key="") == (200, "")
    assert call(fronted, apim, key="") == (401, "missing_api_key")
    assert call(fronted, apim | {"x-azure-fdid": "guessed"}, key="") == (401, "missing_api_key")


def test_a_refusal_tells_nothing_of_the_front(fronted: Any) -> None:
    reply = ask(fronted, "POST", "/v1/chat/completions", chat_body(), headers={"x-forwarded-for": DENIED})
    assert reply.status == 403
    assert FRONT_ID not in str(reply)
    assert "198.51.100.0" not in str(reply)


def test_where_the_front_is_required_only_health_is_open_to_others(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("guarded")
    with started(folder, settings=BASE | {"GATEWAY_REQUIRE_FRONT_DOOR": "true"}) as guarded:
        assert guarded.url, guarded.errors()
        assert call(guarded, {}) == call(guarded, {"x-azure-fdid": "guessed"}) == (403, "not_through_front_door")
        assert ask(guarded, "GET", "/v1/models").error["code"] == "not_through_front_door"
        refused = ask(guarded, "GET", "/manage/tenants", key=guarded.admin_key)
        assert (refused.status, refused.json()["code"]) == (403, "not_through_front_door")
        assert call(guarded, PROOF) == (200, "")
        assert [ask(guarded, "GET", path, key="").status for path in ("/healthz", "/readyz")] == [200, 200]
