"""What is proved is acted on once, whoever looks; what fails is left to the next look."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from gateway.domain.experiments import Experiment, ExperimentState, Target
from gateway.errors import Conflict, StoreUnavailable
from gateway.experiments.observations import Observations
from gateway.experiments.results import Assessment, Results
from gateway.experiments.watch import Acts, Watch
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables
from tests.unit.experiments.ledger import START, experiment
from tests.unit.experiments.test_results import CHEAP, judged


class World:
    """Experiments that end once, by whoever is first."""

    def __init__(self, *serving: Experiment) -> None:
        self.serving = list(serving)
        self.done: list[tuple[str, str, str]] = []
        self.told: list[tuple[str, str, Mapping[str, Any]]] = []
        self.deaf = False

    async def list(self) -> tuple[Experiment, ...]:
        return tuple(self.serving)

    async def roll_back(self, of: Experiment, reason: str) -> bool:
        return self._end(of, "", reason)

    async def promote(self, of: Experiment, winner: str, reason: str) -> bool:
        return self._end(of, winner, reason)

    async def announce(self, kind: str, tenant: str, facts: Mapping[str, Any]) -> None:
        if self.deaf:
            raise StoreUnavailable("down")
        self.told.append((kind, tenant, facts))

    def _end(self, of: Experiment, winner: str, reason: str) -> bool:
        if any(name == of.id for name, *_ in self.done):
            raise Conflict("it has ended")
        self.done.append((of.id, winner, reason))
        return True

    @property
    def acts(self) -> Acts:
        return Acts(self.list, self.roll_back, self.promote, self.announce)


class Judged(Results):
    """Results that are known beforehand, by the experiment's id."""

    def __init__(self, **found: Assessment | Exception | None) -> None:
        super().__init__(Observations(FakeTables(), FakeClock(START)))
        self._found = found

    async def assess(self, experiment: Experiment) -> Assessment | None:
        found = self._found[experiment.id]
        if isinstance(found, Exception):
            raise found
        return found


BAD = judged(errors=(0.01, 0.3))
WON = judged(costs=(5, 4))
EVEN = judged()


async def test_a_violated_guard_is_rolled_back_and_told() -> None:
    world = World(experiment())
    assert await Watch(Judged(greeting=BAD), world.acts).look() == 1
    [(name, winner, reason)] = world.done
    assert (name, winner) == ("greeting", "")
    assert reason.startswith("guard error_rate: 'canary' differs from 'control' by +0.")
    [(kind, tenant, facts)] = world.told
    assert (kind, tenant, facts["experiment"], facts["variant"]) == ("rolled_back", "contoso", "greeting", "canary")


async def test_a_goal_that_is_won_is_promoted_only_where_it_may_be() -> None:
    world = World(experiment(goal=CHEAP))
    assert await Watch(Judged(greeting=WON), world.acts).look() == 0
    assert world.done == []
    world = World(experiment(goal=CHEAP, auto_promote=True))
    assert await Watch(Judged(greeting=WON), world.acts).look() == 1
    assert world.done[0][:2] == ("greeting", "canary")
    assert [kind for kind, *_ in world.told] == ["promoted"]


async def test_nothing_is_promoted_before_all_that_there_is_was_read() -> None:
    world = World(experiment(goal=CHEAP, auto_promote=True))
    partly = msgspec.structs.replace(WON, observed=msgspec.structs.replace(WON.observed, complete=False))
    assert await Watch(Judged(greeting=partly), world.acts).look() == 0


@pytest.mark.parametrize("found", [EVEN, None], ids=["even", "unknown"])
async def test_what_is_not_proved_goes_on(found: Assessment | None) -> None:
    world = World(experiment(auto_promote=True))
    assert await Watch(Judged(greeting=found), world.acts).look() == 0
    assert (world.done, world.told) == ([], [])


async def test_two_workers_that_look_at_once_act_and_tell_once() -> None:
    world = World(experiment())
    results = Judged(greeting=BAD)
    assert [await Watch(results, world.acts).look() for _ in range(2)] == [1, 0]
    assert (len(world.done), len(world.told)) == (1, 1)


async def test_one_experiment_that_fails_does_not_keep_the_others_from_a_look() -> None:
    world = World(experiment(id="first"), experiment(id="second"))
    assert await Watch(Judged(first=StoreUnavailable("down"), second=BAD), world.acts).look() == 1
    assert [name for name, *_ in world.done] == ["second"]


async def test_what_could_not_be_told_is_told_with_the_next_look() -> None:
    world = World(experiment())
    watch = Watch(Judged(greeting=BAD), world.acts)
    world.deaf = True
    assert await watch.look() == 1
    world.deaf, world.serving = False, []
    await watch.look()
    await watch.look()
    assert len(world.told) == 1


async def test_a_promotion_whose_label_has_not_moved_is_finished_without_telling_again() -> None:
    ended = {"state": ExperimentState.PROMOTED, "winner": "canary"}
    own = experiment(id="own", owner="contoso", **ended)
    moved = experiment(id="moved", owner="contoso", label_moved=True, **ended)
    shared = experiment(id="shared", owner="", **ended)
    model = experiment(id="model", on=Target(model="gpt-4o"), owner="contoso", **ended)
    back = experiment(id="back", state=ExperimentState.ROLLED_BACK)
    world = World(own, moved, shared, model, back)
    assert await Watch(Judged(), world.acts).look() == 0
    assert [name for name, *_ in world.done] == ["own"]
    assert world.told == []
