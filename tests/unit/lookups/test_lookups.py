"""What is looked up, what is remembered of it, and what happens where it fails."""

import asyncio
from typing import Any

import pytest

from gateway.domain.guardrails import Fail
from gateway.domain.lookups import Lookup
from gateway.errors import GatewayError, PermissionDenied, PromptError, Unavailable, UpstreamError
from gateway.lookups import lookups as module
from gateway.lookups.filling import MAX_CHARACTERS, Asking
from gateway.lookups.sources import MAX_ANSWER_BYTES
from tests.fakes.upstream import FOREVER, Reply
from tests.fakes.virtual_time import LoopClock, run
from tests.unit.lookups.desk import ASKING, Desk, http_lookup, json_reply, table_lookup, text_reply


async def test_a_lookup_is_a_get_at_its_backend_whose_answer_stays_data() -> None:
    desk = Desk()
    desk.upstream.will(json_reply({"plan": "gold", "seats": 3}))
    found = await desk.find(http_lookup())
    assert found.values == {"customer": {"plan": "gold", "seats": 3}}
    assert (found.notes, found.text) == ((), '{"plan":"gold","seats":3}')
    (sent,) = desk.upstream.requests
    assert (sent.method, sent.url, sent.backend.id) == ("GET", "https://crm.example.com/api/customers/42", "crm")


async def test_what_is_filled_in_cannot_leave_its_place_in_the_path() -> None:
    desk = Desk()
    desk.upstream.will(text_reply("x"))
    asking = Asking("contoso", variables={"id": "../admin?x=1#y\r\n"}, context={"user": "a/b"})
    await desk.find(http_lookup(path="/c/{variables.id}/{context.user}"), asking=asking)
    assert desk.upstream.requests[0].url == "https://crm.example.com/api/c/%2E%2E%2Fadmin%3Fx%3D1%23y%0D%0A/a%2Fb"


@pytest.mark.parametrize(("pick", "value"), [("a.1.b", "x"), ("a.0", 1), ("a", [1, {"b": "x"}])], ids=["deep", "index", "list"])
async def test_pick_goes_down_the_members_of_an_answer(pick: str, value: Any) -> None:
    desk = Desk()
    desk.upstream.will(json_reply({"a": [1, {"b": "x"}]}))
    assert (await desk.find(http_lookup(pick=pick))).values["customer"] == value


async def test_a_text_is_a_text_and_texts_are_a_document_for_guardrails() -> None:
    desk = Desk()
    desk.upstream.will(text_reply('{"not": read}'), json_reply("second"))
    found = await desk.find(http_lookup(), http_lookup(id="other", path="/other"))
    assert (found.values, found.text) == ({"customer": '{"not": read}', "other": "second"}, '{"not": read}\n\nsecond')


def later() -> Reply:
    return json_reply({"n": 1}, steps=[b"x" * MAX_ANSWER_BYTES, b"x"])


FAILURES: dict[str, Reply] = {
    "a refusal": Reply(status=404, steps=[b"{}"]),
    "a redirect": Reply(status=302),
    "no network": Reply(fault=UpstreamError("x")),
    "too long": later(),
    "broken JSON": json_reply({}, steps=[b'{"a":']),
    "no text": Reply(steps=[b"\xff"]),
    "broken off": Reply(steps=[b"x", UpstreamError("x")]),
}


@pytest.mark.parametrize("what", FAILURES)
async def test_a_failure_refuses_the_call_or_lets_the_default_stand_in(what: str) -> None:
    desk = Desk()
    desk.upstream.does = lambda _: FAILURES[what]
    with pytest.raises(Unavailable, match="customer") as caught:
        await desk.find(http_lookup())
    assert (caught.value.status, caught.value.code) == (503, "lookup_failed")
    assert not any(secret in str(caught.value) for secret in ("crm", "42"))
    found = await desk.find(http_lookup(fail=Fail.OPEN, default={"plan": "free"}))
    assert (found.values, found.notes, found.text) == ({"customer": {"plan": "free"}}, ("lookup_skipped",), "")
    assert len(desk.upstream.requests) == 2  # a failure is not remembered
    assert all(response.closed for response in desk.upstream.responses)


async def test_an_answer_that_lacks_what_is_picked_fails() -> None:
    desk = Desk()
    desk.upstream.does = lambda _: json_reply({"a": [1]})
    for pick in ("b", "a.1", "a.x", "a.0.y"):
        with pytest.raises(Unavailable, match="has no"):
            await desk.find(http_lookup(pick=pick))


@pytest.mark.parametrize(
    ("path", "variables", "param"),
    [
        ("/{variables.id}", {}, "prompt.variables.id"),
        ("/{variables.id}", {"id": ""}, "prompt.variables.id"),
        ("/{variables.id}", {"id": None}, "prompt.variables.id"),
        ("/{variables.id}", {"id": [1]}, "prompt.variables.id"),
        ("/{variables.id}", {"id": "x" * (MAX_CHARACTERS + 1)}, "prompt.variables.id"),
        ("/{context.department}", {}, None),
    ],
    ids=["absent", "empty", "null", "list", "long", "context"],
)
async def test_what_a_call_does_not_bring_is_its_own_fault(path: str, variables: dict[str, Any], param: str | None) -> None:
    desk = Desk()
    with pytest.raises(PromptError) as caught:
        await desk.find(http_lookup(path=path), asking=Asking("contoso", variables=variables))
    assert caught.value.param == param
    found = await desk.find(http_lookup(path=path, fail=Fail.OPEN), asking=Asking("contoso", variables=variables))
    assert (found.values, found.notes) == ({"customer": None}, ("lookup_skipped",))
    assert desk.upstream.requests == []


