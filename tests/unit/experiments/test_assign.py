"""Who gets which variant: exact shares, the same one again, and whom a change of weights moves."""

import bisect
import datetime
import itertools
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.experiments import Experiment, ExperimentState, Goal, Span, Target, Variant
from gateway.experiments.assign import SPACE, assign, assignment_of, counts_of, hash_of, layout, reallocated, unit_of
from gateway.experiments.lifecycle import reweighted, started

AT = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)
WEIGHTS = st.lists(st.integers(0, 1_000_000), min_size=2, max_size=6).filter(any)


def variants_of(weights: Sequence[int]) -> tuple[Variant, ...]:
    return tuple(Variant(f"v{index}", weight) for index, weight in enumerate(weights))


def experiment_of(*weights: int, salt: str = "salt", **more: Any) -> Experiment:
    fields = {"tenant": "contoso", "id": "tone", "on": Target(prompt="support"), "goal": Goal("cost_usd", "lower")}
    return Experiment(**fields | {"variants": variants_of(weights), "salt": salt, "state": ExperimentState.RUNNING} | more)


def pieces(spans: Sequence[Span]) -> list[tuple[int, int, str]]:
    return [(one.start, other, one.variant) for one, other in zip(spans, [*(each.start for each in spans[1:]), SPACE], strict=True)]


def shares(spans: Sequence[Span]) -> Counter[str]:
    found: Counter[str] = Counter()
    for start, end, variant in pieces(spans):
        found[variant] += end - start
    return found


def moved(before: Sequence[Span], after: Sequence[Span]) -> Counter[tuple[str, str]]:
    """Count the hashes that change hands, by whose they were and whose they are: exactly, by the ends of all spans."""
    ends = sorted({span.start for span in (*before, *after)} | {SPACE})
    found: Counter[tuple[str, str]] = Counter()
    for start, end in itertools.pairwise(ends):
        old, new = (spans[bisect.bisect_right([each.start for each in spans], start) - 1].variant for spans in (before, after))
        if old != new:
            found[old, new] += end - start
    return found


@given(WEIGHTS)
def test_a_variant_has_exactly_its_share_of_the_hashes(weights: list[int]) -> None:
    variants = variants_of(weights)
    found = shares(layout(variants))
    assert found.total() == SPACE
    for variant, count in zip(variants, counts_of(variants), strict=True):
        assert found[variant.id] == count
        assert abs(count - Fraction(variant.weight * SPACE, sum(weights))) < 1
        assert variant.weight or not count


@given(WEIGHTS, st.lists(WEIGHTS, min_size=1, max_size=5))
def test_changed_weights_move_units_from_shrinking_variants_to_growing_ones_and_no_more_than_they_must(
    first: list[int], changes: list[list[int]]
) -> None:
    spans = layout(variants_of(first))
    for change in changes:
        variants = variants_of((change + [0] * len(first))[: len(first)])
        if not any(variant.weight for variant in variants):
            continue
        before, spans = spans, reallocated(spans, variants)
        was, now = shares(before), shares(spans)
        assert spans[0].start == 0
        assert all(one.start < other.start and one.variant != other.variant for one, other in itertools.pairwise(spans))
        assert [now[variant.id] for variant in variants] == counts_of(variants)
        changed = moved(before, spans)
        assert all(now[old] < was[old] and now[new] > was[new] for old, new in changed)
        assert changed.total() == sum(max(now[each.id] - was[each.id], 0) for each in variants)


@given(WEIGHTS, st.data())
def test_where_one_weight_grows_units_come_to_that_variant_alone(weights: list[int], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(weights) - 1))
    more = [weight + (data.draw(st.integers(1, 1_000_000)) if place == index else 0) for place, weight in enumerate(weights)]
    before = layout(variants_of(weights))
    assert {new for _, new in moved(before, reallocated(before, variants_of(more)))} <= {f"v{index}"}


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=6))
def test_a_canarys_ramp_never_gives_a_unit_back_to_the_control(canaries: list[int]) -> None:
    running = started(experiment_of(1000, 0, state=ExperimentState.DRAFT), AT, "", variants_of([1000, 0]))
    units = [f"unit-{number}" for number in range(50)]
    there: set[str] = set()
    for canary in sorted(canaries):
        running = reweighted(running, {"v0": 1000 - canary, "v1": canary}, AT)
        now = {unit for unit in units if assign(running, unit).id == "v1"}
        assert there <= now
        there = now
        assert running.spans in {(), layout(running.variants)}  # with two variants the weights alone say who gets what


def test_from_50_back_to_5_the_units_that_came_first_stay() -> None:
    spans = [layout(variants_of(weights)) for weights in ([90, 5, 5], [45, 50, 5])]
    again = reallocated(reallocated(spans[0], variants_of([45, 50, 5])), variants_of([90, 5, 5]))
    assert again == spans[0] != spans[1]


