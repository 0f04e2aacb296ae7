"""An alert, and how it is said to others: as a CloudEvent in its structured JSON form.

    {"specversion": "1.0", "id": "alert_…", "source": "/ai-gateway", "type": "gateway.budget.threshold",
     "subject": "subscription/contoso/sub_1", "time": "2026-11-22T14:05:00Z", "datacontenttype": "application/json", "data": {…}}

An id is made of what the alert is about, so that whoever finds the same thing twice says it under the same id: receivers
drop what they have seen. Ids sort the newest first, because the store can only list upwards.

Source: CloudEvents 1.0.2 and its JSON event format (read 2026-11-22).
"""

import datetime
import enum
import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

SPEC_VERSION = "1.0"
SOURCE = "/ai-gateway"
CONTENT_TYPE = "application/cloudevents+json"
GATEWAY = "gateway"
_LAST_MS = 2**48 - 1


class Kind(enum.StrEnum):
    """What happened; the event's `type`."""

    THRESHOLD = "gateway.budget.threshold"
    SPIKE = "gateway.cost.spike"
    UNPRICED = "gateway.price.missing"
    EXPERIMENT = "gateway.experiment.ended"


class Alert(msgspec.Struct, frozen=True):
    """Something that somebody should know.

    Attributes:
        id: See `alert_id`.
        kind: What happened.
        subject: What it happened to: `<kind>/<tenant>/<name>`, as much of it as there is.
        tenant: Whose administrators may see it; empty for those of the gateway alone.
        at: When, UTC.
        data: The facts, JSON-ready; money also in dollars.
    """

    id: str
    kind: Kind
    subject: str
    tenant: str
    at: datetime.datetime
    data: Mapping[str, Any]


class _CloudEvent(msgspec.Struct, frozen=True):
    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: datetime.datetime
    datacontenttype: str
    data: Mapping[str, Any]


def alert_id(at: datetime.datetime, *parts: str) -> str:
    """Return the id of what `parts` name at this time: the same every time, the newest first in order.

    Args:
        at: When it happened, UTC.
        parts: What it is, and what happened to it.
    """
    left_ms = max(_LAST_MS - int(at.timestamp() * 1000), 0)
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"alert_{left_ms:012x}{digest[:20]}"


def subject_of(*parts: str) -> str:
    """Return the subject of a scope: what there is of its kind, tenant and name."""
    return "/".join(part for part in parts if part)


def encode(alert: Alert) -> bytes:
    """Return the alert as a CloudEvent, structured JSON."""
    event = _CloudEvent(SPEC_VERSION, alert.id, SOURCE, alert.kind.value, alert.subject, alert.at, "application/json", alert.data)
    return msgspec.json.encode(event)


def dollars(micro_usd: int) -> float:
    """Return micro-dollars as dollars, for people."""
    return micro_usd / 1_000_000