@pytest.mark.parametrize(("value", "text"), [(7, "7"), (1.5, "1%2E5"), (True, "true"), ("a b", "a%20b")], ids=str)
async def test_numbers_and_flags_are_written_as_json_writes_them(value: Any, text: str) -> None:
    desk = Desk()
    desk.upstream.will(text_reply("x"))
    await desk.find(http_lookup(), asking=Asking("contoso", variables={"id": value}))
    assert desk.upstream.requests[0].url.endswith(f"/customers/{text}")


async def test_a_lookup_of_other_tenants_is_refused_also_where_it_fails_open() -> None:
    desk = Desk()
    with pytest.raises(PermissionDenied):
        await desk.find(http_lookup(tenants=("fabrikam",), fail=Fail.OPEN))
    assert desk.upstream.requests == []


async def test_a_backend_outside_the_tenants_data_zone_is_not_asked() -> None:
    desk = Desk()
    desk.upstream.will(text_reply("x"))
    await desk.find(http_lookup(), asking=Asking("contoso", "eu", {"id": "1"}))
    with pytest.raises(Unavailable, match="data zone"):
        await desk.find(http_lookup(), asking=Asking("contoso", "us", {"id": "1"}))  # also not out of memory
    assert len(desk.upstream.requests) == 1


async def test_a_value_is_served_from_memory_for_its_time_and_no_longer() -> None:
    desk, lookup = Desk(), http_lookup(ttl_s=10.0, fail=Fail.OPEN)
    desk.upstream.will(text_reply("old"), Reply(status=500), text_reply("new"))
    assert (await desk.find(lookup)).values["customer"] == "old"
    desk.clock.advance(9.9)
    assert (await desk.find(lookup)).values["customer"] == "old"
    desk.clock.advance(0.1)
    assert (await desk.find(lookup)).values["customer"] is None  # its source fails: the default, not what was true once
    assert (await desk.find(lookup)).values["customer"] == "new"


async def test_without_a_time_to_live_each_call_asks() -> None:
    desk = Desk()
    desk.upstream.will(text_reply("1"), text_reply("2"))
    lookup = http_lookup(ttl_s=0)
    assert [(await desk.find(lookup)).values["customer"] for _ in range(2)] == ["1", "2"]


async def test_memory_is_apart_by_tenant_lookup_and_key() -> None:
    desk = Desk()
    desk.upstream.does = lambda _: text_reply(str(len(desk.upstream.requests)))
    askings = [Asking(tenant, variables={"id": key}) for tenant in ("contoso", "fabrikam") for key in ("1", "2")]
    wanted: list[Lookup] = [http_lookup(), http_lookup(id="other")]
    first = [(await desk.find(each, asking=asking)).values[each.id] for asking in askings for each in wanted]
    assert len(set(first)) == 8
    assert [(await desk.find(each, asking=asking)).values[each.id] for asking in askings for each in wanted] == first


async def test_many_calls_at_once_wait_for_one_answer() -> None:
    desk = Desk()
    await desk.hold("gold")
    desk.tables.gate = asyncio.Event()
    finding = [asyncio.create_task(desk.find(table_lookup())) for _ in range(50)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    finding[0].cancel()  # a client that goes away takes the answer from nobody else
    desk.tables.gate.set()
    done = await asyncio.gather(*finding, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert [each.values for each in done[1:] if not isinstance(each, BaseException)] == [{"plan": "gold"}] * 49
    assert desk.tables.calls == 1


def test_a_source_that_takes_too_long_fails_within_its_own_time_and_all_run_at_once() -> None:
    async def main() -> None:
        clock = LoopClock()
        desk = Desk(clock=clock)
        desk.upstream.does = lambda _: Reply(wait_s=FOREVER)
        started_s = clock.now_s()
        wanted = [http_lookup(id=f"l{index}", timeout_s=2.0, fail=Fail.OPEN) for index in range(3)]
        found = await desk.find(*wanted)
        assert clock.now_s() - started_s == pytest.approx(2.0)
        assert (found.notes, desk.upstream.cancelled) == (("lookup_skipped",), 3)
        with pytest.raises(Unavailable, match="took over 2 s"):
            await desk.find(http_lookup())

    run(main())


async def test_memory_is_bounded_by_entries_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    desk.upstream.does = lambda _: text_reply("x" * 100)
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    for key in "abcde":
        await desk.find(http_lookup(), asking=Asking("contoso", variables={"id": key}))
    assert [name[2] for name in desk.lookups._entries] == ["/customers/c", "/customers/d", "/customers/e"]
    monkeypatch.setattr(module, "MAX_BYTES", 250)
    await desk.find(http_lookup(), asking=Asking("contoso", variables={"id": "f"}))
    assert [name[2] for name in desk.lookups._entries] == ["/customers/e", "/customers/f"]
    assert desk.lookups._bytes == 200


async def test_what_is_shown_of_a_question_and_its_answer_holds_nobodys_words() -> None:
    desk = Desk()
    desk.upstream.will(text_reply("their words"))
    found = await desk.find(http_lookup())
    assert "their words" not in repr(found)
    assert "42" not in repr(ASKING)


async def test_a_lookup_that_fails_closed_wins_over_those_that_succeed() -> None:
    desk = Desk()
    desk.upstream.does = lambda sent: Reply(status=500) if "bad" in sent.url else text_reply("x")
    with pytest.raises(GatewayError, match="second"):
        await desk.find(http_lookup(), http_lookup(id="second", path="/bad"))
