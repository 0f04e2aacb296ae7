"""Experiments changed in the store: for administrators, and for what watches experiments and ends them by itself.

Every change is conditional on what was read, and this worker's memory follows at once.

A winner takes three steps: the experiment is promoted, so that all calls get the winner; the label is put on the winner's version;
then the experiment asks for no version any more. Whatever fails in between, everybody gets the winner, and promoting it again
finishes. A label is moved only on the experiment's own tenant's prompt: a tenant's experiment on a shared prompt serves its winner
until it is stopped, and so does one on a model.
"""

import datetime
from collections.abc import Awaitable, Callable

import msgspec

from gateway.domain.experiments import Experiment, Variant
from gateway.domain.management import check_match
from gateway.domain.prompts import PromptVersion
from gateway.errors import Conflict, NotFound
from gateway.experiments.lifecycle import (
    DRAFT,
    RUNNING,
    Become,
    check_state,
    fault,
    promoted,
    rolled_back,
    started,
    stopped,
    winner_of,
)
from gateway.experiments.memory import ExperimentMemory
from gateway.experiments.store import ExperimentStore, Stored, serves
from gateway.ports import Clock


class Surroundings(msgspec.Struct, frozen=True):
    """What experiments ask of prompts, models and tenants.

    Attributes:
        version: (tenant, prompt, number or label) → the version that a call of the tenant would get, its own prompt before the shared
            one; NotFound (`prompt_not_found` where it is not for the version) where there is none.
        move_label: (tenant, prompt, label, version, who) puts a label of the tenant's own prompt on a version.
        model: The id behind a model's id or alias; None where no client could ask for it.
        has_tenant: Whether there is a tenant of an id.
    """

    version: Callable[[str, str, int | str], Awaitable[PromptVersion]]
    move_label: Callable[[str, str, str, int, str], Awaitable[object]]
    model: Callable[[str], str | None]
    has_tenant: Callable[[str], Awaitable[bool]]


class Changed(msgspec.Struct, frozen=True):
    """What a change found and left."""

    before: Experiment
    after: Stored

    @property
    def ended(self) -> bool:
        """Whether this very change ended a running experiment."""
        return self.before.state is RUNNING and self.after.experiment.state is not RUNNING


class Lifecycle:
    """Starts, changes and ends experiments.

    Args:
        store: Where they are.
        memory: What this worker remembers of them.
        surroundings: What they are about.
        clock: Tells the time.
    """

    def __init__(self, store: ExperimentStore, memory: ExperimentMemory, surroundings: Surroundings, clock: Clock) -> None:
        self._store = store
        self._memory = memory
        self._surroundings = surroundings
        self._clock = clock

    async def change(self, tenant: str, name: str, become: Become, if_match: str = "") -> Changed:
        """Change an experiment.

        Args:
            tenant: Whose; "" for a shared one.
            name: Its id.
            become: What it becomes.
            if_match: The version that it must have, as sent.

        Raises:
            NotFound: The tenant has no such experiment.
            PreconditionFailed: It is not the version that `if_match` names.
            Conflict: It cannot become that (`wrong_state`), another serves its target, or somebody else changed it in between.
        """
        before = await self._store.get(tenant, name)
        check_match(if_match, before.etag)
        return await self._replace(before, become(before.experiment))

    async def start(self, tenant: str, name: str, if_match: str = "") -> Changed:
        """Let a draft run, once all that it names is there."""
        before = await self._store.get(tenant, name)
        check_match(if_match, before.etag)
        check_state(before.experiment, "started", DRAFT)
        owner, variants = await self._settled(before.experiment)
        return await self._replace(before, started(before.experiment, self.now(), owner, variants))

    async def stop(self, tenant: str, name: str, reason: str = "", if_match: str = "") -> Changed:
        """Let calls get nothing from an experiment any more."""
        return await self.change(tenant, name, lambda now: stopped(now, self.now(), reason), if_match)

    async def roll_back(self, tenant: str, name: str, reason: str, if_match: str = "") -> Changed:
        """Give everybody the control."""
        return await self.change(tenant, name, lambda now: rolled_back(now, self.now(), reason), if_match)

    async def promote(self, tenant: str, name: str, winner: str, reason: str, who: str, if_match: str = "") -> Changed:
        """Give everybody the winner, and put the label on its version.

        Args:
            tenant: Whose experiment; "" for a shared one.
            name: Its id.
            winner: A variant's id; empty for the only one that is not the control.
            reason: Why.
            who: Promotes it; the label's history names them.
            if_match: The version that it must have, as sent.
        """
        changed = await self.change(tenant, name, lambda now: promoted(now, winner, self.now(), reason), if_match)
        done = changed.after.experiment
        version = winner_of(done).version
        if not done.on.prompt or done.owner != done.tenant or done.label_moved or not isinstance(version, int):
            return changed
        await self._surroundings.move_label(done.tenant, done.on.prompt, done.on.label, version, who)
        settled = await self._replace(changed.after, msgspec.structs.replace(done, label_moved=True))
        return msgspec.structs.replace(settled, before=changed.before)

    async def delete(self, tenant: str, name: str, if_match: str = "") -> Experiment:
        """Delete an experiment that serves no calls, and return what it was."""
        before = await self._store.get(tenant, name)
        check_match(if_match, before.etag)
        if serves(before.experiment):
            raise Conflict(f"the experiment {name!r} is {before.experiment.state.value} and serves calls; stop it first", code="in_use")
        await self._store.delete(before)
        return before.experiment

    def now(self) -> datetime.datetime:
        """Return the time, UTC."""
        return self._clock.utc()

    async def _replace(self, before: Stored, after: Experiment) -> Changed:
        if after == before.experiment:
            return Changed(before.experiment, before)
        try:
            return Changed(before.experiment, await self._store.replace(before, after))
        finally:
            self._memory.forget(after.tenant)  # after a failure too: nobody knows what was written

    async def _settled(self, experiment: Experiment) -> tuple[str, tuple[Variant, ...]]:
        """Return whose prompt the experiment is on, and its variants with numbers in the place of labels."""
        on = experiment.on
        if on.model and self._surroundings.model(on.model) is None:
            raise fault("on.model", "is no model of the catalogue any more")
        owner = (await self._version(experiment, on.label, "on.label")).tenant if on.prompt else ""
        settled = []
        for index, variant in enumerate(experiment.variants):
            if variant.model and self._surroundings.model(variant.model) is None:
                raise fault(f"variants[{index}].model", "is no model of the catalogue")
            if variant.version is None:
                settled.append(variant)
                continue
            found = await self._version(experiment, variant.version, f"variants[{index}].version")
            settled.append(msgspec.structs.replace(variant, version=found.version))
        return owner, tuple(settled)

    async def _version(self, experiment: Experiment, wanted: int | str, param: str) -> PromptVersion:
        try:
            return await self._surroundings.version(experiment.tenant, experiment.on.prompt, wanted)
        except NotFound as exc:
            place = "on.prompt" if exc.code == "prompt_not_found" else param
            raise fault(place, f"cannot be found: {exc.message}") from exc
