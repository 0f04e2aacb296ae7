"""What one worker holds of one counter, and spends of it without asking anybody.

    out   granted, as the store has it       taken   of it, not reported yet       back   being given back
    left = out - taken - back                may be taken now; below 0 it is a debt that the next exchange charges first

`taken` and the rest are kept until an exchange is known to have happened: `report` says all that is not, `confirm` takes away
what was. So an exchange whose fate is unknown can be asked about again, and is charged neither twice nor never.

A calendar window gets refunds back into its slice. Of a minute that holds only for what was not reported yet; a later refund
lowers the slot in which its call was counted, and what that frees must be granted anew, since the slot slides out one day.
Requests a minute are never refunded. Calls at once are not spent: `taken` are those under way.
"""

from gateway.domain.amounts import Amounts
from gateway.domain.limits import Ceiling, Metric, Mode
from gateway.limits.exchange import SLOT_LIFE_S, Ask, Report

# In which order amounts stand that are taken: `amounts_of` makes them.
_ORDER = (Metric.REQUESTS, Metric.TOKENS, Metric.INPUT_TOKENS, Metric.OUTPUT_TOKENS, Metric.COST, Metric.CONCURRENCY)
SLICE_S = 3.0  # a slice is what this many seconds use
IDLE_S = 3.0  # after so long without a call a slice goes back
TRUTH_S = 1.0  # so long a refusal needs no new look at the store
LEAST_PERIOD_S = 0.2  # uses are taken to have lasted at least so long

type InOrder = tuple[int, int, int, int, int, int]


def amounts_of(amounts: Amounts) -> InOrder:
    """Return amounts in the order of `Purse.index`; a call is one of those at once."""
    tokens = amounts.input_tokens + amounts.output_tokens
    return (amounts.requests, tokens, amounts.input_tokens, amounts.output_tokens, amounts.cost_micro_usd, 1)


