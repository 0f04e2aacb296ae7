"""Which variant a unit gets: a place in 2**64 hashes, divided among the variants in exact integers. Pure.

    hash = BLAKE2b-64(salt, unit)      0 ├── control ──┤── canary ──┤ 2**64

- A variant has `2**64 * weight / sum` of the hashes, at most one more or less, and none with the weight 0.
- The same unit always gets the same variant: nothing is stored, and all workers agree. Another salt divides the same units anew.
- A change of weights (`reallocated`) moves units from variants whose share falls to variants whose share grows, no others, and no
  more of them than the shares' difference. So from 5 to 50 to 100 of 100 a canary's units stay the canary's. A variant gives back
  the units first that came to it last: from 50 to 5 the first ones stay. With two variants the weights alone say who gets what;
  with more of them the order of changes counts too, which is why what holds then is kept with the experiment (`spans`).
- A unit belongs to a tenant's subscription: two tenants' "anna" are two units, and so are two subscriptions'.

Source: RFC 7693 (BLAKE2), read 2026-11-22; Python's hashlib on `person` (domain separation), read 2026-11-22.
"""

import bisect
import hashlib
import operator
from collections.abc import Iterable, Sequence

import msgspec

from gateway.domain.experiments import Assignment, Experiment, ExperimentState, Span, Variant

SPACE = 2**64
_DOMAIN = b"gateway-variant1"  # no other hash of the gateway's has this one's meaning
_START = operator.attrgetter("start")

type _Piece = tuple[int, int, str]  # from, below, whose


def unit_of(experiment: Experiment, *, tenant: str, subscription: str, user: str = "", session: str = "", request_id: str = "") -> str:
    """Return who gets one variant for good; empty where the call does not say what the experiment goes by.

    Args:
        experiment: Its `unit` says which of the last three counts.
        tenant: The caller's.
        subscription: The caller's.
        user: As a token proves it, or as the call says.
        session: As the call says.
        request_id: Ours.
    """
    named = {"user": user, "session": session, "request": request_id}[experiment.unit]
    return f"{tenant}\n{subscription}\n{named}" if named else ""  # no id and no header holds a line's end


def assignment_of(experiment: Experiment, unit: str) -> Assignment:
    """Return what a unit gets, and whether it counts."""
    exposed = experiment.state is ExperimentState.RUNNING and unit != ""
    return Assignment(experiment, assign(experiment, unit), exposed)


def assign(experiment: Experiment, unit: str) -> Variant:
    """Return the variant that a unit gets: everybody's of an experiment that has ended, and the control without a unit."""
    ended = everybodys(experiment)
    if ended is not None:
        return ended
    if not unit:
        return experiment.variants[0]
    spans = experiment.spans or layout(experiment.variants)
    found = spans[bisect.bisect_right(spans, hash_of(experiment.salt, unit), key=_START) - 1].variant
    return next(variant for variant in experiment.variants if variant.id == found)


def everybodys(experiment: Experiment) -> Variant | None:
    """Return what everybody gets of an experiment that was promoted or rolled back; None of another one.

    A winner whose version the label stands at asks for no version any more, so that the label can be moved on.
    """
    if experiment.state is ExperimentState.ROLLED_BACK:
        return experiment.variants[0]
    if experiment.state is not ExperimentState.PROMOTED:
        return None
    winner = next(variant for variant in experiment.variants if variant.id == experiment.winner)
    return msgspec.structs.replace(winner, version=None) if experiment.label_moved else winner


def hash_of(salt: str, unit: str) -> int:
    """Return a unit's place, 0 to 2**64 - 1."""
    text = f"{len(salt)}:{salt}{unit}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, person=_DOMAIN).digest())


def layout(variants: Sequence[Variant]) -> tuple[Span, ...]:
    """Return who gets what by the weights alone, in the variants' order."""
    spans, start = [], 0
    for variant, count in zip(variants, counts_of(variants), strict=True):
        if count:
            spans.append(Span(start, variant.id))
        start += count
    return tuple(spans)


def counts_of(variants: Sequence[Variant]) -> list[int]:
    """Return how many hashes each variant has; their sum is 2**64."""
    total, below, counts = sum(variant.weight for variant in variants), 0, []
    for variant in variants:
        start = below * SPACE // total
        below += variant.weight
        counts.append(below * SPACE // total - start)
    return counts


def reallocated(spans: Sequence[Span], variants: Sequence[Variant]) -> tuple[Span, ...]:
    """Return who gets what after a change of weights.

    Args:
        spans: Who got what until now.
        variants: With their new weights; the first is the control.
    """
    ends = [span.start for span in spans[1:]] + [SPACE]
    pieces = [(span.start, end, span.variant) for span, end in zip(spans, ends, strict=True)]
    missing: dict[str, int] = {}
    kept: list[_Piece] = []
    free: list[_Piece] = []
    for variant, count in zip(variants, counts_of(variants), strict=True):
        own = [piece for piece in pieces if piece[2] == variant.id]
        over = sum(end - start for start, end, _ in own) - count
        missing[variant.id] = max(-over, 0)
        given, rest = _taken(own, max(over, 0), from_end=variant is variants[0])
        free += given
        kept += rest
    free.sort()
    for variant in variants:
        given, free = _taken(free, missing[variant.id], from_end=False)
        kept += [(start, end, variant.id) for start, end, _ in given]
    return _joined(sorted(kept))


def _taken(pieces: Sequence[_Piece], count: int, *, from_end: bool) -> tuple[list[_Piece], list[_Piece]]:
    """Return `count` hashes from one end of the pieces, and the rest."""
    given: list[_Piece] = []
    rest: list[_Piece] = []
    for start, end, whose in reversed(pieces) if from_end else pieces:
        part = min(count, end - start)
        count -= part
        cut = end - part if from_end else start + part
        taken, left = ((cut, end), (start, cut)) if from_end else ((start, cut), (cut, end))
        given += [(*taken, whose)] if part else []
        rest += [(*left, whose)] if left[0] < left[1] else []
    return given, sorted(rest)


def _joined(pieces: Iterable[_Piece]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for start, _, whose in pieces:
        if not spans or spans[-1].variant != whose:
            spans.append(Span(start, whose))
    return tuple(spans)
