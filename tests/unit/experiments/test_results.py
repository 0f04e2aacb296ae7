"""Results say what is known of each variant, what is proved, and what to do next."""

import asyncio
import random
from typing import Any

import pytest

from gateway.domain.experiments import Experiment, ExperimentState, Goal, GuardMetric, Phase, Variant
from gateway.experiments.observations import Observations, Observed, metrics_of
from gateway.experiments.observations_tally import Seen, Tally
from gateway.experiments.results import Assessment, Results, assess, share_of_alpha
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables
from tests.unit.experiments.ledger import HOUR, START, experiment

CHEAP = Goal("cost_usd", better="lower")


def observed(of: Experiment, units: dict[str, int], **metrics: dict[str, float]) -> Observed:
    """Units with a value around the metric's mean of their variant; rates are 0 or 1."""
    chance, tally = random.Random(3), Tally([each.id for each in of.variants], metrics_of(of))
    for variant, n in units.items():
        for number in range(n):
            values = {
                name: float(chance.random() < means[variant]) if name.endswith("_rate") else chance.gauss(means[variant], 1.0)
                for name, means in metrics.items()
            }
            tally.call(Seen(variant, f"{variant}-{number}", "", values))
    return Observed(tally, START + HOUR, complete=True)


def judged(
    units: tuple[int, int] = (1000, 1000), costs: tuple[float, float] = (5, 5), errors: tuple[float, float] = (0.05, 0.05), **over: Any
) -> Assessment:
    of = experiment(**{"goal": CHEAP} | over)
    names = [each.id for each in of.variants]
    both: list[dict[str, float]] = [dict(zip(names, values, strict=True)) for values in (costs, errors)]
    return assess(of, observed(of, dict(zip(names, units, strict=True)), cost_usd=both[0], error_rate=both[1]))


def shown(found: Assessment, **over: Any) -> dict[str, Any]:
    class Told(Results):
        async def assess(self, experiment: Experiment) -> Assessment | None:
            return found

    results = Told(Observations(FakeTables(), FakeClock(START)))
    return asyncio.run(results.of(experiment(**{"goal": CHEAP} | over)))


def test_a_cheaper_variant_whose_guards_hold_wins() -> None:
    found = judged(costs=(5, 4.5))
    assert (found.winner, found.goal["canary"].verdict, found.violations) == ("canary", "better", ())
    document = shown(found)
    assert (document["verdict"], document["winner"]) == ("better", "canary")
    assert document["next"].startswith("Promote 'canary'")


def test_a_dearer_variant_is_worse() -> None:
    found = judged(costs=(5, 5.5))
    assert (found.winner, found.goal["canary"].verdict) == ("", "worse")
    assert (shown(found)["verdict"], shown(found)["next"]) == ("worse", "Stop it: no variant is better than the control.")


def test_equal_variants_are_undecided() -> None:
    document = shown(judged())
    assert (document["verdict"], document["winner"]) == ("undecided", None)
    assert document["next"].startswith("Keep it running")


def test_nothing_is_decided_before_both_arms_have_enough_units() -> None:
    found = judged(units=(900, 900), costs=(5, 4), errors=(0.01, 0.9), min_units=901)
    assert (found.winner, found.goal["canary"].verdict, found.violations) == ("", "undecided", ())
    assert shown(found)["guards"][0]["state"] == "too few units"


def test_a_variant_that_wins_and_breaks_a_guard_does_not_win() -> None:
    found = judged(costs=(5, 4), errors=(0.01, 0.2))
    assert (found.winner, [each.variant for each in found.violations]) == ("", ["canary"])
    document = shown(found)
    assert document["next"].startswith("Roll it back: error_rate of 'canary'")
    assert document["guards"][0]["state"] == "violated"


def test_a_guard_within_its_margin_holds() -> None:
    assert not judged(errors=(0.01, 0.2), guards=(GuardMetric("error_rate", margin=0.25),)).violations


def test_a_winner_waits_for_guards_that_nobody_has_measured() -> None:
    guards = (GuardMetric("error_rate"), GuardMetric("ttft_s"))
    found = judged(costs=(5, 4), guards=guards)
    assert (found.winner, found.goal["canary"].verdict) == ("", "better")
    assert "not all of its guards" in shown(found, guards=guards)["next"]


def test_units_that_do_not_fall_as_the_weights_say_leave_no_winner() -> None:
    found = judged(units=(1200, 800), costs=(5, 4))
    assert (found.mismatched, found.winner) == (True, "")
    assert shown(found)["next"].startswith("Trust none of it")
    assert shown(found)["sample_ratio"]["mismatch"] is True
    weighted = (Variant("control", weight=3), Variant("canary", weight=2))
    assert judged(units=(1200, 800), costs=(5, 4), variants=weighted).winner == "canary"


def test_the_best_of_several_winners_is_named() -> None:
    variants = (Variant("control"), Variant("a"), Variant("b"))
    of = experiment(goal=CHEAP, variants=variants, guards=())
    seen = observed(of, {"control": 900, "a": 900, "b": 900}, cost_usd={"control": 5.0, "a": 4.5, "b": 4.0})
    assert assess(of, seen).winner == "b"


def test_all_tries_of_an_experiment_share_its_alpha() -> None:
    phases = tuple(Phase(START, {}) for _ in range(50))
    shares = [share_of_alpha(experiment(phases=phases[:count])) for count in range(1, 51)]
    assert shares[0] == 0.5
    assert sum(shares) <= 1.0
    assert (
        judged(costs=(5, 4.8)).goal["canary"].decision.p_value < judged(costs=(5, 4.8), phases=phases[:3]).goal["canary"].decision.p_value
    )


def test_more_variants_and_guards_ask_for_more_proof() -> None:
    one = judged(errors=(0.05, 0.09)).guards[0].p_value
    guards = (GuardMetric("error_rate"), GuardMetric("cost_usd"))
    assert judged(errors=(0.05, 0.09), guards=guards).guards[0].p_value == pytest.approx(2 * one)


def test_every_metric_has_its_interval_and_difference_and_only_the_goal_a_p_value() -> None:
    control, canary = shown(judged(costs=(5, 4.5)))["variants"]
    assert (control["units"], control["calls"], control["exposures"], control["weight"]) == (1000, 1000, 1000, 1)
    cost = canary["metrics"]["cost_usd"]
    assert cost["low"] < cost["mean"] < cost["high"]
    assert cost["difference"]["low"] < cost["difference"]["estimate"] < cost["difference"]["high"] < 0
    assert cost["difference"]["verdict"] == "better"
    assert "p_value" not in canary["metrics"]["error_rate"]["difference"]
    assert "difference" not in control["metrics"]["cost_usd"]
    assert canary["metrics"]["ttft_s"] == {"units": 0, "mean": None, "low": None, "high": None}


def test_an_experiment_that_ended_or_never_began_says_so() -> None:
    assert shown(judged(), state=ExperimentState.STOPPED)["next"].startswith("It has ended")
    results = Results(Observations(FakeTables(), FakeClock(START)))
    assert asyncio.run(results.of(experiment(started_at=None)))["next"].startswith("Start it")