class Purse:
    """A calendar counter's; the other kinds differ where they say so.

    Args:
        row: The counter's.
        ceiling: Its limit.
        kind: The scope's, for refusals.
        ends_s: When its window is over, in UTC seconds.
    """

    __slots__ = (
        "back", "ceiling", "credit", "dry_until_s", "ends_s", "enforced", "flights", "free", "holders", "index", "kind", "largest",
        "last_s", "left", "oldest", "out", "patient", "rate", "refused", "row", "since_s", "slots", "taken", "target", "volume",
    )  # fmt: skip

    def __init__(self, row: str, ceiling: Ceiling, kind: str, ends_s: float) -> None:
        self.row = row
        self.kind = kind
        self.ends_s = ends_s
        self.index = _ORDER.index(ceiling.metric)
        self.out = self.taken = self.back = self.left = 0
        self.flights = 0  # reservations that are not settled
        self.free = 0  # what the store had left at the last exchange
        self.holders = 1
        self.dry_until_s: float  # until then `free` is taken for the truth
        self.slots: tuple[tuple[int, int], ...] = ()
        self.oldest: int | None = None
        self.credit: int | None = 0  # what may be taken while the store is down; None: not asked for yet
        self.rate = 0.0
        self.refused = False  # a call, for want of it, and the store was not told
        self.volume = self.largest = self.target = 0
        self.since_s = self.last_s = float("-inf")
        self.limit_to(ceiling)

    def limit_to(self, ceiling: Ceiling) -> None:
        """Take another limit for the same counter."""
        self.dry_until_s = float("-inf")
        self.ceiling = ceiling
        self.enforced = ceiling.mode is Mode.ENFORCE
        self.patient = ceiling.mode is not Mode.SHADOW  # a call waits for an exchange rather than to run into debt

    def take(self, amount: int, second: int, now_s: float) -> None:
        """Take it, beyond what is left too: whether it may be is the caller's business."""
        self._spend(amount, second)
        self.flights += 1
        self.volume += amount
        self.last_s = now_s
        self.largest = max(self.largest, amount)

    def settle(self, second: int, reserved: int, used: int, now: int) -> None:
        """Replace what was reserved in that UTC second by what was used; `now` is the current one."""
        self.flights -= 1
        if used != reserved:
            self._settle(second, used - reserved, now)

    @property
    def idle(self) -> bool:
        """Nothing is held, nothing is to be said, nobody will settle."""
        return not (self.out or self.taken or self.flights or self.unsaid)

    @property
    def unsaid(self) -> bool:
        """There is something to report."""
        return self.taken != 0

    @property
    def remaining(self) -> int:
        """What a caller may still have, as far as is known."""
        return max(min(self.free + self.left, self.ceiling.amount), 0)

    def ask(self, need: int, least: int, now_s: float, utc_s: float, *, possible: bool, keep: bool, final: bool) -> Ask:
        """Return what an exchange says of it.

        Args:
            need: What calls wait for, all together.
            least: The smallest of them.
            now_s: On the Clock.
            utc_s: In UTC seconds.
            possible: One of them fits the whole limit.
            keep: Somebody waits, perhaps for what was granted already: nothing goes back.
            final: All goes back.
        """
        running = utc_s < self.ends_s
        self._measure(now_s)
        back = max(self.left, 0) if final or not running else 0 if keep else self._surplus(now_s)
        self.back = max(self.back, back)
        self.left = self.out - self.taken - self.back
        short = max(need - self.left, 0) if need else 0
        return Ask(
            self.row,
            self.ceiling,
            self.report(),
            self.back,
            short,
            max(least - self.left, 0) if need else 0,
            self._wanted(now_s) + short if running else 0,
            self._floor(),
            running,
            possible,
            self.refused,
        )

    def report(self) -> Report:
        """Return all that no exchange is known to have said."""
        return Report(((0, self.taken),) if self.taken else (), self.taken)

    def confirm(self, report: Report) -> None:
        """Note that this was charged; `found` follows."""
        self.taken -= report.taken
        self.back = 0

    def found(self, out: int) -> None:
        """Note how much the store says was granted."""
        self.out = out
        self.left = out - self.taken - self.back

    def learn(self, free: int, slots: tuple[tuple[int, int], ...], holders: int, now_s: float, utc_s: float) -> None:
        """Note how the counter stands: it is taken for the truth for a second, or until something slides out."""
        self.free, self.slots, self.holders = free, slots, holders
        self.oldest = slots[0][0] if slots else None
        self.dry_until_s = now_s + (TRUTH_S if self.oldest is None else min(self.oldest + SLOT_LIFE_S - utc_s, TRUTH_S))
        self.credit, self.refused = 0, False

    def _spend(self, amount: int, second: int) -> None:  # noqa: ARG002 - of minutes only
        self.taken += amount
        self.left -= amount

    def _settle(self, second: int, change: int, now: int) -> None:  # noqa: ARG002 - likewise
        self.taken += change
        self.left -= change

    def _floor(self) -> int:
        return 0

    def _measure(self, now_s: float) -> None:
        """Take the use since the last exchange into account."""
        if self.volume:
            period_s = max(min(now_s - self.since_s, now_s - self.last_s + SLICE_S), LEAST_PERIOD_S)
            self.rate = (self.rate + self.volume / period_s) / 2
        elif now_s - self.last_s >= IDLE_S:
            self.rate, self.largest = 0.0, 0
        self.volume, self.since_s = 0, now_s
        self.target = max(int(self.rate * SLICE_S), 2 * self.largest)

    def _wanted(self, now_s: float) -> int:
        return max(self.target - self.left, 0) if now_s - self.last_s < IDLE_S or not self.largest else 0

    def _surplus(self, now_s: float) -> int:
        """Return what is not needed any more: all of it after a pause, else what is over twice the slice."""
        if now_s - self.last_s >= IDLE_S:
            return max(self.left, 0)
        return max(self.left - 2 * self.target, 0)
