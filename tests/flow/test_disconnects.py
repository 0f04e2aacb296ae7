"""A client may go away at any moment: the upstream is let go, the call is settled once, and nothing is lost."""

import asyncio
import contextlib
import gc
from collections.abc import Mapping

import pytest

from gateway.domain.amounts import Amounts
from gateway.domain.call import CLIENT_GONE, Answer
from gateway.domain.tables import Value
from gateway.errors import ClientDisconnected, GatewayError, UpstreamError
from gateway.limits.limiter import Reservation
from tests.fakes.upstream import FOREVER, Reply, Step
from tests.flow.street import CHAT, STREAM, STREAM_STEPS, Street, completion, event, failure, read, streamed, until

LIMITED = CHAT | {"stream": True, "max_tokens": 500}
# The client sees four pieces: the first holds all up to the first content, and the usage chunk is withheld.
VISIBLE = len(STREAM_STEPS) - 2


class Settlements:
    """Counts how often each reservation is settled."""

    def __init__(self, street: Street) -> None:
        self.tokens: list[int] = []
        settle = street.limiter.settle

        def counting(reservation: Reservation, used: Amounts) -> None:
            self.tokens.append(used.tokens)
            settle(reservation, used)

        street.limiter.settle = counting  # type: ignore[method-assign]


async def begin(street: Street, *steps: Step) -> tuple[Answer, Settlements]:
    settlements = Settlements(street)
    street.upstream.will(streamed(*steps))
    return await street.call(LIMITED, product="few-tokens"), settlements


async def assert_disconnected(street: Street, settlements: Settlements, text: str, charged: int | None = None) -> Mapping[str, Value]:
    """Check all that must hold of a call whose client went away after `text`; `charged` is what its limit keeps."""
    charged = 12 + len(text) if charged is None else charged
    record = await street.record()
    assert (record["status"], record["error_code"]) == (499, "client_disconnected")
    assert record["tokens_estimated"] is True
    assert (record["prompt_tokens"], record["completion_tokens"]) == (12, len(text))
    assert record["cost_micro_usd"] == 12 * 2.5 + len(text) * 10
    assert record["unpriced"] is False
    assert all(response.closed for response in street.upstream.responses)
    assert settlements.tokens == [charged]
    street.upstream.will(completion())
    left = (await street.call(CHAT | {"max_tokens": 1}, product="few-tokens")).headers["x-ratelimit-remaining-tokens"]
    assert left == str(1000 - charged - 13)
    return record


TEXTS = ["", "Hel", "Hello", "Hello"]  # what was handed on after 0, 1, 2 … pieces


@pytest.mark.parametrize("index", range(VISIBLE))
async def test_a_stream_that_is_closed_after_any_piece_is_settled_once(street: Street, index: int) -> None:
    answer, settlements = await begin(street)
    assert answer.stream is not None
    pieces = aiter(answer.stream)
    for _ in range(index):
        await anext(pieces)
    await answer.stream.aclose()
    await answer.stream.aclose()
    assert not street.upstream.responses[0].complete
    await assert_disconnected(street, settlements, TEXTS[index])


async def test_a_client_that_hangs_up_on_the_last_piece_has_had_its_answer(street: Street) -> None:
    answer, settlements = await begin(street)
    assert answer.stream is not None
    pieces = aiter(answer.stream)
    for _ in range(VISIBLE):
        await anext(pieces)
    await answer.stream.aclose()
    record = await street.record()
    assert (record["status"], record["error_code"], record["tokens_estimated"]) == (200, "", False)
    assert settlements.tokens == [1100]
    assert street.upstream.responses[0].closed


async def consume(answer: Answer, seen: list[bytes], at: asyncio.Event, index: int, *, sending: bool) -> None:
    """Read like a route whose client stops taking bytes after `index` pieces, or whose upstream stalls there."""
    assert answer.stream is not None
    try:
        async for piece in answer.stream:
            seen.append(piece)
            if len(seen) == index:
                at.set()
                if sending:
                    await asyncio.Event().wait()
    finally:
        await answer.stream.aclose()


