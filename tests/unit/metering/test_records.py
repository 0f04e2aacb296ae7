import asyncio
import datetime
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from gateway.access.keys import mint
from gateway.domain.amounts import Amounts
from gateway.domain.call import Usage
from gateway.domain.guardrails import Direction
from gateway.domain.ledger import ANONYMOUS
from gateway.domain.tables import Value, Write, check_entity, check_transaction
from gateway.domain.verdicts import Outcome, Verdict
from gateway.errors import NotFound, StoreUnavailable, UpstreamError
from gateway.metering.draft import Draft
from gateway.metering.record import CLIENT_REQUEST_IDS
from gateway.metering.records import STRANGERS_A_MINUTE, Recorder, UsageRecord, finish, hour_of
from tests.builders import make_inbound, make_principal
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

AT = datetime.datetime(2026, 1, 31, 12, 5, tzinfo=datetime.UTC)
FIELDS = [
    "at", "request_id", "trace_id", "tenant", "product", "subscription", "key_id", "user", "session", "tags", "operation", "surface",
    "path", "model", "deployment", "backend", "stream", "status", "error_code", "finish_reason", "attempts", "prompt_tokens",
    "completion_tokens", "cached_tokens", "reasoning_tokens", "audio_input_tokens", "audio_output_tokens",
    "cache_write_tokens", "cache_write_1h_tokens", "units", "unit", "tokens_estimated", "unpriced", "cost_micro_usd",
    "aside_cost_micro_usd", "avoided_micro_usd", "admitted_at", "charged_requests", "charged_input_tokens", "charged_output_tokens",
    "charged_micro_usd", "worker", "client_request_id", "upstream_request_id",
    "rule", "tier", "fallback", "reason", "route", "changes", "guardrails", "classification",
    "prompt", "prompt_version", "experiment", "variant", "upstream_hash", "admission_s", "guard_s", "queue_s",
    "upstream_ttft_s", "stream_s", "overhead_s", "total_s",
]  # fmt: skip


