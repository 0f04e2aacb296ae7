"""The JobQueue port on Azure Service Bus, through `azure-servicebus`.

Rules:

- One message at a time, each acknowledged by the service before `send` returns. A body over 256 KB is refused: whoever has
  more puts it into a blob and sends its name.
- A send whose answer was lost may have happened. It is tried again under the same id, which a queue with duplicate
  detection drops; receivers must expect it twice otherwise.
- The SDK's senders take one message at a time, so each queue has one and a lock. One that failed is closed and made anew.

Importing this module loads the SDK, half a second of it: `late_queue.py` does, with the first message.

Source: learn.microsoft.com "Service Bus quotas" and "Service Bus messaging exceptions" (read 2026-11-22).
"""

import asyncio
import contextlib
from collections import defaultdict
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
)

from gateway.errors import GatewayError, NotFound, RequestError, Unavailable

_FORBIDDEN = (ServiceBusAuthenticationError, ServiceBusAuthorizationError, ClientAuthenticationError)
_FINAL = (MessageSizeExceededError, MessagingEntityNotFoundError, MessagingEntityDisabledError, *_FORBIDDEN)
MAX_BODY_BYTES = 256 * 1024
MAX_ID_CHARACTERS = 128


def connect(location: str, credential: AsyncTokenCredential | None = None) -> "ServiceBusQueue":
    """Make the adapter for a connection string, or for a namespace's host name and a credential.

    Raises:
        Unavailable: The location is none; its text is not repeated, since it may hold a key.
    """
    try:
        return ServiceBusQueue(location, credential)
    except ValueError as exc:
        message = "GATEWAY_SERVICEBUS is no connection string of a Service Bus namespace; its operator must correct it"
        raise Unavailable(message, code="misconfigured") from exc


class ServiceBusQueue:
    """Queues in a Service Bus namespace.

    Args:
        location: A connection string, or the namespace's host, such as `name.servicebus.windows.net`.
        credential: Needed with a host; its identity needs the role "Azure Service Bus Data Sender".
        timeout_s: How long a send may take, with its repetition.
    """

    def __init__(self, location: str, credential: AsyncTokenCredential | None = None, *, timeout_s: float = 20.0) -> None:
        options: dict[str, Any] = {"retry_total": 0}  # its own repetitions keep the link that failed, and lose sockets
        if credential is None:
            self._client = ServiceBusClient.from_connection_string(location, **options)
        else:
            self._client = ServiceBusClient(location, credential, **options)
        self._timeout_s = timeout_s
        self._senders: dict[str, ServiceBusSender] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def send(self, queue: str, body: bytes, *, message_id: str, content_type: str = "application/json", subject: str = "") -> None:
        """Put a message into a queue; receivers and the queue itself may drop an id that they have seen."""
        if len(body) > MAX_BODY_BYTES:
            raise _too_large(len(body))
        if not 1 <= len(message_id) <= MAX_ID_CHARACTERS:
            raise RequestError(f"a message's id must have from 1 to {MAX_ID_CHARACTERS} characters", param="message_id")
        message = ServiceBusMessage(body, message_id=message_id, content_type=content_type, subject=subject or None)
        try:
            async with asyncio.timeout(self._timeout_s), self._turns[queue]:
                try:
                    await self._send(queue, message)
                except _FINAL:
                    raise
                except (AzureError, OSError):  # such as a link that the service closed because nothing was sent for minutes
                    await self._send(queue, message)
        except MessageSizeExceededError as exc:
            raise _too_large(len(body)) from exc
        except (AzureError, OSError, ValueError) as exc:
            raise _translate(queue, exc) from exc

    async def close(self) -> None:
        """Let the connections go. Safe to call twice."""
        await self._client.close()  # it knows its senders weakly: they must live until it has closed them
        self._senders.clear()

    async def _send(self, queue: str, message: ServiceBusMessage) -> None:
        sender = self._senders.get(queue)
        if sender is None:
            sender = self._senders[queue] = self._client.get_queue_sender(queue)
        try:
            await sender.send_messages(message)
        except MessageSizeExceededError:
            raise  # the link is as good as before
        except BaseException:
            # Also where it was cut off in the middle: nobody knows what the link still waits for.
            self._senders.pop(queue, None)
            with contextlib.suppress(AzureError, OSError, ValueError):
                await asyncio.shield(sender.close())
            raise


def _too_large(size: int) -> RequestError:
    message = f"a message has at most {MAX_BODY_BYTES} bytes, its properties included, and its body has {size}: send the name of a blob"
    return RequestError(message, param="body")


def _translate(queue: str, exc: Exception) -> GatewayError:
    if isinstance(exc, MessagingEntityNotFoundError):
        return NotFound(f"there is no queue {queue!r} in the Service Bus namespace; create it, or correct the setting that names it")
    if isinstance(exc, MessagingEntityDisabledError):
        return Unavailable(f"the queue {queue!r} is disabled; its operator must enable it")
    if isinstance(exc, _FORBIDDEN):
        return Unavailable(
            f"the gateway may not send to the queue {queue!r}; give its identity the role 'Azure Service Bus Data Sender', "
            "or a connection string with the right to send"
        )
    return Unavailable("the Service Bus did not take the message; send it again under the same id")