@pytest.mark.parametrize("index", range(1, VISIBLE))
@pytest.mark.parametrize("sending", [True, False])
async def test_a_reader_that_is_cancelled_after_any_piece_is_settled_once(street: Street, index: int, sending: bool) -> None:
    steps = STREAM_STEPS if sending else [*STREAM_STEPS[: index + 1], FOREVER]
    answer, settlements = await begin(street, *steps)
    seen: list[bytes] = []
    at = asyncio.Event()
    reading = asyncio.create_task(consume(answer, seen, at, index, sending=sending))
    await at.wait()
    for _ in range(3):  # let it come to where it waits
        await asyncio.sleep(0)
    reading.cancel(CLIENT_GONE)
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert len(seen) == index
    await assert_disconnected(street, settlements, TEXTS[index])


async def test_a_stream_that_nobody_reads_is_settled_as_soon_as_it_is_dropped(street: Street) -> None:
    answer, settlements = await begin(street)
    gc.disable()  # reference counting alone must do it: a collection may be minutes away
    try:
        del answer
        assert street.upstream.responses[0].closed
    finally:
        gc.enable()
    await assert_disconnected(street, settlements, "")


async def test_a_stream_dropped_half_way_is_settled_too(street: Street) -> None:
    answer, settlements = await begin(street)
    assert answer.stream is not None
    pieces = aiter(answer.stream)
    await anext(pieces)
    del answer, pieces
    gc.collect()
    await asyncio.sleep(0)
    await assert_disconnected(street, settlements, "Hel")


async def test_a_stream_dropped_in_another_thread_is_recorded(street: Street) -> None:
    answer, settlements = await begin(street)
    held = [answer]
    del answer
    await asyncio.to_thread(held.clear)
    await assert_disconnected(street, settlements, "")


async def test_a_complete_stream_is_settled_once_whatever_is_called_afterwards(street: Street) -> None:
    answer, settlements = await begin(street)
    await read(answer)
    assert answer.stream is not None
    await answer.stream.aclose()
    del answer
    gc.collect()
    assert settlements.tokens == [1100]
    assert (await street.record())["status"] == 200


async def test_a_failed_stream_is_settled_once(street: Street) -> None:
    answer, settlements = await begin(street, event("Hel"), UpstreamError("cut", code="upstream_interrupted"))
    with pytest.raises(UpstreamError):
        await read(answer)
    assert settlements.tokens == [12 + 3]
    assert (await street.record())["error_code"] == "upstream_interrupted"


async def test_a_stream_settles_before_it_waits_for_the_connections_end(street: Street) -> None:
    answer, settlements = await begin(street, *STREAM_STEPS, FOREVER)
    assert answer.stream is not None
    reading = asyncio.create_task(read(answer))
    await until(lambda: settlements.tokens)
    assert not reading.done()
    reading.cancel(CLIENT_GONE)
    with contextlib.suppress(asyncio.CancelledError):
        await reading
    record = await street.record()
    assert (record["status"], record["total_s"], record["overhead_s"]) == (200, 0, 0)
    assert street.upstream.responses[0].closed
    assert settlements.tokens == [1100]


@pytest.mark.parametrize("reply", [Reply(wait_s=FOREVER), Reply(steps=[b'{"choices"', FOREVER])])
async def test_a_plain_call_cancelled_while_it_waits_lets_the_upstream_go(street: Street, reply: Reply) -> None:
    settlements = Settlements(street)
    street.upstream.will(reply)
    calling = asyncio.create_task(street.call(CHAT | {"max_tokens": 500}, product="few-tokens"))
    await street.upstream.asked.wait()
    await asyncio.sleep(0)
    calling.cancel(CLIENT_GONE)
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert street.upstream.cancelled == (not street.upstream.responses)
    # Nobody knows how far the backend had come: the limit keeps the whole reservation, 12 and the 500 of max_tokens.
    record = await assert_disconnected(street, settlements, "", charged=512)
    assert (record["deployment"], record["attempts"]) == ("east", 1)


