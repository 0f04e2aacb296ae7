"""Everything that alerts need, put together, and what of it is done from time to time."""

from collections.abc import Mapping

import msgspec

from gateway.alerts.delivery import Delivery, Tell
from gateway.alerts.desk import Desk
from gateway.alerts.housekeeping import Chore, Housekeeping
from gateway.alerts.outbox import Outbox
from gateway.alerts.thresholds import Thresholds
from gateway.alerts.watch import Watch
from gateway.ports import Clock, Tables


class Office(msgspec.Struct, frozen=True):
    """What the container holds of alerts."""

    desk: Desk
    housekeeping: Housekeeping


def open_office(
    tables: Tables, clock: Clock, targets: Mapping[str, Tell], every_minute: Mapping[str, Chore], every_quarter: Mapping[str, Chore]
) -> Office:
    """Put it together.

    Args:
        tables: Where alerts, announcements and the ledger are.
        clock: The time.
        targets: By name, what tells one of those who are to be told.
        every_minute: What others have to do every minute.
        every_quarter: And every 15 minutes.
    """
    outbox = Outbox(tables, clock, tuple(targets))
    delivery = Delivery(outbox, targets, clock)
    thresholds, watch = Thresholds(tables, outbox), Watch(tables, outbox, clock)
    housekeeping = Housekeeping(
        at_start={"announcements": thresholds.sweep},
        every_minute={"watch": watch.run, **every_minute, "delivery": delivery.run},
        every_quarter={"announcements": thresholds.sweep, **every_quarter, "old sums": watch.prune, "old alerts": outbox.prune},
    )
    return Office(Desk(outbox, thresholds, delivery), housekeeping)
