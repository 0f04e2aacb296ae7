"""A turn is kept once its answer is complete, behind the client's back."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.conversations.collecting import collector
from gateway.conversations.remembering import MAX_PENDING, Keeper, Remembering
from gateway.domain.call import Operation
from gateway.errors import ClientDisconnected, GatewayError, StoreUnavailable, UpstreamError
from tests.fakes.clock import FakeClock


def chunk(text: str = "", finish: str | None = None) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}).encode() + b"\n\n"


PIECES = [chunk("Hel"), chunk("lo"), chunk(finish="stop"), b"data: [DONE]\n\n"]
HELLO = {"role": "assistant", "content": "Hello"}


class Given:
    """A stream of pieces, that ends with an error where one is given."""

    def __init__(self, pieces: list[bytes], error: GatewayError | None = None) -> None:
        self._pieces, self._error = pieces, error
        self.closed: list[GatewayError | None] = []

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        if self._error is not None:
            raise self._error

    async def aclose(self, error: GatewayError | None = None) -> None:
        self.closed.append(error)


class Kept:
    """Where turns are kept, after so many failures."""

    def __init__(self, failures: int = 0, error: Exception | None = None) -> None:
        self.messages: list[Any] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._failures, self._error = failures, error or StoreUnavailable("down")

    async def __call__(self, message: dict[str, Any]) -> None:
        await self.gate.wait()
        if self._failures:
            self._failures -= 1
            raise self._error
        self.messages.append(message)


def remembering(stream: Given, kept: Kept, keeper: Keeper) -> Remembering:
    return Remembering(stream, collector(Operation.CHAT, stream=True), kept, keeper)


async def test_a_stream_passes_unchanged_and_is_kept_once_at_its_end() -> None:
    kept, keeper, given = Kept(), Keeper(FakeClock()), Given(PIECES)
    stream = remembering(given, kept, keeper)
    assert [piece async for piece in stream] == PIECES
    await stream.aclose()
    await keeper.close()
    assert kept.messages == [HELLO]
    assert given.closed == [None]


async def test_a_store_that_takes_its_time_delays_no_byte() -> None:
    kept, keeper = Kept(), Keeper(FakeClock())
    kept.gate.clear()
    stream = remembering(Given(PIECES), kept, keeper)
    assert [piece async for piece in stream] == PIECES
    await stream.aclose()
    assert kept.messages == []
    kept.gate.set()
    await keeper.close()
    assert kept.messages == [HELLO]


async def test_a_client_that_hangs_up_on_the_last_piece_has_had_the_answer() -> None:
    kept, keeper = Kept(), Keeper(FakeClock())
    stream = remembering(Given(PIECES), kept, keeper)
    pieces = aiter(stream)
    for _ in PIECES:
        await anext(pieces)
    await stream.aclose()
    await keeper.close()
    assert kept.messages == [HELLO]


@pytest.mark.parametrize("error", [None, ClientDisconnected("gone")], ids=["closed", "disconnected"])
async def test_an_answer_that_was_left_is_not_kept(error: GatewayError | None) -> None:
    kept, keeper, given = Kept(), Keeper(FakeClock()), Given(PIECES)
    stream = remembering(given, kept, keeper)
    await anext(aiter(stream))
    await stream.aclose(error)
    await keeper.close()
    assert kept.messages == []
    assert given.closed == [error]


async def test_an_answer_that_broke_is_not_kept_and_the_client_learns_of_it() -> None:
    kept, keeper = Kept(), Keeper(FakeClock())
    stream = remembering(Given(PIECES[:3], UpstreamError("broke")), kept, keeper)
    with pytest.raises(UpstreamError):
        [piece async for piece in stream]
    await stream.aclose()
    await keeper.close()
    assert kept.messages == []


async def test_a_store_that_is_down_for_a_moment_loses_nothing() -> None:
    clock = FakeClock()
    kept, keeper = Kept(failures=4), Keeper(clock)
    keeper.keep(lambda: kept(HELLO))
    await keeper.close()
    assert kept.messages == [HELLO]
    assert clock.slept_s == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(("failures", "error"), [(9, None), (1, ValueError("secret words"))], ids=["down", "broken"])
async def test_what_cannot_be_kept_is_said_in_the_log_without_its_words(
    failures: int, error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    kept, keeper = Kept(failures, error), Keeper(FakeClock())
    keeper.keep(lambda: kept(HELLO))
    await keeper.close()
    assert kept.messages == []
    assert "not kept" in caplog.text
    assert "secret" not in caplog.text
    assert "Hello" not in caplog.text


async def test_a_store_that_never_answers_neither_grows_the_memory_nor_holds_up_a_stop(caplog: pytest.LogCaptureFixture) -> None:
    kept, keeper = Kept(), Keeper(FakeClock())
    kept.gate.clear()
    for _ in range(MAX_PENDING + 1):
        keeper.keep(lambda: kept(HELLO))
    assert f"{MAX_PENDING} wait" in caplog.text
    await keeper.close(timeout_s=0.0)
    assert "could not be kept" in caplog.text
    kept.gate.set()
    await asyncio.sleep(0)
    assert kept.messages == []
