"""Requests to `$cbs` and to a queue's `$management`: one message asks, another answers.

    operation (com.microsoft:…)     asks                                          answers
    renew-lock                      lock-tokens                                   expirations
    schedule-message                messages: [{message}]                         sequence-numbers
    cancel-scheduled-message        sequence-numbers
    peek-message                    from-sequence-number, message-count           messages: [{message}], or 204
    receive-by-sequence-number      sequence-numbers, receiver-settle-mode        messages: [{message, lock-token}]
    update-disposition              disposition-status, lock-tokens

Source: learn.microsoft.com "AMQP in Azure Service Bus: request-response-based operations" (read 2026-11-22).
"""

import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from devhost.servicebus import messages
from devhost.servicebus.codec import Array, DecodeError, Described, Ulong, decode, encode
from devhost.servicebus.frames import AmqpError
from devhost.servicebus.queues import Queue
from devhost.servicebus.terms import Outcome

_OK, _ACCEPTED, _NO_CONTENT, _GONE, _NOT_FOUND, _BAD_REQUEST = 200, 202, 204, 410, 404, 400
_LOCK_LOST = "com.microsoft:message-lock-lost"
_STATUS = {_LOCK_LOST: _GONE, "com.microsoft:message-not-found": _NOT_FOUND, "amqp:not-implemented": 501}
_LONG, _TIMESTAMP = 0x81, 0x83
_VALUE = 0x77
_FOR_GOOD = 0  # receiver-settle-mode: what is received is settled


class _Request(NamedTuple):
    """What is asked."""

    message_id: Any
    operation: str
    body: dict[str, Any]


def answer(queue: Queue | None, encoded: bytes) -> bytes:
    """Return the encoded answer to an encoded request; without a queue it is one to `$cbs`, and every token is taken.

    Raises:
        DecodeError: It is no request.
    """
    request = _read(encoded)
    if queue is None:
        return _answer(request, {"status-code": _ACCEPTED, "status-description": "Accepted"}, {})
    operation = _OPERATIONS.get(request.operation.removeprefix("com.microsoft:"), _refuse)
    try:
        body = operation(queue, request.body)
    except AmqpError as refusal:
        status = _STATUS.get(refusal.condition, _BAD_REQUEST)
        properties = {"statusCode": status, "statusDescription": refusal.description, "errorCondition": refusal.condition}
        return _answer(request, properties, {})
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        raise DecodeError(f"the request {request.operation!r} lacks something, or holds it in another form") from exc
    status = _OK if body is not None else _NO_CONTENT
    return _answer(request, {"statusCode": status, "statusDescription": "OK"}, body or {})


def _read(encoded: bytes) -> _Request:
    message_id, given, body = None, {}, {}
    for code, at, _ in messages.sections(encoded):
        value = decode(encoded, at)[0].value
        if code == messages.PROPERTIES and value:
            message_id = value[0]
        elif code == messages.APPLICATION_PROPERTIES:
            given = value
        elif code == _VALUE and isinstance(value, dict):
            body = value
    if not isinstance(given, dict):
        raise DecodeError("the request's properties are no map")
    return _Request(message_id, str(given.get("operation", "")), body)


def _answer(request: _Request, properties: dict[str, Any], body: dict[str, Any]) -> bytes:
    correlation = [None, None, None, None, None, request.message_id]
    sections = (messages.PROPERTIES, correlation), (messages.APPLICATION_PROPERTIES, properties), (_VALUE, body)
    return b"".join(encode(Described(Ulong(code), value)) for code, value in sections)


def _refuse(queue: Queue, asked: dict[str, Any]) -> None:
    del asked
    raise AmqpError("amqp:not-implemented", f"This operation on the queue {queue.name!r} is not emulated.")


def _renew(queue: Queue, asked: dict[str, Any]) -> dict[str, Any]:
    ends = tuple(queue.renew(token) for token in asked["lock-tokens"])
    if None in ends:
        raise AmqpError(_LOCK_LOST, "The lock supplied is invalid. Either the lock expired, or the message was settled.")
    return {"expirations": Array(_TIMESTAMP, ends)}


def _schedule(queue: Queue, asked: dict[str, Any]) -> dict[str, Any]:
    contents = [messages.read(each["message"]) for each in asked["messages"]]
    numbers = tuple(queue.put(content) for content in contents)
    queue.pump()
    return {"sequence-numbers": Array(_LONG, numbers)}


def _cancel(queue: Queue, asked: dict[str, Any]) -> dict[str, Any]:
    queue.cancel(asked["sequence-numbers"])
    return {}


def _peek(queue: Queue, asked: dict[str, Any]) -> dict[str, Any] | None:
    found = queue.peek(asked["from-sequence-number"], asked["message-count"])
    return {"messages": [{"message": each.encoded()} for each in found]} if found else None


def _receive(queue: Queue, asked: dict[str, Any]) -> dict[str, Any]:
    answers = []
    for message in queue.deferred(asked["sequence-numbers"]):
        if asked.get("receiver-settle-mode") == _FOR_GOOD:
            answers.append({"message": message.encoded(), "lock-token": uuid.UUID(int=0)})
            queue.forget(message)
        else:
            lock = queue.lock(message)
            answers.append({"message": message.encoded(lock.until_ms), "lock-token": lock.token})
    return {"messages": answers}


def _settle(queue: Queue, asked: dict[str, Any]) -> dict[str, Any]:
    outcome = Outcome(asked["disposition-status"])
    reason, description = (str(asked.get(name) or "") for name in ("deadletter-reason", "deadletter-description"))
    settled = [queue.settle(token, outcome, reason, description) for token in asked["lock-tokens"]]
    if not all(settled):
        raise AmqpError(_LOCK_LOST, "The lock supplied is invalid. Either the lock expired, or the message was settled.")
    return {}


_OPERATIONS: dict[str, Callable[[Queue, dict[str, Any]], dict[str, Any] | None]] = {
    "renew-lock": _renew,
    "schedule-message": _schedule,
    "cancel-scheduled-message": _cancel,
    "peek-message": _peek,
    "receive-by-sequence-number": _receive,
    "update-disposition": _settle,
}
