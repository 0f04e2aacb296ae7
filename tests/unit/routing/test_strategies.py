import collections
import random
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.deployment import Capacity, PoolMember, Price, PriceTier
from gateway.domain.policy import STRATEGIES as NAMES
from gateway.routing.situation import Option, Situation
from gateway.routing.strategies import STRATEGIES, spill
from gateway.routing.vitals import Vitals
from tests.builders import make_deployment, make_price


def make_options(*rows: Mapping[str, Any]) -> list[Option]:
    """Options from rows of a deployment's, a member's and its vitals' fields; ids are a, b, c …"""
    options = []
    for index, row in enumerate(rows):
        deployment = make_deployment(
            id="abcdefgh"[index], **{name: row[name] for name in ("sku", "capacity", "price", "quality") if name in row}
        )
        vitals = Vitals()
        for name in ("latency_s", "success", "in_flight", "utilisation"):
            setattr(vitals, name, row.get(name, getattr(vitals, name)))
        options.append(Option(PoolMember(deployment, row.get("priority", 1), row.get("weight", 1)), vitals))
    return options


def make_situation(**over: Any) -> Situation:
    fields: dict[str, Any] = {
        "now_s": 0.0,
        "rng": random.Random(11),
        "prompt_tokens": 1000,
        "output_tokens": 500,
        "affinity": "",
        "price": lambda deployment: deployment.price,
    }
    return Situation(**fields | over)


def ids(options: Sequence[Option]) -> str:
    return "".join(option.member.deployment.id for option in options)


def firsts(strategy: str, options: Sequence[Option], calls: int = 10_000, **over: Any) -> collections.Counter[str]:
    """Count who goes first; each call has an affinity of its own, if it has one at all."""
    situation = make_situation(**over)
    counted: collections.Counter[str] = collections.Counter()
    for index in range(calls):
        if situation.affinity:
            situation = msgspec.structs.replace(situation, affinity=f"user-{index}")
        counted[ids(STRATEGIES[strategy](options, situation)[:1])] += 1
    return counted


def deviation(counted: Mapping[str, int], weights: Sequence[int]) -> float:
    """Return chi-square of the counts against the weights."""
    calls = sum(counted.values())
    expected = [calls * weight / sum(weights) for weight in weights]
    return sum((counted["abcdefgh"[index]] - share) ** 2 / share for index, share in enumerate(expected))


# What chi-square stays below in 999,999 of a million samples, by degrees of freedom (members − 1): a sample that a fixed
# rng draws once is not an accident of that size.
CHI_SQUARE = {1: 23.9, 2: 27.6, 3: 30.7}
PRICE = make_price(input=1_000_000, output=4_000_000)
DEAR = make_price(input=10_000_000, output=40_000_000)


@pytest.mark.parametrize("weights", [(1, 1), (1, 19), (50, 50, 100), (1, 2, 3, 4)])
@pytest.mark.parametrize(
    ("strategy", "over"),
    [
        ("priority", {}),
        ("weighted", {}),
        ("most-reliable", {}),
        ("balanced", {}),
        ("lowest-cost", {}),
        ("consistent-hash", {"affinity": "x"}),
    ],
)
def test_among_equals_weights_hold_over_ten_thousand_calls(strategy: str, over: dict[str, str], weights: tuple[int, ...]) -> None:
    options = make_options(*({"weight": weight, "price": PRICE} for weight in weights))
    assert deviation(firsts(strategy, options, **over), weights) < CHI_SQUARE[len(weights) - 1]


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "weight": st.integers(0, 5),
                "priority": st.integers(1, 3),
                "sku": st.sampled_from(["standard", "provisioned"]),
                "capacity": st.just(Capacity(tpm=6000)),
                "price": st.sampled_from([None, PRICE, DEAR]),
                "latency_s": st.sampled_from([0.0, 0.2, 3.0]),
                "success": st.sampled_from([1.0, 0.5, 0.0]),
                "in_flight": st.integers(0, 3),
                "utilisation": st.sampled_from([0.0, 0.6, 1.5]),
            }
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(sorted(STRATEGIES)),
    st.sampled_from(["", "someone", "\ud800"]),
    st.integers(0, 99),
)
def test_every_strategy_orders_all_options_once_and_alike_for_one_seed(
    rows: list[dict[str, Any]], strategy: str, affinity: str, seed: int
) -> None:
    options = make_options(*rows)
    orders = []
    for _ in range(2):
        situation = make_situation(affinity=affinity, rng=random.Random(seed))
        orders.append(ids(spill(STRATEGIES[strategy](options, situation), situation)))
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == sorted(ids(options))