@given(st.text(), st.text(min_size=1), WEIGHTS)
def test_a_unit_gets_the_same_variant_again_and_one_with_a_weight(salt: str, unit: str, weights: list[int]) -> None:
    found = assign(experiment_of(*weights, salt=salt), unit)
    assert found == assign(experiment_of(*weights, salt=salt), unit)
    assert found.weight > 0


def chi_square(table: Sequence[Sequence[int]]) -> float:
    total = sum(map(sum, table))
    rows, columns = [sum(row) for row in table], [sum(column) for column in zip(*table, strict=True)]
    cells = [(found, rows[i] * columns[j] / total) for i, row in enumerate(table) for j, found in enumerate(row)]
    return sum((found - expected) ** 2 / expected for found, expected in cells)


UNITS = [unit_of(experiment_of(1, 1), tenant="contoso", subscription="sub_1", user=f"user-{number}") for number in range(20_000)]


@pytest.mark.parametrize(("salt", "independent"), [("other", True), ("salt", False)])
def test_experiments_with_different_salts_split_the_same_units_independently(salt: str, independent: bool) -> None:
    one, other = experiment_of(3, 1, 1), experiment_of(1, 1, salt=salt)
    found = Counter((assign(one, unit).id, assign(other, unit).id) for unit in UNITS)
    table = [[found[f"v{i}", f"v{j}"] for j in range(2)] for i in range(3)]
    assert (chi_square(table) < 13.8) is independent  # 2 degrees of freedom, p = 0.001


def test_units_fall_to_variants_as_their_weights_say() -> None:
    found = Counter(assign(experiment_of(90, 9, 1), unit).id for unit in UNITS)
    expected = {"v0": 18_000, "v1": 1_800, "v2": 200}
    assert sum((found[each] - wanted) ** 2 / wanted for each, wanted in expected.items()) < 13.8


def test_the_hash_is_the_one_that_experiments_were_started_with() -> None:
    assert [hash_of("salt", "contoso\nsub_1\nanna"), hash_of("1", "1x"), hash_of("11", "x")] == [
        3846040610088066426, 5983571723454952723, 11362701151952745650,
    ]  # fmt: skip


def test_two_tenants_and_two_subscriptions_annas_are_different_units() -> None:
    places = [("contoso", "sub_1"), ("contoso", "sub_2"), ("fabrikam", "sub_1")]
    assert len({unit_of(experiment_of(1, 1), tenant=tenant, subscription=name, user="anna") for tenant, name in places}) == 3


@pytest.mark.parametrize(("unit", "named"), [("user", "anna"), ("session", "s-1"), ("request", "req_1")])
def test_an_experiments_unit_says_who_gets_one_variant_for_good(unit: Literal["user", "session", "request"], named: str) -> None:
    experiment = experiment_of(1, 1, unit=unit)
    whose = {"tenant": "contoso", "subscription": "sub_1"}
    assert unit_of(experiment, **whose, user="anna", session="s-1", request_id="req_1") == f"contoso\nsub_1\n{named}"
    assert unit_of(experiment, **whose) == ""


def test_a_call_without_a_unit_gets_the_control_and_does_not_count() -> None:
    experiment = experiment_of(0, 1)
    found = assignment_of(experiment, "")
    assert (found.variant.id, found.exposed) == ("v0", False)
    counted = assignment_of(experiment, "anna")
    assert (counted.variant.id, counted.exposed) == ("v1", True)


def test_after_its_end_everybody_gets_the_same_and_nobody_counts() -> None:
    seven = Variant("v1", 1, version=7, model="cheap")
    running = experiment_of(1, 1, variants=(Variant("v0"), seven))
    promoted = msgspec.structs.replace(running, state=ExperimentState.PROMOTED, winner="v1")
    moved_label = msgspec.structs.replace(promoted, label_moved=True)
    back = msgspec.structs.replace(running, state=ExperimentState.ROLLED_BACK)
    for unit in ("", "anna", "ben", "chris"):
        assert [assign(each, unit) for each in (promoted, moved_label, back)] == [seven, Variant("v1", 1, model="cheap"), Variant("v0")]
        assert not any(assignment_of(each, unit).exposed for each in (promoted, moved_label, back))


def test_units_follow_the_changes_of_weights_that_were_made_and_not_the_last_weights_alone() -> None:
    draft = experiment_of(90, 5, 5, state=ExperimentState.DRAFT)
    ramped = reweighted(started(draft, AT, "", draft.variants), {"v2": 400}, AT)
    before, after = ([assign(each, unit).id for unit in UNITS[:2000]] for each in (draft, ramped))
    assert {new for old, new in zip(before, after, strict=True) if old != new} == {"v2"}
