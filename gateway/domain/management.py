"""One request at /manage as a value, and what is answered to it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.access import Principal


class Asked(msgspec.Struct, frozen=True):
    """What an administrator asks for.

    Attributes:
        principal: Who asks; a `Gateway.TenantAdmin` may see and change its own tenant only.
        document: The body's object; empty where the route reads none.
        query: The last value of each parameter.
        if_match: The ETag that must still hold, as sent; empty where none was sent.
        request_id: Ours, for the audit trail.
    """

    principal: Principal
    document: Mapping[str, Any] = {}
    query: Mapping[str, str] = {}
    if_match: str = ""
    request_id: str = ""


class Told(msgspec.Struct, frozen=True):
    """An answer that is more than a JSON value.

    Attributes:
        value: JSON-ready, or the bytes themselves.
        etag: Of what was read or written; empty where it has none.
        status: None for the route's own.
        content_type: Of bytes.
        headers: More of them, names in lower case.
    """

    value: Any
    etag: str = ""
    status: int | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}
