"""The document of POST /manage/replay: which calls, what is different, and who may ask for it."""

import datetime
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from gateway.domain.documents import convert
from gateway.domain.management import Asked, tenant_of
from gateway.errors import PermissionDenied, RequestError

DEFAULT_LIMIT, MAX_LIMIT = 50, 200
MIN_YEAR, MAX_YEAR = 2000, 9000


class PromptWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The version that calls of a prompt are rendered from; calls of other prompts keep theirs."""

    name: str
    version: int | str


class With(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is different in a replay. `catalog`: YAML text, or the document itself."""

    catalog: str | dict[str, Any] | None = None
    prompt: PromptWanted | None = None
    guardrails: tuple[str, ...] | None = None
    model: str = ""


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to", "other": "with"}):
    """The document of POST /manage/replay."""

    tenant: str = ""
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    request_ids: tuple[str, ...] = ()
    limit: int = DEFAULT_LIMIT
    after: str = ""
    mode: Literal["dry", "live"] = "dry"
    max_cost_usd: float | None = None
    other: With = With()


def read_wanted(asked: Asked) -> Wanted:
    """Return what is wanted, its tenant filled in.

    Raises:
        RequestError: A member is not what it should be.
        PermissionDenied: It is not for who asks.
    """
    wanted = convert(asked.document, Wanted)
    tenant = named_tenant(asked, wanted.tenant or asked.query.get("tenant"))
    if not asked.everywhere and (wanted.mode == "live" or wanted.other.catalog is not None):
        raise PermissionDenied("a live replay, or one with a catalogue, needs the role Gateway.Admin; leave 'mode' and 'with.catalog' out")
    if not 1 <= wanted.limit <= MAX_LIMIT:
        raise RequestError(f"'limit' must be from 1 to {MAX_LIMIT}", param="limit", code="invalid_value")
    if wanted.mode == "live" and (wanted.max_cost_usd is None or not wanted.max_cost_usd > 0):
        raise RequestError(
            "a live replay costs money: 'max_cost_usd' must say how much at most", param="max_cost_usd", code="invalid_value"
        )
    if wanted.after and not wanted.after.startswith(f"{tenant}/"):
        raise RequestError("'after' must be what the replay before returned", param="after", code="invalid_value")
    since, until = _utc("from", wanted.since), _utc("to", wanted.until)
    return msgspec.structs.replace(wanted, tenant=tenant, since=since, until=until)


def wanted_whose(query: Mapping[str, str]) -> tuple[str, str]:
    """Return the user and the session whose captured calls shall be erased; both empty for all of the tenant.

    Raises:
        RequestError: One is named and empty, as where a script's variable is not set, or something else is named: that is not all.
    """
    for name in query:
        if name not in ("tenant", "user", "session"):
            raise RequestError(f"{name[:64]!r} is not known here; known are session, tenant, user", param=name[:64], code="invalid_value")
    for name in ("user", "session"):
        if name in query and not query[name]:
            raise RequestError(f"{name!r} is empty; leave it out to erase all of the tenant", param=name, code="invalid_value")
    return query.get("user", ""), query.get("session", "")


def _utc(name: str, moment: datetime.datetime | None) -> datetime.datetime | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise RequestError(f"'{name}' must have a time zone, such as 2026-11-22T10:00:00Z", param=name, code="invalid_value")
    if not MIN_YEAR <= moment.year <= MAX_YEAR:  # beyond there is neither a day before nor another time zone
        raise RequestError(f"'{name}' must be from {MIN_YEAR} to {MAX_YEAR}", param=name, code="invalid_value")
    return moment.astimezone(datetime.UTC)


def named_tenant(asked: Asked, requested: str | None) -> str:
    """Return whose captured calls are meant: there is no meaning all tenants at once.

    Raises:
        RequestError: A `Gateway.Admin` names none.
        PermissionDenied: It is another's.
    """
    tenant = tenant_of(asked, requested)
    if tenant is None:
        raise RequestError("'tenant' must say whose captured calls are meant", param="tenant", code="invalid_value")
    return tenant
