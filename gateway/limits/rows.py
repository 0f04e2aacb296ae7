r"""The rows of the table `limits`: one partition for each scope (`scopes.py`).

| row | values |
| --- | --- |
| `c|<metric>.<window>|<window id>` | a counter. Calendar: `spent`, `out`. Minute: `slots`, `out`. Concurrency: `out` |
| `l|<worker>` | a lease: `held`, `expires` (UTC), `since` (UTC), `seq`: higher with each exchange |
| `a|<metric>.<window>|<window id>|<percent>` | a threshold that was crossed: `at`, `spent`, `limit`, `percent`, `mode`, `scope`, \
`source`, `delivered` |

`slots` is JSON `[[UTC second, amount], …]`, `held` is JSON `{counter's row: [spent, out]}`; `spent` is 0 there but for calendar
windows. A counter also has `told`, JSON `[percent, …]`: what was announced of it. `scope` is the scope's kind, `source` whose
limit it is. An announcement is written once in its window, with `delivered` false.
"""

import datetime
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.tables import Entity, Value

LIMITS = "limits"
LEASE, COUNTER, ANNOUNCEMENT = "l|", "c|", "a|"


def held_of(lease: Entity | None) -> dict[str, tuple[int, int]]:
    """Return what a lease holds: counter's row → (spent, out)."""
    return {} if lease is None else {row: (spent, out) for row, (spent, out) in decoded(lease.values, "held", {}).items()}


def integer(values: Mapping[str, Value], name: str) -> int:
    """Return a property that is a number; 0 where there is none."""
    value = values.get(name, 0)
    assert isinstance(value, int)  # we have written it
    return value


def moment(entity: Entity, name: str) -> datetime.datetime:
    """Return a property that is a moment."""
    value = entity.values[name]
    assert isinstance(value, datetime.datetime)  # we have written it
    return value


def decoded(values: Mapping[str, Value], name: str, otherwise: Any) -> Any:
    """Return a property that is JSON."""
    text = values.get(name)
    return msgspec.json.decode(text) if isinstance(text, str) else otherwise


def encoded(held: Mapping[str, tuple[int, int]]) -> str:
    """Return what a lease holds as it is stored."""
    return msgspec.json.encode(held).decode()
