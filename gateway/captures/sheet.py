"""One call's capture while the call is under way: the street writes on it what it does, and hands it in at settlement.

    begin ─▶ expanded ─▶ read ─▶ changed … ─▶ heard (each backend that is asked) ─▶ told ─▶ keep

Each of them costs a comparison, or keeps what exists already; answers are kept as they pass, up to a size, and only while there is
room (`capture.py`). A sheet that is never handed in leaves no trace.
"""

import datetime
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from gateway.captures.record import QUERY as KEPT_QUERY
from gateway.captures.record import Asked, Captured, Change, Heard, Source, Told, asked_of, holds_key, kept_headers, outcome_of
from gateway.domain.access import Principal
from gateway.domain.call import Answer, ByteStream, Call, Inbound
from gateway.domain.deployment import Deployment
from gateway.domain.fingerprint import hash_of
from gateway.domain.limits import NO_LIMITS
from gateway.errors import GatewayError
from gateway.ports import UpstreamResponse

MAX_ANSWER_BYTES = 1024 * 1024


class Keeper(Protocol):
    """Where sheets are handed in (`capture.Captures`)."""

    def take(self, size: int) -> bool:
        """Reserve room in memory; False where there is none."""

    def give_back(self, size: int) -> None:
        """Give room back."""

    def add(self, captured: Captured, reserved: int) -> None:
        """Take a call that is complete, in the room that was reserved for it."""

    def now(self) -> datetime.datetime:
        """Return the time, in UTC."""


class _Tape:
    """What passes, up to a size and while there is room."""

    __slots__ = ("complete", "ended", "pieces", "size")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0
        self.complete, self.ended = True, False

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


