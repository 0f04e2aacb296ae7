"""Features of an entity, as Feast's server answers them, by the types that the catalogue says."""

import json
from typing import Any

import pytest

from gateway.domain.guardrails import Fail
from gateway.errors import Unavailable
from gateway.lookups.filling import Asking
from tests.unit.lookups.desk import Desk, feature_lookup, json_reply

NAMES = ["id", "value", "orders"]


def by_feature(*cells: tuple[Any, str]) -> dict[str, Any]:
    return {"metadata": {"feature_names": NAMES}, "results": [{"values": [value], "statuses": [status]} for value, status in cells]}


def by_entity(*cells: tuple[Any, str]) -> dict[str, Any]:
    values, statuses = zip(*cells, strict=True)
    return {"metadata": {"feature_names": NAMES}, "results": [{"values": values, "statuses": statuses, "event_timestamps": []}]}


GOOD: tuple[tuple[Any, str], ...] = ((7, "PRESENT"), (12.5, "PRESENT"), (3, "PRESENT"))


@pytest.mark.parametrize("shape", [by_feature, by_entity])
async def test_features_are_asked_for_by_the_entitys_key_and_remembered(shape: Any) -> None:
    desk = Desk()
    desk.upstream.will(json_reply(shape(*GOOD)))
    for _ in range(2):
        assert (await desk.find(feature_lookup())).values == {"facts": {"value": 12.5, "orders": 3}}
    (sent,) = desk.upstream.requests
    assert (sent.method, sent.url) == ("POST", "https://crm.example.com/api/get-online-features")
    assert sent.headers["content-type"] == "application/json"
    assert json.loads(sent.body) == {
        "features": ["customer:value", "customer:orders"], "entities": {"id": [7]}, "full_feature_names": False,
    }  # fmt: skip


async def test_a_key_of_text_stays_text() -> None:
    desk = Desk()
    desk.upstream.does = lambda _: json_reply(by_feature(*GOOD))
    for variables in ({"n": "7"}, {"n": 7}):
        await desk.find(feature_lookup(), asking=Asking("contoso", variables=variables))
    await desk.find(feature_lookup(key="c-{variables.n}"), asking=Asking("contoso", variables={"n": 7}))
    assert [json.loads(sent.body)["entities"]["id"] for sent in desk.upstream.requests] == [["7"], [7], ["c-7"]]


WRONG: dict[str, Any] = {
    "a text for a number": by_feature(GOOD[0], ("12.5", "PRESENT"), GOOD[2]),
    "a flag for a number": by_feature(GOOD[0], (True, "PRESENT"), GOOD[2]),
    "a fraction for an integer": by_feature(GOOD[0], GOOD[1], (3.5, "PRESENT")),
    "not found": by_feature(GOOD[0], GOOD[1], (None, "NOT_FOUND")),
    "too old": by_feature(GOOD[0], GOOD[1], (3, "OUTSIDE_MAX_AGE")),
    "another feature": {"metadata": {"feature_names": ["id", "value", "x"]}, "results": by_feature(*GOOD)["results"]},
    "two entities": {"metadata": {"feature_names": NAMES}, "results": by_entity(*GOOD)["results"] * 2},
    "no answer of Feast's": {"detail": "x"},
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_is_not_there_or_of_another_type_is_a_failure(what: str) -> None:
    desk = Desk()
    desk.upstream.does = lambda _: json_reply(WRONG[what])
    with pytest.raises(Unavailable) as caught:
        await desk.find(feature_lookup())
    assert caught.value.code == "lookup_failed"
    assert (await desk.find(feature_lookup(fail=Fail.OPEN, default={}))).values == {"facts": {}}


async def test_where_any_value_will_do_one_that_is_not_there_is_null() -> None:
    desk, lookup = Desk(), feature_lookup(features={"customer:value": "any", "customer:orders": "integer"})
    desk.upstream.will(json_reply(by_feature(GOOD[0], (1, "NOT_FOUND"), GOOD[2])))
    assert (await desk.find(lookup)).values == {"facts": {"value": None, "orders": 3}}
