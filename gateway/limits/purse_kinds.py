"""The purses that differ from a calendar counter's: of a sliding minute, and of calls at once."""

from gateway.domain.limits import MINUTE, NOW, Ceiling
from gateway.limits.exchange import SLOT_LIFE_S, Report
from gateway.limits.purses import IDLE_S, Purse


class MinutePurse(Purse):
    """Of a sliding minute: spends are kept by the UTC second in which they were reserved."""

    __slots__ = ("fresh", "refunds", "sent")

    def __init__(self, row: str, ceiling: Ceiling, kind: str) -> None:
        super().__init__(row, ceiling, kind, float("inf"))
        self.fresh: dict[int, int] = {}  # taken since the last attempt to report
        self.sent: dict[int, int] = {}  # taken, and perhaps reported
        self.refunds: dict[int, int] = {}  # of what was perhaps reported

    @property
    def unsaid(self) -> bool:
        """There is something to report."""
        return self.taken != 0 or bool(self.refunds)

    def report(self) -> Report:
        """Return all that no exchange is known to have said."""
        for second, amount in self.fresh.items():
            if amount:
                self.sent[second] = self.sent.get(second, 0) + amount
        self.fresh = {}
        spent = tuple(self.sent.items()) + tuple((second, -amount) for second, amount in self.refunds.items())
        return Report(spent, sum(self.sent.values()))

    def confirm(self, report: Report) -> None:
        """Note that this was charged."""
        super().confirm(report)
        for second, amount in report.spent:
            kept = self.sent if amount > 0 else self.refunds
            rest = kept.get(second, 0) - abs(amount)
            if rest:
                kept[second] = rest
            else:
                kept.pop(second, None)

    def spends(self) -> dict[int, int]:
        """Return what counts by second, as far as is known: the store's slots and what it has not been told yet."""
        slots = dict(self.slots)
        for told in (self.sent, self.fresh):
            for second, amount in told.items():
                slots[second] = slots.get(second, 0) + amount
        for second, amount in self.refunds.items():
            slots[second] = slots.get(second, 0) - amount
        return slots

    def _spend(self, amount: int, second: int) -> None:
        self.taken += amount
        self.left -= amount
        if amount:
            self.fresh[second] = self.fresh.get(second, 0) + amount
        if self.oldest is None or self.oldest <= second - SLOT_LIFE_S:
            self.oldest = second

    def _settle(self, second: int, change: int, now: int) -> None:
        if self.index == 0:
            return  # a request that was let in counts for a minute, whatever became of it
        if change > 0:
            self._spend(change, now)
            return
        if second <= now - SLOT_LIFE_S:
            return  # it has slid out
        unsent = self.fresh.get(second, 0)
        at_once = min(unsent, -change)
        if at_once:
            self.fresh[second] = unsent - at_once
            self.taken -= at_once
            self.left += at_once
        if later := -change - at_once:
            self.refunds[second] = self.refunds.get(second, 0) + later
            self.dry_until_s = float("-inf")  # there is room that the store does not know of


class CallsPurse(Purse):
    """Of calls at once: what is taken comes back when the call ends, and is never reported."""

    __slots__ = ()

    def __init__(self, row: str, ceiling: Ceiling, kind: str) -> None:
        super().__init__(row, ceiling, kind, float("inf"))

    @property
    def unsaid(self) -> bool:
        """There is never anything to report."""
        return False

    @property
    def slack(self) -> int:
        """How many free places are kept for the next calls; none of a small limit, and never more than twice so many."""
        return min(self.ceiling.amount // (8 * self.holders), 16)

    @property
    def many(self) -> bool:
        """More places are free than are kept: others may need them now."""
        return self.left > 2 * self.slack

    def settle(self, second: int, reserved: int, used: int, now: int) -> None:  # noqa: ARG002 - a call is one call
        """Free the place."""
        self.flights -= 1
        self.taken -= reserved
        self.left += reserved

    def report(self) -> Report:
        """Return nothing: those under way are the ask's floor."""
        return Report()

    def _floor(self) -> int:
        return self.taken

    def _measure(self, now_s: float) -> None:
        self.target = self.slack if now_s - self.last_s < IDLE_S else 0

    def _surplus(self, now_s: float) -> int:
        if now_s - self.last_s >= IDLE_S:
            return max(self.left, 0)
        return self.left - self.slack if self.many else 0


def purse_of(row: str, ceiling: Ceiling, kind: str, ends_s: float) -> Purse:
    """Return an empty purse of the right kind."""
    if ceiling.window == MINUTE:
        return MinutePurse(row, ceiling, kind)
    return CallsPurse(row, ceiling, kind) if ceiling.window == NOW else Purse(row, ceiling, kind, ends_s)
