"""What is believed of a request that comes through Front Door or API Management, and of one that only says so."""

from collections.abc import Mapping

import pytest

from gateway.access.front import OPEN, Front
from gateway.domain.access import Network
from gateway.errors import PermissionDenied
from tests.builders import make_inbound

ID = "55ce4ed1-4b06-4bf1-b40e-4638452104da"
PROOF = {"x-azure-fdid": ID}
WRONG = ("", "x", ID[:-1], ID + "0", ID.upper(), f" {ID}", "55ce4ed1-4b06-4bf1-b40e-4638452104db", "é" * 36)
FRONT = Front(ID)


def code_of(front: Front, headers: Mapping[str, str], client_ip: str = "") -> str:
    try:
        front.admit(make_inbound(headers=headers, client_ip=client_ip))
    except PermissionDenied as exc:
        return "the id is told" if ID in exc.message else exc.code
    return ""


def test_only_the_fronts_own_id_is_a_proof() -> None:
    assert FRONT.proves(PROOF)
    assert not any(FRONT.proves({"x-azure-fdid": wrong}) for wrong in WRONG)
    assert not FRONT.proves({})


def test_without_a_trusted_front_nothing_is_a_proof() -> None:
    assert not any(OPEN.proves({"x-azure-fdid": value}) for value in ("", ID))


@pytest.mark.parametrize("wrong", WRONG)
def test_where_the_front_is_required_nobody_goes_round_it(wrong: str) -> None:
    front = Front(ID, required=True)
    assert code_of(front, PROOF) == ""
    assert code_of(front, {"x-azure-fdid": wrong}) == code_of(front, {}) == "not_through_front_door"


def test_the_fronts_word_about_the_address_counts_with_its_proof_only() -> None:
    says = {"x-azure-socketip": "203.0.113.7", "x-azure-clientip": "198.51.100.1", "x-forwarded-for": "198.51.100.2"}
    assert FRONT.address(PROOF | says, "10.0.0.1") == "203.0.113.7"
    assert FRONT.address(says, "10.0.0.1") == "10.0.0.1"
    assert FRONT.address(PROOF, "10.0.0.1") == "10.0.0.1"
    assert FRONT.address(PROOF | {"x-azure-socketip": "::ffff:203.0.113.7"}, "10.0.0.1") == "203.0.113.7"


def test_a_front_that_says_nonsense_leaves_the_address_unknown() -> None:
    assert FRONT.address(PROOF | {"x-azure-socketip": "nonsense"}, "10.0.0.1") == ""


def test_the_gateways_own_network_holds_for_everybody() -> None:
    front = Front(network=Network(allow=("203.0.113.0/24",)))
    assert code_of(front, {}, "203.0.113.7") == ""
    assert code_of(front, {}, "198.51.100.1") == code_of(front, {}, "") == "address_not_allowed"


def test_countries_are_denied_by_the_word_of_the_front() -> None:
    front = Front(ID, country_header="x-country", countries_denied=frozenset({"KP", "CU"}))
    for country in ("KP", "kp", " cu "):
        assert code_of(front, PROOF | {"x-country": country}) == "country_not_allowed"
    for headers in ({"x-country": "DE"}, {"x-country": ""}, {}):
        assert code_of(front, PROOF | headers) == ""
    assert code_of(front, {"x-country": "KP"}) == ""  # nobody's word