def test_the_catalogue_knows_the_strategies_that_there_are() -> None:
    assert set(STRATEGIES) == NAMES


def test_priority_comes_before_weight_and_provisioned_before_standard() -> None:
    options = make_options({"priority": 2}, {"priority": 1, "weight": 1000}, {"priority": 1, "sku": "provisioned"})
    for seed in range(50):
        assert ids(STRATEGIES["priority"](options, make_situation(rng=random.Random(seed)))) == "cba"


def test_weighted_ignores_priority() -> None:
    counted = firsts("weighted", make_options({"priority": 1}, {"priority": 9}), 1000)
    assert counted["b"] > 400


@pytest.mark.parametrize("strategy", ["priority", "weighted", "most-reliable", "balanced", "consistent-hash"])
def test_a_weight_of_zero_comes_last(strategy: str) -> None:
    options = make_options({"weight": 0}, {"weight": 1}, {"weight": 1})
    for seed in range(50):
        assert ids(STRATEGIES[strategy](options, make_situation(rng=random.Random(seed), affinity=f"{seed}"))).endswith("a")


class TestLeastLatency:
    def test_of_two_the_faster_goes_first_and_a_change_turns_it(self) -> None:
        assert firsts("least-latency", make_options({"latency_s": 0.2}, {"latency_s": 0.5}), 100)["a"] == 100
        assert firsts("least-latency", make_options({"latency_s": 0.8}, {"latency_s": 0.5}), 100)["a"] == 0

    def test_the_slowest_of_three_never_goes_first(self) -> None:
        counted = firsts("least-latency", make_options({"latency_s": 0.2}, {"latency_s": 0.3}, {"latency_s": 2.0}), 3000)
        assert counted["c"] == 0
        assert counted["a"] > counted["b"] > 0

    def test_calls_under_way_count_as_waiting(self) -> None:
        assert firsts("least-latency", make_options({"latency_s": 0.2, "in_flight": 4}, {"latency_s": 0.5}), 100)["a"] == 0

    def test_an_unknown_one_is_tried_but_not_by_everybody_at_once(self) -> None:
        assert firsts("least-latency", make_options({"latency_s": 0.2}, {}), 100)["b"] == 100
        assert firsts("least-latency", make_options({"latency_s": 0.2}, {"in_flight": 2}), 100)["b"] == 0

    def test_an_old_measurement_is_believed_less(self) -> None:
        options = make_options({"latency_s": 0.2}, {"latency_s": 2.0})
        options[0].vitals.latency_at_s = 60.0
        assert firsts("least-latency", options, 100, now_s=60.0)["b"] == 100

    def test_behind_the_first_the_faster_come_earlier(self) -> None:
        options = make_options({"latency_s": 0.4}, {"latency_s": 0.3}, {"latency_s": 0.2}, {"latency_s": 0.1})
        for seed in range(20):
            rest = ids(STRATEGIES["least-latency"](options, make_situation(rng=random.Random(seed))))[1:]
            assert rest == "".join(sorted(rest, reverse=True))


class TestLowestCost:
    def test_the_cheapest_for_this_call_goes_first_the_unpriced_last(self) -> None:
        options = make_options({"price": None}, {"price": DEAR}, {"price": PRICE})
        assert ids(STRATEGIES["lowest-cost"](options, make_situation())) == "cba"

    def test_which_is_cheapest_depends_on_the_calls_shape(self) -> None:
        options = make_options({"price": make_price(input=1, output=10)}, {"price": make_price(input=5, output=5)})
        assert ids(STRATEGIES["lowest-cost"](options, make_situation(prompt_tokens=1000, output_tokens=10))) == "ab"
        assert ids(STRATEGIES["lowest-cost"](options, make_situation(prompt_tokens=10, output_tokens=1000))) == "ba"

    def test_a_long_prompt_is_compared_at_what_long_prompts_cost(self) -> None:
        tiered = make_price(input=1, output=0, tiers=(PriceTier(100, make_price(input=9, output=0)),))
        options = make_options({"price": tiered}, {"price": make_price(input=5, output=0)})
        assert ids(STRATEGIES["lowest-cost"](options, make_situation(prompt_tokens=100))) == "ab"
        assert ids(STRATEGIES["lowest-cost"](options, make_situation(prompt_tokens=101))) == "ba"

    def test_what_is_paid_by_the_unit_is_compared_by_the_unit(self) -> None:
        by_unit = [Price(0, 0, units=(("images", 40),)), Price(0, 0, unit=30), Price(0, 0, unit=0)]
        options = make_options(*({"price": price} for price in by_unit))
        assert ids(STRATEGIES["lowest-cost"](options, make_situation(prompt_tokens=100))) == "cba"

    def test_a_tenants_own_price_counts(self) -> None:
        options = make_options({"price": PRICE}, {"price": DEAR})
        negotiated = {"a": DEAR, "b": PRICE}
        assert ids(STRATEGIES["lowest-cost"](options, make_situation(price=lambda deployment: negotiated[deployment.id]))) == "ba"

    def test_what_is_too_slow_is_left_out_if_anything_is_faster(self) -> None:
        options = make_options({"price": PRICE, "latency_s": 3.0}, {"price": DEAR, "latency_s": 0.3}, {"price": DEAR})
        assert sorted(ids(STRATEGIES["lowest-cost"](options, make_situation(latency_ceiling_s=1.0)))) == ["b", "c"]
        assert ids(STRATEGIES["lowest-cost"](options[:1], make_situation(latency_ceiling_s=1.0))) == "a"


