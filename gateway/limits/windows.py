"""Calendar windows: which one a moment lies in, and when it ends. UTC throughout, so no day has 23 hours.

Names sort by time within a period: `2026-11-22T14`, `2026-11-22`, `2026-W47` (ISO weeks, from Monday), `2026-11`, `2026-Q4`,
`2026`. The windows `minute` and `now` slide with the moment: their name is empty, and they have no end.
"""

import datetime

from gateway.domain.limits import MINUTE, NOW

SLIDING = frozenset({MINUTE, NOW})


def window_of(window: str, utc: datetime.datetime) -> str:
    """Return the name of the window of this kind that the moment lies in; empty for `minute` and `now`."""
    if window in SLIDING:
        return ""
    if window == "week":
        year, week, _ = utc.isocalendar()
        return f"{year:04}-W{week:02}"
    if window == "quarter":
        return f"{utc.year:04}-Q{(utc.month + 2) // 3}"
    return utc.isoformat()[: {"hour": 13, "day": 10, "month": 7, "year": 4}[window]]


def end_of(window: str, utc: datetime.datetime) -> datetime.datetime:
    """Return when the calendar window that the moment lies in ends: the first moment of the next one."""
    day = utc.replace(hour=0, minute=0, second=0, microsecond=0)
    if window == "hour":
        return utc.replace(minute=0, second=0, microsecond=0) + datetime.timedelta(hours=1)
    if window == "day":
        return day + datetime.timedelta(days=1)
    if window == "week":
        return day + datetime.timedelta(days=7 - day.weekday())
    if window == "year":
        return day.replace(year=utc.year + 1, month=1, day=1)
    months = 1 if window == "month" else 3 - (utc.month - 1) % 3
    year, month = divmod(utc.month - 1 + months, 12)
    return day.replace(year=utc.year + year, month=month + 1, day=1)
