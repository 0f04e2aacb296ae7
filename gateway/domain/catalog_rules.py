"""The catalogue's routing rules and negotiated prices: entries become the values of `policy.py`.

Names are globs, and of a list one must fit; what can be checked is: operations, capabilities, priorities and deployments
that nothing could ever match are faults, because a rule that never applies looks like one that does.
"""

import datetime
import fnmatch
import re
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence

from gateway.domain.call import Operation
from gateway.domain.capabilities import CAPABILITIES
from gateway.domain.catalog_backends import check_least
from gateway.domain.catalog_models import build_pool, check_regex, check_strategy
from gateway.domain.catalog_price_schema import TenantPriceEntry
from gateway.domain.catalog_prices import negotiated
from gateway.domain.catalog_schema import CatalogError, Names, RuleEntry, ScheduleEntry, WhenEntry
from gateway.domain.deployment import Deployment
from gateway.domain.labels import PRIORITIES
from gateway.domain.policy import Rule, Schedule, TenantPrice, When

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\Z")
_GLOBS = ("tenant", "product", "subscription", "key", "user", "model", "operation", "task", "capability", "classification", "priority")


def build_rule(entry: RuleEntry, path: str, names: Mapping[str, str], deployments: Mapping[str, Deployment]) -> Rule:
    """Check a rule against the models and deployments that it leads to."""
    if entry.model and entry.pool:
        raise CatalogError(path, "leads to a `model` or to a `pool`, not to both")
    if not (entry.model or entry.pool or entry.strategy):
        raise CatalogError(path, "needs a `model`, a `pool` or a `strategy`")
    if entry.model and entry.model not in names:
        raise CatalogError(f"{path}.model", f"there is no model {entry.model!r}")
    if entry.strategy:
        check_strategy(entry.strategy, f"{path}.strategy")
    if entry.confine and not (entry.model or entry.pool):
        raise CatalogError(f"{path}.confine", "needs a `model` or a `pool` to keep the call to")
    return Rule(
        id=entry.id,
        when=_when(entry.when, f"{path}.when"),
        model=names.get(entry.model, ""),
        pool=build_pool(entry.pool, f"{path}.pool", deployments) if entry.pool else (),
        strategy=entry.strategy,
        confine=entry.confine,
    )


def build_tenant_price(entry: TenantPriceEntry, path: str, deployments: Mapping[str, Deployment]) -> TenantPrice:
    """Check a negotiated price."""
    if not entry.tenant:
        raise CatalogError(f"{path}.tenant", "needs a tenant's id")
    _check_reach([entry.deployment], deployments, f"{path}.deployment", "deployment")
    return negotiated(entry, path)


def _when(entry: WhenEntry, path: str) -> When:
    globs = {name: _tuple(getattr(entry, name)) for name in _GLOBS}
    for name, values in globs.items():
        if "" in values:
            raise CatalogError(f"{path}.{name}", "an empty name fits nothing; leave it out")
    _check_reach(globs["operation"], [operation.value for operation in Operation], f"{path}.operation", "operation")
    _check_reach(globs["capability"], CAPABILITIES, f"{path}.capability", "capability")
    _check_reach(globs["priority"], PRIORITIES, f"{path}.priority", "priority")
    check_regex(entry.text, f"{path}.text")
    check_least(entry.tokens_over, f"{path}.tokens_over", 0)
    check_least(entry.tokens_under, f"{path}.tokens_under", 1)
    if entry.tokens_over is not None and entry.tokens_under is not None and entry.tokens_under - entry.tokens_over < 2:
        raise CatalogError(f"{path}.tokens_under", "no number is over the one and under the other")
    return When(
        **globs,
        tags=entry.tags,
        text=entry.text,
        tokens_over=entry.tokens_over,
        tokens_under=entry.tokens_under,
        schedule=_schedule(entry.schedule, f"{path}.schedule") if entry.schedule else None,
    )


def _tuple(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _check_reach(globs: Sequence[str], known: Iterable[str], path: str, what: str) -> None:
    names = sorted(known)
    for pattern in globs:
        if not fnmatch.filter(names, pattern):
            shown = f"; there are {', '.join(names)}" if len(names) <= 30 else ""
            raise CatalogError(path, f"{pattern!r} fits no {what}{shown}")


def _schedule(entry: ScheduleEntry, path: str) -> Schedule:
    days = set()
    for day in _tuple(entry.days):
        if day not in DAYS:
            raise CatalogError(f"{path}.days", f"{day!r} is not one of {', '.join(DAYS)}")
        days.add(DAYS.index(day))
    try:
        zoneinfo.ZoneInfo(entry.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise CatalogError(f"{path}.timezone", f"{entry.timezone!r} is no IANA time zone, such as Europe/Berlin") from exc
    return Schedule(
        days=frozenset(days) if days else frozenset(range(7)),
        start=_time(entry.start, f"{path}.start"),
        below=_time(entry.below, f"{path}.below"),
        timezone=entry.timezone,
    )


def _time(text: str | int, path: str) -> datetime.time:
    found = _TIME.match(text) if isinstance(text, str) else None
    if found is None:
        raise CatalogError(path, 'must be a time from "00:00" to "23:59", in quotes')
    return datetime.time(int(found[1]), int(found[2]))
