"""One request at /manage as a value, what is answered to it, and what all of its parts do alike.

- `tenant_of`: whose things may be shown. A `Gateway.TenantAdmin` sees its own tenant; what is another's is refused.
- `etag_of` and `check_match`: what a write may rely on. A store's ETag is not shown as it is: it is hashed, and so safe in a header.
- `read_paging` and `page_of`: lists in pages. A page with a filter may hold fewer items than `limit`; `after` says whether there are more.

Source: RFC 9110, sections 8.8.3 and 13.1.1 (read 2026-11-22).
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain.access import Principal, Role
from gateway.domain.tables import unpack_continuation
from gateway.errors import PermissionDenied, PreconditionFailed, RequestError

PAGE = 100
MAX_PAGE = 1000


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

    @property
    def everywhere(self) -> bool:
        """Whether who asks may see and change all tenants."""
        return Role.ADMIN in self.principal.roles


class Told(msgspec.Struct, frozen=True):
    """An answer that is more than a JSON value.

    Attributes:
        value: JSON-ready, or the bytes themselves; None where `status` is 204.
        etag: Of what was read or written; empty where it has none.
        status: None for the route's own.
        content_type: Of bytes.
        headers: More of them, names in lower case.
        before: What a write found, JSON-ready, for the audit trail.
    """

    value: Any
    etag: str = ""
    status: int | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}
    before: Any = None


def tenant_of(asked: Asked, requested: str | None) -> str | None:
    """Return the tenant that a list must be restricted to; None for all of them.

    Args:
        asked: Who asks.
        requested: The `tenant` of the query; None or empty where there is none.

    Raises:
        PermissionDenied: Another's tenant is asked for by who may see its own only.
    """
    if asked.everywhere:
        return requested or None
    own = asked.principal.tenant
    if requested and requested != own:
        raise PermissionDenied(f"you may see the tenant {own!r} only; leave 'tenant' out", param="tenant")
    return own


def etag_of(version: str) -> str:
    """Return what stands for a version in the ETag header: quoted, strong, the same for the same version."""
    digest = hashlib.blake2b(version.encode(), digest_size=12).digest()
    return f'"{base64.urlsafe_b64encode(digest).decode()}"'


def check_match(if_match: str, etag: str) -> None:
    """Raise PreconditionFailed where `If-Match` was sent and names another version.

    Args:
        if_match: As sent: empty, `*`, or ETags with commas between.
        etag: The current one, quoted.
    """
    if if_match and if_match != "*" and etag not in (each.strip() for each in if_match.split(",")):
        raise PreconditionFailed("it was changed since you read it; GET it again, and send the change with its new ETag in If-Match")


def read_limit(query: Mapping[str, str]) -> int:
    """Return how many rows of a list are asked for; RequestError where `limit` is no such number."""
    text = query.get("limit", str(PAGE))
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_PAGE):
        raise RequestError(f"'limit' must be from 1 to {MAX_PAGE}", param="limit", code="invalid_value")
    return int(text)


def read_paging(query: Mapping[str, str]) -> tuple[int, str | None]:
    """Return `limit` and the store's continuation in `after`; RequestError names what cannot be one."""
    limit, after = read_limit(query), query.get("after") or None
    if after is not None:
        try:
            unpack_continuation(after)
        except RequestError as exc:
            raise RequestError("'after' must be what the page before returned", param="after", code="invalid_value") from exc
    return limit, after


def page_of(data: Sequence[Any], after: str | None) -> dict[str, Any]:
    """Return a page as it is shown."""
    return {"object": "list", "data": data, "has_more": after is not None, "after": after}