class HeldClock(FakeClock):
    """Its sleepers wait until a test lets time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.tick = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await self.tick.wait()


def make_record(number: int = 0, **over: Any) -> UsageRecord:
    draft = Draft(make_inbound(request_id=f"req_{number:06}"))
    draft.principal = make_principal(tenant=over.pop("tenant", "contoso"))
    draft.status = 200
    return msgspec.structs.replace(finish(draft, 1.0, over.pop("at", AT)), **over)


def stored(tables: FakeTables) -> list[str]:
    return [entity.row for entity in tables.rows("usage")]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_record_has_exactly_these_fields() -> None:
    assert list(UsageRecord.__struct_fields__) == FIELDS
    assert set(make_record().row()) <= set(FIELDS)


def test_a_row_leaves_out_what_is_empty_but_never_the_status() -> None:
    row = make_record(status=0, cost_micro_usd=None, unpriced=True).row()
    assert row["status"] == 0
    assert "cost_micro_usd" not in row
    assert row["unpriced"] is True
    assert "error_code" not in row


def test_a_draft_keeps_its_first_failure() -> None:
    draft = Draft(make_inbound())
    draft.fail(NotFound("first"))
    draft.fail(UpstreamError("second"))
    assert (draft.status, draft.error_code) == (404, "not_found")


def test_each_of_a_drafts_values_becomes_the_field_of_its_name() -> None:
    sent = {"x-gateway-session": "a session", "x-gateway-tags": "team=web", "x-ms-client-request-id": "theirs", "x-gateway-user": "anna"}
    draft = Draft(make_inbound(headers=sent, received_s=1.0))
    draft.principal = make_principal(tenant="a tenant", product="a product", subscription="a subscription", key_id="a key")
    draft.usage = Usage(11, 12, 13, 14, True, 15, "pages", 24, 25, 26, 27)
    draft.charged = Amounts(16, 17, 18, 19)
    draft.cost_micro_usd, draft.aside_cost_micro_usd, draft.avoided_micro_usd, draft.attempts, draft.status = 20, 21, 22, 23, 299
    draft.admitted_at, draft.stream, draft.finish_reason = AT - datetime.timedelta(seconds=1), True, "stop"
    texts = (
        "trace_id",
        "model",
        "deployment",
        "backend",
        "error_code",
        "worker",
        "upstream_request_id",
        "rule",
        "tier",
        "fallback",
        "reason",
        "prompt",
        "experiment",
        "variant",
        "upstream_hash",
    )
    for name in texts:
        setattr(draft, name, f"its {name}")
    draft.prompt_version = 28
    draft.route, draft.changes = ["a:1", "b:2"], ["c", "d"]
    draft.verdicts = [Verdict("mask-pii", Direction.MESSAGES, Outcome.REDACTED, "email", label="personal")]
    draft.admitted_s, draft.guard_s, draft.queue_s, draft.upstream_wait_s, draft.first_token_s, draft.last_byte_s = 2, 4, 8, 16, 32, 64
    expected = {
        "at": AT, "request_id": "req_1", "tenant": "a tenant", "product": "a product", "subscription": "a subscription", "key_id": "a key",
        "user": "anna", "session": "a session", "tags": "team=web", "operation": "chat", "surface": "openai",
        "path": "POST /v1/chat/completions", "stream": True, "status": 299, "finish_reason": "stop", "attempts": 23, "prompt_tokens": 11,
        "completion_tokens": 12, "cached_tokens": 13, "reasoning_tokens": 14, "audio_input_tokens": 24, "audio_output_tokens": 25,
        "cache_write_tokens": 26, "cache_write_1h_tokens": 27, "units": 15, "unit": "pages", "tokens_estimated": True,
        "unpriced": False, "cost_micro_usd": 20, "aside_cost_micro_usd": 21, "avoided_micro_usd": 22,
        "admitted_at": AT - datetime.timedelta(seconds=1), "charged_requests": 16, "charged_input_tokens": 17, "charged_output_tokens": 18,
        "charged_micro_usd": 19, "client_request_id": "theirs", "route": "a:1 b:2", "changes": "c d",
        "guardrails": '[{"guard":"mask-pii","direction":"messages","outcome":"redacted","category":"email","label":"personal"}]',
        "classification": "personal", "prompt": "its prompt", "prompt_version": 28, "experiment": "its experiment",
        "variant": "its variant", "upstream_hash": "its upstream_hash", "admission_s": 1, "guard_s": 4,
        "queue_s": 8, "upstream_ttft_s": 16, "stream_s": 32, "overhead_s": 127 - 1 - 4 - 8 - 16 - 32, "total_s": 127,
    } | {name: f"its {name}" for name in texts}  # fmt: skip
    record = finish(draft, 128.0, AT)
    assert msgspec.structs.asdict(record) == expected
    assert record.row() == {name: value for name, value in expected.items() if value}


@pytest.mark.parametrize("name", CLIENT_REQUEST_IDS)
def test_the_id_by_which_a_client_knows_its_call_is_recorded(name: str) -> None:
    assert finish(Draft(make_inbound(headers={name: " theirs "})), 1.0, AT).client_request_id == "theirs"
    both = {**dict.fromkeys(CLIENT_REQUEST_IDS, "another"), CLIENT_REQUEST_IDS[0]: "theirs"}
    assert finish(Draft(make_inbound(headers=both)), 1.0, AT).client_request_id == "theirs"


def test_an_anonymous_call_is_recorded_under_a_dash() -> None:
    record = finish(Draft(make_inbound()), 1.0, AT)
    assert (record.tenant, record.product, record.subscription, record.key_id) == ("-", "", "", "")


def test_what_clients_and_backends_send_is_cut_to_a_size_that_any_store_takes() -> None:
    long = "\u00e9" * 100_000
    said = {"x-gateway-user": long, "x-gateway-session": long, "x-ms-client-request-id": long, "x-gateway-tags": f"team=web,a={long}"}
    inbound = make_inbound(path=f"/v1/{long}", headers=said)
    draft = Draft(inbound)
    draft.model = draft.finish_reason = draft.upstream_request_id = long
    draft.route = [long]
    record = finish(draft, 1.0, AT)
    check_entity("p", "r", record.row())
    assert len(record.user) == len(record.session) == len(record.client_request_id) == len(record.finish_reason) == 256
    assert record.tags == "team=web"
    record = msgspec.structs.replace(record, tags=long[:2048])
    writes = [Write("upsert", str(number), record.row()) for number in range(100)]  # type: ignore[arg-type]
    check_transaction("p", writes)


def test_a_key_that_was_put_in_the_wrong_place_is_in_no_record() -> None:
    text = mint().text
    places = ("x-gateway-session", "x-gateway-tags", "x-request-id")
    draft = Draft(make_inbound(path=f"/v1/models/{text}", headers=dict.fromkeys(places, f"team={text}")))
    draft.model = text
    record = finish(draft, 1.0, AT)
    assert text not in repr(record)
    assert text.split("_")[1] in record.path


async def test_strangers_fill_neither_the_buffer_nor_the_ledger(caplog: pytest.LogCaptureFixture) -> None:
    tables, clock = FakeTables(), FakeClock()
    recorder = Recorder(tables, clock)
    for number in range(2 * STRANGERS_A_MINUTE):
        recorder.add(make_record(number, tenant=ANONYMOUS))
        if number % 10 == 0:
            recorder.add(make_record(1_000_000 + number))
    recorder.add(make_record(999_999, tenant=ANONYMOUS, at=AT + datetime.timedelta(minutes=1)))
    await recorder.close()
    tenants = Counter(str(entity.values["tenant"]) for entity in tables.rows("usage"))
    assert tenants == {ANONYMOUS: STRANGERS_A_MINUTE + 1, "contoso": 2 * STRANGERS_A_MINUTE // 10}
    assert f"{STRANGERS_A_MINUTE} requests without a valid key" in caplog.text


def test_the_latency_parts_sum_to_the_total_whatever_was_stamped() -> None:
    draft = Draft(make_inbound(received_s=10.0))
    draft.admitted_s, draft.guard_s, draft.upstream_wait_s, draft.first_token_s, draft.last_byte_s = 11.0, 0.25, 2.0, 14.0, 17.0
    record = finish(draft, 18.0, AT)
    assert (record.admission_s, record.guard_s, record.upstream_ttft_s, record.stream_s) == (1.0, 0.25, 2.0, 3.0)
    assert record.overhead_s == 1.75
    assert record.total_s == 8.0
    refused = finish(Draft(make_inbound(received_s=10.0)), 11.5, AT)
    assert (refused.admission_s, refused.overhead_s, refused.total_s) == (1.5, 0, 1.5)
    explained = Draft(make_inbound(received_s=10.0))
    explained.guard_s = 0.25
    record = finish(explained, 11.5, AT)
    assert (record.admission_s, record.guard_s, record.overhead_s, record.total_s) == (1.25, 0.25, 0, 1.5)


async def test_records_are_written_in_the_background_soon() -> None:
    tables, clock = FakeTables(), FakeClock()
    recorder = Recorder(tables, clock)
    for number in range(3):
        recorder.add(make_record(number))
    assert stored(tables) == []
    await settle()
    assert stored(tables) == ["req_000000", "req_000001", "req_000002"]
    assert clock.slept_s == [0.25]
    recorder.add(make_record(3))
    await settle()
    assert len(stored(tables)) == 4


async def test_a_transaction_has_at_most_100_records_of_one_partition() -> None:
    tables = FakeTables()
    recorder = Recorder(tables, HeldClock())
    later = AT + datetime.timedelta(hours=1)
    for number in range(230):
        recorder.add(make_record(number, tenant="a" if number % 2 else "b", at=later if number >= 220 else AT))
    await recorder.flush()
    assert len(stored(tables)) == 230
    assert max(size for _, size in tables.transactions) == 100
    partitions = {partition.rsplit("|", 1)[0] for partition, _ in tables.transactions}
    assert partitions == {f"2026-01-31T{hour}|{tenant}" for hour in (12, 13) for tenant in "ab"}
    assert {hour_of(AT), hour_of(later)} == {"2026-01-31T12", "2026-01-31T13"}
    await recorder.close()


async def test_close_writes_what_is_left_and_ends_the_background_task() -> None:
    tables = FakeTables()
    recorder = Recorder(tables, HeldClock())
    recorder.add(make_record())
    await settle()
    await recorder.close()
    assert stored(tables) == ["req_000000"]
    assert recorder._task is not None
    assert recorder._task.done()
    await recorder.close()


async def test_close_in_the_middle_of_a_write_loses_nothing() -> None:
    tables = FakeTables()
    recorder = Recorder(tables, FakeClock())
    tables.gate = asyncio.Event()
    recorder.add(make_record())
    await settle()
    assert tables.calls == 1  # it is being written
    closing = asyncio.create_task(recorder.close())
    await settle()
    tables.gate.set()
    await closing
    assert stored(tables) == ["req_000000"]


async def test_a_store_that_is_down_gets_everything_later_in_order() -> None:
    tables, clock = FakeTables(), HeldClock()
    recorder = Recorder(tables, clock)
    tables.down = True
    for number in range(150):
        recorder.add(make_record(number))
        if number == 75:
            with pytest.raises(StoreUnavailable):
                await recorder.flush()
    assert [record.request_id for record in recorder._buffer] == [f"req_{number:06}" for number in range(150)]
    tables.down = False
    clock.tick.set()
    await settle()
    assert len(stored(tables)) == 150
    assert recorder.dropped == 0


async def test_a_store_that_stays_down_is_asked_ever_less_often(caplog: pytest.LogCaptureFixture) -> None:
    tables, clock = FakeTables(), FakeClock()
    tables.down = True
    recorder = Recorder(tables, clock)
    recorder.add(make_record())
    while len(clock.slept_s) < 9:  # noqa: ASYNC110 - no time passes here
        await asyncio.sleep(0)
    assert clock.slept_s[:9] == [0.25, 0.5, 1, 2, 4, 8, 8, 8, 8]
    assert "1 buffered" in caplog.text
    await recorder.close()
    assert recorder.dropped == 1


async def test_beyond_its_bound_the_oldest_go_and_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(FakeTables(), HeldClock(), capacity=10)
    with caplog.at_level(logging.ERROR):
        for number in range(30):
            recorder.add(make_record(number))
    assert [record.request_id for record in recorder._buffer] == [f"req_{number:06}" for number in range(20, 30)]
    assert recorder.dropped == 20
    assert [entry.getMessage().rsplit(": ", 1)[1] for entry in caplog.records] == [f"{count} so far" for count in (1, 2, 4, 8, 16)]
    await recorder.close()


def test_adding_where_no_loop_runs_neither_fails_nor_loses_the_record() -> None:
    async def make() -> Recorder:
        return Recorder(FakeTables(), FakeClock())

    recorder = asyncio.run(make())
    recorder.add(make_record())
    assert len(recorder._buffer) == 1


async def test_a_record_that_no_store_takes_goes_loudly_and_alone(caplog: pytest.LogCaptureFixture) -> None:
    tables = FakeTables()
    recorder = Recorder(tables, HeldClock())
    for number in range(5):
        over = {"prompt_tokens": 2**63} if number == 2 else {"path": "\ud800"} if number == 3 else {}
        recorder.add(make_record(number, **over))
    await recorder.flush()
    assert stored(tables) == ["req_000000", "req_000001", "req_000004"]
    assert recorder.dropped == 2
    assert "req_000002 cannot be stored" in caplog.text
    assert not recorder._buffer
    await recorder.close()


class Falling(FakeTables):
    """Goes down in the middle of writing singly."""

    async def transact(self, table: str, partition: str, writes: Sequence[Write]) -> list[str | None]:
        self.down = len(self.rows("usage")) >= 2
        return await super().transact(table, partition, writes)


async def test_a_store_that_goes_down_while_it_takes_them_singly_gets_the_rest_later() -> None:
    tables = Falling()
    recorder = Recorder(tables, HeldClock())
    for number in range(5):
        recorder.add(make_record(number, **({"prompt_tokens": 2**63} if number == 0 else {})))
    with pytest.raises(StoreUnavailable):
        await recorder.flush()
    assert stored(tables) == ["req_000001", "req_000002"]
    assert [record.request_id for record in recorder._buffer] == ["req_000003", "req_000004"]
    await recorder.close()
    assert recorder.dropped == 3  # the one that cannot be stored, and two that the store would not take at the end


class Broken(FakeTables):
    """Has a bug."""

    async def upsert(self, table: str, partition: str, row: str, values: Mapping[str, Value]) -> str:
        raise NotImplementedError

    async def transact(self, table: str, partition: str, writes: Sequence[Write]) -> list[str | None]:
        raise RuntimeError("a bug")


async def test_a_stores_bug_does_not_stop_the_recorder(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(Broken(), FakeClock())
    recorder.add(make_record())
    await settle()
    assert recorder.dropped == 1
    assert "a bug" in caplog.text
    recorder.add(make_record(1))
    await settle()
    assert recorder.dropped == 2


def test_usage_is_taken_over_as_it_is() -> None:
    draft = Draft(make_inbound())
    draft.usage = Usage(prompt_tokens=5, completion_tokens=4, cached_tokens=3, reasoning_tokens=2, estimated=True)
    draft.cost_micro_usd = None
    record = finish(draft, 1.0, AT)
    assert (record.prompt_tokens, record.completion_tokens, record.cached_tokens, record.reasoning_tokens) == (5, 4, 3, 2)
    assert (record.tokens_estimated, record.unpriced, record.cost_micro_usd) == (True, True, None)
