"""What a newer version of the contract says otherwise, and that who asks for none gets the first."""

import json
from typing import Any

import pytest

from gateway.domain.call import Answer, Operation
from gateway.domain.contract_versions import FIRST, HEADER, NOVEMBER, VERSIONS, asked_of, refusal, since
from gateway.domain.management import Told, page_of
from gateway.errors import NotFound, RateLimited
from gateway.routes import versions
from tests.builders import make_inbound

NEWER = make_inbound(headers={HEADER: NOVEMBER}, path="/manage/tenants", query={"limit": "2"})
OLDER = [make_inbound(), make_inbound(headers={HEADER: FIRST})]
MODEL: dict[str, Any] = {"id": "gpt-4o", "object": "model", "created": 0, "owned_by": "gateway", "aliases": ["a"]}


def model_body(value: Any) -> Answer:
    return Answer(headers={}, body=json.dumps(value).encode())


@pytest.mark.parametrize("asked", ["", "2026-10-02", "2099-01-01", "2025-01-01", "latest", NOVEMBER + " "])
def test_a_version_that_does_not_exist_is_refused_with_those_that_do(asked: str) -> None:
    error = refusal({HEADER: asked})
    assert error is not None
    assert (error.status, error.code, error.param) == (400, "unsupported_api_version", HEADER)
    assert all(version in error.message for version in VERSIONS)
    assert asked_of({HEADER: asked}) == ""


def test_a_version_that_exists_and_none_at_all_are_taken() -> None:
    assert [refusal({HEADER: version}) for version in VERSIONS] == [None, None]
    assert refusal({}) is None


def test_versions_are_in_the_order_of_their_dates_and_nothing_asked_is_the_first() -> None:
    assert sorted(VERSIONS) == list(VERSIONS)
    assert [since(version, NOVEMBER) for version in ("", *VERSIONS)] == [False, False, True]


@pytest.mark.parametrize("inbound", OLDER, ids=["none", "first"])
def test_the_first_version_adds_nothing_to_anything(inbound: Any) -> None:
    answer, page = model_body(MODEL), Told(page_of([], "x"))
    assert versions.error_members(NotFound("x"), inbound) == {}
    listed = make_inbound(headers=inbound.headers, operation=Operation.LIST_MODELS)
    assert versions.answered(answer, listed) is answer
    assert versions.told(page, inbound) is page


def test_errors_say_whether_and_when_to_come_again() -> None:
    assert versions.error_members(RateLimited("x", retry_after_s=1.2341), NEWER) == {
        "request_id": "req_1", "retryable": True, "retry_after_ms": 1235, "doc": "README.md#errors",
    }  # fmt: skip
    assert versions.error_members(NotFound("x"), NEWER) == {"request_id": "req_1", "retryable": False, "doc": "README.md#errors"}


def test_a_page_leads_to_the_next_one_with_the_same_question() -> None:
    told = versions.told(Told(page_of([{"id": "a"}], "x=/"), '"1"'), NEWER)
    assert told.value == {"object": "list", "data": [{"id": "a"}], "next": "/manage/tenants?limit=2&after=x%3D%2F"}
    assert told.etag == '"1"'
    assert versions.told(Told(page_of([], None)), NEWER).value == {"object": "list", "data": [], "next": None}


@pytest.mark.parametrize("value", [{"object": "tenant", "after": "x"}, {"object": "list", "data": [], "total": 1}, None, b"csv"], ids=repr)
def test_what_is_no_page_stays_as_it_is(value: Any) -> None:
    assert versions.told(Told(value), NEWER).value == value


def test_models_have_every_member_also_where_nothing_is_known() -> None:
    inbound = make_inbound(headers={HEADER: NOVEMBER}, operation=Operation.LIST_MODELS)
    retiring = {**MODEL, "context_window": 8, "lifecycle": {"state": "deprecated", "sunset": "2099-01-01"}}
    body = json.loads(versions.answered(model_body({"object": "list", "data": [MODEL, retiring]}), inbound).body)
    first, second = body["data"]
    assert first == MODEL | {
        "capabilities": [], "context_window": None, "max_output_tokens": None,
        "lifecycle": {"state": "active", "sunset": None, "successor": None},
    }  # fmt: skip
    assert (second["context_window"], second["lifecycle"]) == (8, {"state": "deprecated", "sunset": "2099-01-01", "successor": None})
    one = shown(versions.answered(model_body(MODEL), make_inbound(headers={HEADER: NOVEMBER}, operation=Operation.GET_MODEL)))
    assert one == first
    assert list(one) == list(first)


def shown(answer: Answer) -> Any:
    return json.loads(answer.body)


def test_answers_of_models_keep_their_bytes_in_every_version() -> None:
    answer = Answer(headers={}, body=b'{"id": 1.0}')
    assert versions.answered(answer, make_inbound(headers={HEADER: NOVEMBER})) is answer
