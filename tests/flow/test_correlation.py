"""By which id a backend knows a call is recorded, also of an attempt that failed; never another attempt's."""

import pytest

from gateway.metering.draft import UPSTREAM_REQUEST_IDS
from tests.fakes.upstream import Reply
from tests.flow.street import STREAM, Street, completion, failure, read, streamed


def with_ids(reply: Reply, **ids: str) -> Reply:
    return Reply(
        status=reply.status, headers={**reply.headers, **{name.replace("_", "-"): value for name, value in ids.items()}}, steps=reply.steps
    )


@pytest.mark.parametrize("name", UPSTREAM_REQUEST_IDS)
async def test_the_id_of_whoever_answered_is_recorded(street: Street, name: str) -> None:
    street.upstream.will(with_ids(completion(), **{name: "theirs"}), with_ids(streamed(), **{name: "theirs too"}))
    await street.call()
    await read(await street.call(STREAM))
    assert [record["upstream_request_id"] for record in await street.records()] == ["theirs", "theirs too"]


async def test_of_several_the_one_that_azure_logs_counts(street: Street) -> None:
    street.upstream.will(with_ids(completion(), x_request_id="another", apim_request_id="theirs"))
    await street.call()
    assert (await street.record())["upstream_request_id"] == "theirs"


async def test_after_a_failover_it_is_the_last_ones_and_a_failed_calls_too(street: Street) -> None:
    street.upstream.will(with_ids(failure(500), x_request_id="the first"), completion())
    await street.call()
    street.upstream.will(*[with_ids(failure(400), x_request_id="who refused")] * 4)
    await street.refused()
    assert [record["upstream_request_id"] for record in await street.records()] == ["", "who refused"]


async def test_a_call_that_reached_nobody_has_none(street: Street) -> None:
    await street.refused(key="gwk_nobody")
    assert (await street.record())["upstream_request_id"] == ""