class Sheet:
    """One call's.

    Args:
        keeper: Where it is handed in.
        inbound: The request, with or without its body.
        body: As sent by the client.
        principal: Who calls.
        days: How long it is to be kept.
    """

    __slots__ = ("_body", "_changes", "_days", "_facts", "_inbound", "_keeper", "_made", "_principal", "_reserved", "_sent", "_told")

    def __init__(self, keeper: Keeper, inbound: Inbound, body: bytes, principal: Principal, days: int) -> None:
        self._keeper = keeper
        self._inbound, self._body, self._principal, self._days = inbound, body, principal, days
        self._facts: dict[str, Any] = {}
        self._changes: list[Change] = []
        self._made: bytes | None = None  # the request's body as the last change left it; None until it was read
        self._sent: list[tuple[bytes, Asked, bytes, UpstreamResponse, bool, _Tape]] = []
        self._told: tuple[_Tape, bool] | None = None
        self._reserved = 0

    def __del__(self) -> None:
        """Give the room back of a sheet that was not handed in."""
        if self._reserved:
            self._keeper.give_back(self._reserved)

    def expanded(
        self,
        *,
        source: Source | None = None,
        history: Sequence[Mapping[str, Any]] = (),
        experiment: str = "",
        variant: str = "",
        forced: Mapping[str, Any] | None = None,
    ) -> None:
        """Note what the client's body was expanded with: a prompt, the session's history, an experiment's variant."""
        self._facts |= {
            "source": source, "history": tuple(history), "experiment": experiment, "variant": variant, "forced": forced or {},
        }  # fmt: skip

    def read(self, call: Call) -> None:
        """Note the request as it was read: what comes after this is a change."""
        self._made = call.body

    def changed(self, by: str, call: Call, facts: Mapping[str, Any] | None = None) -> None:
        """Note a change of the request, if its body is another one.

        Args:
            by: A name of `rebuild.REPEATED`, or whose work it was.
            call: As it is now.
            facts: What the change can be repeated with; None keeps the body itself.
        """
        if call.body is not self._made:
            self._changes.append(Change(by, facts) if facts is not None else Change(by, body=call.body))
            self._made = call.body

    def heard(
        self, call: Call, deployment: Deployment, capabilities: tuple[str, ...], sent: bytes, response: UpstreamResponse
    ) -> UpstreamResponse:
        """Note whom is asked with what, and return the response, to be read in the given one's place.

        Args:
            call: What was encoded.
            deployment: Whom it was encoded for.
            capabilities: Its own, or its model's.
            sent: The body that it was sent.
            response: Its answer.
        """
        tape = _Tape()
        self._sent.append((sent, asked_of(deployment, capabilities), call.body, response, call.stream, tape))
        return Overheard(response, self, tape)

    def told(self, answer: Answer) -> Answer:
        """Note what the client is answered; returns it, to be handed on in the given one's place."""
        tape = _Tape()
        self._told = (tape, answer.stream is not None)
        if answer.stream is None:
            self.tape(tape, answer.body)
            tape.ended = True
            return answer
        return msgspec.structs.replace(answer, stream=Passing(answer.stream, self, tape))

    def tape(self, tape: _Tape, piece: bytes) -> None:
        """Keep what passes, as far as there is room for it."""
        if tape.size + len(piece) > MAX_ANSWER_BYTES or not tape.complete or not self._keeper.take(len(piece)):
            tape.complete = False
            return
        self._reserved += len(piece)
        tape.pieces.append(piece)
        tape.size += len(piece)

    def keep(self, record: Any, sent: bytes) -> None:
        """Hand it in.

        Args:
            record: The usage record.
            sent: The body that the answering backend was sent; empty where nobody answered.
        """
        tapes = [each[-1] for each in self._sent] + ([self._told[0]] if self._told else [])
        if any(holds_key(each) for each in (self._body, *(tape.body for tape in tapes))):
            return
        whole = not record.error_code  # then streams came to their end, although nobody reads on behind it
        facts = self._facts | self._answered(sent, whole=whole)
        if self._told is not None:
            tape, stream = self._told
            facts["told"] = Told(tape.body, stream, tape.complete and (tape.ended or whole))
        inbound, principal = self._inbound, self._principal
        captured = Captured(
            request_id=inbound.request_id,
            at=self._keeper.now(),
            days=self._days,
            principal=msgspec.structs.replace(principal, limits=NO_LIMITS, tenant_limits=NO_LIMITS, networks=(), rules=()),
            operation=inbound.operation,
            surface=inbound.surface,
            method=inbound.method,
            path=inbound.path,
            path_model=inbound.path_model,
            path_prompt=inbound.path_prompt,
            headers=kept_headers(inbound),
            query={name: inbound.query[name] for name in KEPT_QUERY if name in inbound.query},
            body=self._body,
            outcome=outcome_of(record),
            **facts,
        )
        reserved, self._reserved = self._reserved, 0
        self._keeper.add(captured, reserved)

    def _answered(self, sent: bytes, *, whole: bool) -> dict[str, Any]:
        """Return what is kept of the backend that answered, and of the request as it was encoded for it."""
        changes = list(self._changes)
        found = next((each for each in reversed(self._sent) if each[0] is sent), None) if sent else None
        if found is None:
            return {"changes": tuple(changes)}
        body, asked, made, response, stream, tape = found
        if made is not self._made:  # asked for once more, in other words
            changes.append(Change("again", body=made))
        return {
            "changes": tuple(changes),
            "asked": asked,
            "upstream_body": body,
            "upstream_hash": hash_of(body),
            "heard": Heard(
                response.status, tape.body, stream, tape.complete and (tape.ended or whole), response.headers.get("content-type", "")
            ),
        }


class Overheard:
    """A backend's answer that is kept as it is read; see `ports.UpstreamResponse`."""

    def __init__(self, response: UpstreamResponse, sheet: Sheet, tape: _Tape) -> None:
        self._response = response
        self._sheet = sheet
        self._tape = tape
        self.status = response.status
        self.headers = response.headers

    async def read(self) -> bytes:
        """Read the whole body."""
        body = await self._response.read()
        self._sheet.tape(self._tape, body)
        self._tape.ended = True
        return body

    async def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the body as it arrives."""
        async for piece in self._response.chunks():
            self._sheet.tape(self._tape, piece)
            yield piece
        self._tape.ended = True

    def close(self) -> None:
        """Let the connection go."""
        self._response.close()


class Passing:
    """A client's stream that is kept as it passes; see `domain.call.ByteStream`."""

    def __init__(self, stream: ByteStream, sheet: Sheet, tape: _Tape) -> None:
        self._stream = stream
        self._sheet = sheet
        self._tape = tape

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the client's bytes."""
        async for piece in self._stream:
            self._sheet.tape(self._tape, piece)
            yield piece
        self._tape.ended = True

    async def aclose(self, error: GatewayError | None = None) -> None:
        """End it."""
        await self._stream.aclose(error)
