"""Where the ledger stands: the table of usage records, and how its partitions begin.

    partition <yyyy-mm-ddThh>|<tenant>|<shard>      row <request id>

Who writes it (`metering/record.py`) and who reads it (reports, the reconciler of limits, alerts) take the names from here.
"""

import datetime

USAGE = "usage"
ANONYMOUS = "-"  # in the tenant's place where nobody knows the caller: before every tenant, whose id begins with a letter or a digit


def hour_of(at: datetime.datetime) -> str:
    """Return the hour of a UTC time as the partitions of `usage` begin with it: `2026-01-31T12`."""
    return at.isoformat()[:13]
