"""A guarded stream: events in, events out, and nothing reaches the client that no guardrail has cleared.

    decoder ─events─▶ GuardedStream ─events─▶ relay
                        dialect: where the texts are · channels: their windows · watch: the guardrails, and what they found

Rules: an event goes on as it came, to the byte, unless a text in it was changed or waits. An event with nothing left is
withheld; what it says besides its text is not. What waits at the end of a text is said before the event that ends it. Where a
guardrail blocks, what was cleared is followed by the dialect's own ending (`content_filter`, `refusal`) with the verdict in
`gateway_guardrail`, and by nothing else. Where one that fails closed cannot run, or an event cannot be read, the stream
breaks. What waits when a stream breaks is not released: it may be the larger part of a secret.

A stream that is passed through has no dialect: it is not read, and every verdict says so.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gateway.domain.call import Call, Operation, StreamEvent
from gateway.domain.guardrails import BackendFilter, Direction, Fail, JsonSchema, fail_of
from gateway.domain.sse import ServerSentEvent, SseParser, frame
from gateway.domain.verdicts import Passage, Role, Verdict
from gateway.errors import GatewayError, GuardrailUnavailable
from gateway.guardrails.backend_filter import NOT_RUN, filter_unavailable, unchecked
from gateway.guardrails.blocked import FINISH_REASON, blocked_request, guardrail_of
from gateway.guardrails.kinds import Guard
from gateway.guardrails.streams.channels import Unmask
from gateway.guardrails.streams.chat import ChatDialect, CompletionsDialect
from gateway.guardrails.streams.dialect import Dialect, Document
from gateway.guardrails.streams.media import MediaDialect
from gateway.guardrails.streams.messages import MessagesDialect
from gateway.guardrails.streams.responses import ResponsesDialect
from gateway.guardrails.streams.texts import Texts
from gateway.guardrails.streams.watch import Watch
from gateway.ports import Clock

_DONE = b"[DONE]"
_CHUNKED = frozenset({Operation.CHAT, Operation.COMPLETIONS})


def _dialect(call: Call, texts: Texts) -> Dialect | None:
    match call.operation:
        case Operation.CHAT:
            return ChatDialect(texts, call)
        case Operation.COMPLETIONS:
            return CompletionsDialect(texts, call)
        case Operation.MESSAGES:
            return MessagesDialect(texts)
        case Operation.RESPONSES | Operation.RESPONSE_ITEM:
            return ResponsesDialect(texts)
        case Operation.TRANSCRIPTION | Operation.SPEECH | Operation.IMAGES:
            return MediaDialect(texts)
    return None


class GuardedStream:
    """One answer's stream under guard; see `relay.StreamGuard`.

    Args:
        call: The client's.
        guards: Those that hold for it, in their order; what does not look at answers is left out here.
        unmask: Puts originals back, last of all; None where nothing was masked.
        note: Takes the verdict of each guardrail, once, at the end.
        clock: Measures them.
        sources: The request's passages.
        tenant: Whose call it is.
    """

    def __init__(
        self,
        call: Call,
        guards: Sequence[Guard],
        unmask: Unmask | None,
        note: Callable[[Verdict], None],
        clock: Clock,
        sources: Sequence[Passage] = (),
        *,
        tenant: str,
    ) -> None:
        read = [each for each in guards if Direction.OUTPUT in each.directions and Role.ASSISTANT in each.roles]
        judging = [each for each in read if not isinstance(each.config, JsonSchema)]
        self._watch = Watch(call.operation, judging, note, clock, sources, tenant)
        self._filters = [each for each in read if isinstance(each.config, BackendFilter)]
        self._operation = call.operation
        self._dialect = _dialect(call, Texts(self._watch, unmask))
        self._parser = SseParser()
        self._over = False
        if self._dialect is None:
            self._watch.skip("a stream that is passed through")

    @property
    def blocked(self) -> bool:
        """Whether it has ended the stream itself."""
        return self._watch.ended

    async def feed(self, events: list[StreamEvent]) -> list[StreamEvent]:
        """Take events and return those that the client may have now."""
        out: list[StreamEvent] = []
        for event in events:
            if self._over:
                break
            made = event if self._dialect is None else await self._taken(self._dialect, event)
            out.append(made)
            if made.done or made.error is not None:
                self.close()
        return out

    def close(self) -> None:
        """Give the verdicts, however the stream ended; safe to call twice."""
        self._over = True
        self._watch.stopped()
        self._abandon()
        self._watch.close()

    def _abandon(self) -> None:
        for channel in self._dialect.channels.values() if self._dialect is not None else ():
            channel.abandon()

    async def _taken(self, dialect: Dialect, event: StreamEvent) -> StreamEvent:
        sent = self._parser.feed(event.data) if event.data else []
        pieces: list[bytes] = []
        changed = False
        try:
            for place, each in enumerate(sent):
                if event.done and place == len(sent) - 1:
                    rest = await dialect.rest()
                    changed = changed or bool(rest)
                    pieces += self._written(rest, each)
                    if self._watch.ended:
                        break
                made = await self._read(dialect, each)
                changed = changed or made is not None
                pieces += [_as_sent(each)] if made is None else self._written(made, each)
                if self._watch.ended:
                    break
        except _Unreadable:
            return msgspec.structs.replace(event, data=b"".join(pieces), error=self._unreadable(), done=False)
        if event.done and not self._watch.ended:
            self._abandon()
            await self._watch.settle()
        if self._watch.ended:
            return self._ended(dialect, event, pieces)
        if not changed:
            return event
        content = bool(pieces) and (event.content or event.finish_reason is not None)
        return msgspec.structs.replace(event, data=b"".join(pieces), content=content)

    async def _read(self, dialect: Dialect, sent: ServerSentEvent) -> list[Document] | None:
        if sent.data == _DONE:
            return None
        try:
            document: Any = msgspec.json.decode(sent.data)
        except msgspec.MsgspecError as exc:
            raise _Unreadable from exc
        if type(document) is not dict:
            raise _Unreadable
        if self._filters and unchecked(self._operation, document):
            self._unfiltered()
            if self._watch.ended:
                return []
        return await dialect.take(document)

    def _unfiltered(self) -> None:
        """The backend's own filter could not check this."""
        for guard in self._filters:
            self._watch.tallies[guard.config.id][1].failed(NOT_RUN)
            if fail_of(guard.config) is Fail.CLOSED:
                self._watch.failed(guard, filter_unavailable(guard.config.id))

    def _ended(self, dialect: Dialect, event: StreamEvent, pieces: list[bytes]) -> StreamEvent:
        """Make the stream's last event: one of ours."""
        watch, error = self._watch, None
        content = event.content and bool(pieces)
        if watch.stop is None:
            error = watch.failure
            return msgspec.structs.replace(event, data=b"".join(pieces), content=content, error=error, done=False)
        verdict, message = watch.stop.verdict, watch.stop.guard.config.message
        ending = dialect.ending(guardrail_of(verdict, message))
        if not ending:
            refusal: GatewayError = blocked_request(verdict, message)
            return msgspec.structs.replace(event, data=b"".join(pieces), content=content, error=refusal, done=False)
        pieces += [_framed(document, named=self._operation not in _CHUNKED) for document in ending]
        if self._operation in _CHUNKED:
            pieces.append(frame(_DONE))
        return msgspec.structs.replace(event, data=b"".join(pieces), content=content, finish_reason=FINISH_REASON, done=True, error=None)

    def _written(self, documents: list[Document], sent: ServerSentEvent) -> list[bytes]:
        return [_framed(each, named=bool(sent.event)) for each in documents]

    def _unreadable(self) -> GuardrailUnavailable:
        message = "the guardrails of this call could not read an event of its answer, so it ends here; retry"
        return GuardrailUnavailable(message)


class _Unreadable(Exception):
    """An event is no JSON object."""


def _as_sent(sent: ServerSentEvent) -> bytes:
    return b"event: " + sent.event + b"\n" + frame(sent.data) if sent.event else frame(sent.data)


def _framed(document: Document, *, named: bool) -> bytes:
    data = frame(msgspec.json.encode(document))
    name = str(document.get("type", "")) if named else ""
    return b"event: " + name.encode() + b"\n" + data if name.isascii() and name.isprintable() and name else data
