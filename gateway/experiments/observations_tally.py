"""What is known of one experiment's units: sums, kept up call by call and vote by vote. Pure, and bounded.

A unit belongs to the variant of its first call. Calls that it makes under another one (somebody changed the weights) are counted as
`crossed` and otherwise left out, so that nobody stands in two arms. Beyond `most` units new ones are left out, in all arms alike.
A unit's value of a metric is the mean over its calls, or votes, so far.
"""

from array import array
from collections.abc import Mapping, Sequence

import msgspec

from gateway.experiments.sequential import Arm

MOST_UNITS = 100_000  # of one experiment, in one worker: about 0.5 KB each


class Seen(msgspec.Struct, frozen=True, gc=False):
    """One call of an experiment, read from the ledger.

    Attributes:
        unit: Whose call it was, with tenant and subscription; empty where nobody is named.
        session: Its session, with tenant and subscription; empty without one.
        values: By metric; one that the call says nothing of is not there.
    """

    variant: str
    unit: str
    session: str
    values: Mapping[str, float]


class Counted(msgspec.Struct):
    """What is known of one variant.

    Attributes:
        units: How many have made a call.
        calls: Of these units.
        exposures: Calls that were given the variant, those of nobody in particular among them.
        arms: By metric.
    """

    units: int
    calls: int
    exposures: int
    arms: dict[str, Arm]


class _Unit(msgspec.Struct):
    variant: str
    sums: array[float]  # of each metric the total and the number, one after the other


class Tally:
    """Sums of one experiment.

    Args:
        variants: Names of its variants.
        metrics: Names of what is measured.
        most: Units and votes that are kept at most.
    """

    def __init__(self, variants: Sequence[str], metrics: Sequence[str], most: int = MOST_UNITS) -> None:
        self.variants = {name: Counted(0, 0, 0, {metric: Arm() for metric in metrics}) for name in variants}
        self.crossed = 0
        self.left_out = 0
        self._places = {metric: 2 * number for number, metric in enumerate(metrics)}
        self._nothing = array("d", [0.0] * (2 * len(metrics)))
        self._units: dict[str, _Unit] = {}
        self._sessions: dict[str, str] = {}
        self._votes: dict[str, tuple[str, str, float]] = {}
        self._most = most

    def call(self, seen: Seen) -> None:
        """Count a call."""
        known = self.variants.get(seen.variant)
        if known is None:
            return
        known.exposures += 1
        if not seen.unit:
            return
        unit = self._units.get(seen.unit)
        if unit is None:
            if len(self._units) >= self._most:
                self.left_out += 1
                return
            unit = self._units[seen.unit] = _Unit(seen.variant, self._nothing[:])
            known.units += 1
        elif unit.variant != seen.variant:
            self.crossed += 1
            return
        known.calls += 1
        if seen.session and len(self._sessions) < self._most:
            self._sessions.setdefault(seen.session, seen.unit)
        for metric, value in seen.values.items():
            self._move(unit, metric, value, 1)

    def unit_of(self, session: str) -> str:
        """Return the unit that had a session; empty where none is known."""
        return self._sessions.get(session, "")

    def vote(self, key: str, unit: str, variant: str, metric: str, value: float) -> None:
        """Count a vote once, however often it is read; the same vote with another value replaces the first.

        Args:
            key: What makes it the same vote.
            unit: Whose.
            variant: What the call was given; empty for that of the unit.
            metric: With its prefix.
            value: What was sent.
        """
        known = self._units.get(unit)
        if known is None or metric not in self._places or (variant and known.variant != variant):
            return
        before = self._votes.get(key)
        if before is None:
            if len(self._votes) >= self._most:
                self.left_out += 1
                return
            self._move(known, metric, value, 1)
        elif before[:2] == (unit, metric):
            self._move(known, metric, value - before[2], 0)
        else:
            return
        self._votes[key] = (unit, metric, value)

    def _move(self, unit: _Unit, metric: str, by: float, more: int) -> None:
        place = self._places.get(metric)
        if place is None:
            return
        sums, arm = unit.sums, self.variants[unit.variant].arms[metric]
        total, number = sums[place], sums[place + 1]
        sums[place], sums[place + 1] = total + by, number + more
        if number:
            arm.now.replace(total / number, (total + by) / (number + more))
        else:
            arm.now.add(by)
            arm.first.add(by)
