"""Who is told of alerts: what the settings say, as targets by name.

The queue's SDK is none of this module's business: the container opens it, and hands it in.
"""

from collections.abc import Awaitable, Callable

import msgspec

from gateway.adapters.webhook import SigningWebhook, key_of, url_fault
from gateway.alerts.delivery import Tell
from gateway.alerts.events import CONTENT_TYPE, Alert
from gateway.ports import Clock, JobQueue, Webhook


class Receivers(msgspec.Struct, frozen=True):
    """The targets, and what lets their connections go."""

    targets: dict[str, Tell]
    close: Callable[[], Awaitable[None]]


def webhook_fault(url: str, secret: str) -> str | None:
    """Return what is wrong with the webhook's settings, without their values; None where nothing is."""
    if url and (fault := url_fault(url)):
        return f"GATEWAY_ALERTS_WEBHOOK {fault}"
    try:
        key_of(secret)
    except ValueError as exc:
        return f"GATEWAY_ALERTS_WEBHOOK_SECRET: {exc}"
    return None


def open_receivers(
    url: str, secret: str, queue: JobQueue | None, queue_name: str, clock: Clock, *, egress: tuple[str, ...] = ()
) -> Receivers:
    """Return who is told.

    Args:
        url: The webhook's; empty for none. It has no fault.
        secret: What signs posts to it; empty for no signature.
        queue: Where messages go; None for nowhere.
        queue_name: Which queue there.
        clock: Stamps what is signed.
        egress: Hosts that may lead to private addresses.
    """
    targets: dict[str, Tell] = {}
    closers: list[Callable[[], Awaitable[None]]] = []
    if url:
        webhook = SigningWebhook(url, secret, clock, egress=egress)
        targets["webhook"] = _posting(webhook)
        closers.append(webhook.close)
    if queue is not None:
        targets["queue"] = _queueing(queue, queue_name)
        closers.append(queue.close)

    async def close() -> None:
        for each in closers:
            await each()

    return Receivers(targets, close)


def _posting(webhook: Webhook) -> Tell:
    async def tell(alert: Alert, body: bytes) -> None:
        await webhook.post(body, message_id=alert.id, content_type=CONTENT_TYPE)

    return tell


def _queueing(queue: JobQueue, name: str) -> Tell:
    async def tell(alert: Alert, body: bytes) -> None:
        await queue.send(name, body, message_id=alert.id, content_type=CONTENT_TYPE, subject=alert.kind.value)

    return tell