async def test_a_stream_cancelled_before_its_first_byte_lets_the_upstream_go(street: Street) -> None:
    settlements = Settlements(street)
    street.upstream.will(Reply(steps=[FOREVER]))
    calling = asyncio.create_task(street.call(LIMITED, product="few-tokens"))
    await street.upstream.asked.wait()
    await asyncio.sleep(0)
    calling.cancel(CLIENT_GONE)
    with pytest.raises(asyncio.CancelledError):
        await calling
    await assert_disconnected(street, settlements, "", charged=512)


async def test_a_call_that_the_hosts_stop_cuts_short_is_not_the_clients_doing(street: Street) -> None:
    street.upstream.will(Reply(wait_s=FOREVER))
    calling = asyncio.create_task(street.call(CHAT))
    await street.upstream.asked.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    record = await street.record()
    assert (record["status"], record["error_code"]) == (503, "stopping")


@pytest.mark.parametrize("cut", [Reply(wait_s=500), Reply(steps=[b'{"choices"', UpstreamError("cut", code="upstream_interrupted")])])
async def test_an_answer_that_is_in_doubt_is_estimated_and_its_reservation_kept(street: Street, cut: Reply) -> None:
    settlements = Settlements(street)
    street.upstream.will(cut, cut, cut)
    with pytest.raises(GatewayError):
        await street.call(CHAT | {"max_tokens": 500}, product="few-tokens")
    record = await street.record()
    assert (record["prompt_tokens"], record["tokens_estimated"], settlements.tokens) == (12, True, [512])


async def test_a_failure_that_leaves_no_doubt_gives_everything_back(street: Street) -> None:
    settlements = Settlements(street)
    street.upstream.will(*[failure(500)] * 3)
    with pytest.raises(GatewayError):
        await street.call(CHAT | {"max_tokens": 500}, product="few-tokens")
    record = await street.record()
    assert (record["prompt_tokens"], settlements.tokens) == (0, [0])


async def test_a_call_cancelled_while_its_key_is_checked_uses_nothing(street: Street) -> None:
    await street.key()
    street.tables.gate, before = asyncio.Event(), street.tables.calls
    calling = asyncio.create_task(street.call(STREAM))
    await until(lambda: street.tables.calls > before)
    calling.cancel(CLIENT_GONE)
    with pytest.raises(asyncio.CancelledError):
        await calling
    street.tables.gate.set()
    record = await street.record()
    assert (record["status"], record["prompt_tokens"], record["cost_micro_usd"], record["tenant"]) == (499, 0, 0, "-")


async def test_a_client_lost_while_it_sent_its_body_uses_nothing(street: Street) -> None:
    error = await street.refused(fault=ClientDisconnected("gone"), product="few-tokens")
    assert error.status == 499
    record = await street.record()
    assert (record["status"], record["prompt_tokens"], record["tenant"]) == (499, 0, "default")


@pytest.mark.parametrize("replies", [[completion()], [failure(500)] * 3, [failure(400)], [Reply(wait_s=500), Reply(wait_s=500)]])
async def test_every_call_settles_exactly_once(street: Street, replies: list[Reply]) -> None:
    settlements = Settlements(street)
    street.upstream.will(*replies)
    with contextlib.suppress(GatewayError):
        await street.call(CHAT | {"max_tokens": 1}, product="few-tokens")
    assert len(settlements.tokens) == 1
    in_doubt = bool(replies[0].wait_s)
    assert settlements.tokens == [13 if in_doubt else 1100 if replies[0].status == 200 else 0]
    await street.record()
