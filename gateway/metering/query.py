"""What a report is asked for: `group_by`, `interval`, `from`, `to` and the filters, as a value.

Times are UTC; `from` is included, `to` is not. A filter's value is compared whole; `tag` takes `name=value` or `name`, several
with commas between them, all of which must be there.
"""

import datetime
import functools
import re
from collections.abc import Mapping

import msgspec

from gateway.domain.tables import Value
from gateway.errors import RequestError

# What a report can be grouped and filtered by, and the record's field.
FIELDS: Mapping[str, str] = {
    **{name: name for name in ("tenant", "product", "subscription", "user", "model", "deployment", "backend", "operation")},
    **{name: name for name in ("status", "error_code", "session", "prompt", "prompt_version", "experiment", "variant")},
    "key": "key_id",
    "trace": "trace_id",
}
# What it can be filtered by as well: each value is one call's, so that grouping by it would be listing.
_IDS = ("client_request_id", "upstream_request_id")
TAG = "tag"
GROUPS = (*FIELDS, TAG)
INTERVALS = ("hour", "day", "month")
MAX_GROUPS = 6
DEFAULT_SPAN = datetime.timedelta(hours=24)
_FIRST = datetime.datetime.min.replace(tzinfo=datetime.UTC)
_LABEL = re.compile(r"tag:[^,=]{1,64}\Z")


class Query(msgspec.Struct, frozen=True):
    """A report's question.

    Attributes:
        groups: Members of GROUPS, or `tag:<name>`.
        interval: One of INTERVALS; empty for the whole span.
        start: The oldest moment that counts.
        below: The first that does not count any more.
        filters: Field of the record, and the value that it must have.
        tags: Name, and the value that it must have; None for any.
    """

    groups: tuple[str, ...]
    interval: str
    start: datetime.datetime
    below: datetime.datetime
    filters: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str | None], ...] = ()

    @property
    def tenant(self) -> str | None:
        """The tenant that it is restricted to; None for all."""
        return dict(self.filters).get("tenant")

    def counts(self, values: Mapping[str, Value]) -> bool:
        """Tell whether a record is asked about; its time is looked at as well."""
        at = values["at"]
        if not (isinstance(at, datetime.datetime) and self.start <= at < self.below):
            return False
        for field, wanted in self.filters:
            if str(values.get(field, "")) != wanted:
                return False
        if self.tags:
            found = read_tags(str(values.get("tags", "")))
            return all(name in found and value in (None, found[name]) for name, value in self.tags)
        return True


def read_query(query: Mapping[str, str], now: datetime.datetime, group_by: str, tenant: str | None, more: tuple[str, ...] = ()) -> Query:
    """Return what is asked for.

    Args:
        query: The request's parameters.
        now: What `to` is where it is not given, and a second more, so that what has just happened counts.
        group_by: The default.
        tenant: The only one that may be seen; None for all.
        more: What can be grouped by besides GROUPS.

    Raises:
        RequestError: A parameter is not understood; `param` names it.
    """
    groups = tuple(part.strip() for part in (query.get("group_by") or group_by).split(",") if part.strip())
    for group in groups:
        if group not in (*more, *GROUPS) and not _LABEL.match(group):
            raise _fault("group_by", f"must be one or more of {', '.join((*more, *GROUPS))} and tag:<name>, with commas between them")
    if not 1 <= len(groups) <= MAX_GROUPS or len(set(groups)) < len(groups):
        raise _fault("group_by", f"takes 1 to {MAX_GROUPS} names, each of them once")
    interval = query.get("interval") or "none"
    if interval not in (*INTERVALS, "none"):
        raise _fault("interval", f"must be one of {', '.join(INTERVALS)}, none")
    below = read_instant(query, "to") or now + datetime.timedelta(seconds=1)
    start = read_instant(query, "from") or max(below, _FIRST + DEFAULT_SPAN) - DEFAULT_SPAN
    return Query(
        groups=groups,
        interval="" if interval == "none" else interval,
        start=start,
        below=below,
        filters=_filters(query, tenant),
        tags=_wanted_tags(query.get(TAG, "")),
    )


def read_instant(query: Mapping[str, str], name: str) -> datetime.datetime | None:
    """Return an ISO 8601 time as UTC; None where it is not given, RequestError where it is none."""
    text = query.get(name)
    if not text:
        return None
    try:
        # "+" of an offset arrives as a space where the client did not encode it.
        instant = datetime.datetime.fromisoformat(text.replace(" ", "+"))
        return instant.replace(tzinfo=datetime.UTC) if instant.tzinfo is None else instant.astimezone(datetime.UTC)
    except (ValueError, OverflowError) as exc:
        raise _fault(name, "must be an ISO 8601 date or time, such as 2026-01-31T12:00:00Z") from exc


@functools.lru_cache(maxsize=10_000)
def read_tags(text: str) -> Mapping[str, str]:
    """Return a record's tags; what is not `name=value` is none. Do not change the answer: others read it."""
    pairs = (pair.partition("=") for pair in text.split(","))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals and name.strip()}


def _filters(query: Mapping[str, str], tenant: str | None) -> tuple[tuple[str, str], ...]:
    filters = {**FIELDS, **{name: name for name in _IDS}}
    wanted = {field: query[name] for name, field in filters.items() if query.get(name)}
    if tenant is not None:
        wanted["tenant"] = tenant
    return tuple(wanted.items())


def _wanted_tags(text: str) -> tuple[tuple[str, str | None], ...]:
    wanted: list[tuple[str, str | None]] = []
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name:
            wanted.append((name, value if equals else None))
        elif part.strip():
            raise _fault(TAG, "takes name=value, or a name alone, with commas between them")
    return tuple(wanted)


def _fault(param: str, message: str) -> RequestError:
    return RequestError(f"'{param}' {message}", param=param, code="invalid_value")