def test_most_reliable_leaves_those_that_fail() -> None:
    shares = [firsts("most-reliable", make_options({}, {"success": success}), 4000)["b"] / 4000 for success in (1.0, 0.95, 0.9, 0.7, 0.3)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(0.5, abs=0.03)
    assert shares[-1] < 0.01


class TestConsistentHash:
    OPTIONS = make_options({}, {}, {}, {})

    def test_one_affinity_always_meets_the_same_order(self) -> None:
        orders = {ids(STRATEGIES["consistent-hash"](self.OPTIONS, make_situation(affinity="s-1", rng=random.Random(i)))) for i in range(50)}
        assert len(orders) == 1

    def test_a_deployment_that_goes_moves_only_its_own(self) -> None:
        for index in range(300):
            situation = make_situation(affinity=f"s-{index}")
            order = ids(STRATEGIES["consistent-hash"](self.OPTIONS, situation))
            without = ids(STRATEGIES["consistent-hash"](self.OPTIONS[1:], situation))
            assert without == order.replace("a", "")

    def test_the_order_among_the_rest_is_spread_too(self) -> None:
        seconds = collections.Counter(
            ids(STRATEGIES["consistent-hash"](self.OPTIONS, make_situation(affinity=f"s-{index}")))[:2] for index in range(6000)
        )
        assert len(seconds) == 12
        assert max(seconds.values()) < 2 * min(seconds.values())

    def test_the_order_does_not_change_from_process_to_process(self) -> None:
        assert ids(STRATEGIES["consistent-hash"](self.OPTIONS, make_situation(affinity="session-42"))) == "cadb"

    def test_without_an_affinity_it_is_weighted(self) -> None:
        counted = firsts("consistent-hash", make_options({"weight": 1}, {"weight": 3}))
        assert deviation(counted, (1, 3)) < CHI_SQUARE[1]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("latency_s", (0.3, 0.6, 1.2, 9.0)),
        ("price", (PRICE, make_price(input=2_000_000, output=8_000_000), DEAR, None)),
        ("success", (1.0, 0.8, 0.5, 0.0)),
        ("utilisation", (0.0, 0.3, 0.6, 0.99)),
        ("in_flight", (0, 1, 3, 9)),
        ("quality", (1.0, 0.8, 0.5, 0.1)),
    ],
)
def test_balanced_gives_less_to_what_is_worse_in_any_respect(name: str, values: tuple[Any, ...]) -> None:
    base = {"latency_s": 0.3, "price": PRICE, "quality": 1.0}
    shares = [firsts("balanced", make_options(base, base | {name: value}), 6000)["b"] / 6000 for value in values]
    assert shares[0] == pytest.approx(0.5, abs=0.03)
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.4


FULL = {"sku": "provisioned", "capacity": Capacity(tpm=60_000), "utilisation": 0.99}
ROOM = FULL | {"utilisation": 0.9}


class TestSpill:
    def test_provisioned_capacity_that_would_refuse_goes_behind_all_others(self) -> None:
        options = make_options(FULL, ROOM, {"priority": 5}, FULL)
        assert ids(spill(options, make_situation())) == "bcad"

    def test_it_comes_back_when_it_has_drained(self) -> None:
        options = make_options(FULL, {})
        assert ids(spill(options, make_situation(now_s=0.9))) == "ba"
        assert ids(spill(options, make_situation(now_s=1.0))) == "ab"

    def test_what_fits_stays_as_it_was(self) -> None:
        options = make_options(ROOM, {}, {"utilisation": 3.0})
        assert spill(options, make_situation()) is options
