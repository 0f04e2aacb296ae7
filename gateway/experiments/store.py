"""Experiments in the Tables port: read, made, changed and deleted under ETags.

| table | partition | row | holds |
| --- | --- | --- | --- |
| `experiments` | tenant id, `~` for shared ones | `experiment|<id>` | an `Experiment` |
| the same | the same | `target|prompt|<name>|<label>`, `target|model|<id>` | the same, while it serves |

Both rows are written in one transaction. So of a tenant's experiments one at most serves a target, whoever starts another at the
same time; and what serves is read without what is a draft or was stopped. A slash in a model's id stands as `|`. A value is JSON
in the property `json`, which takes 64 KB.

Source: learn.microsoft.com "Performing entity group transactions" (read 2026-11-22).
"""

import re
from collections.abc import Sequence

import msgspec

from gateway.domain.experiments import Experiment, ExperimentState, Target
from gateway.domain.management import etag_of
from gateway.domain.prompts import NAME_PATTERN, SHARED
from gateway.domain.tables import MAX_PAGE, Action, Entity, EntityChanged, EntityExists, Value, Write
from gateway.errors import Conflict, NotFound, RequestError
from gateway.experiments.assign import everybodys
from gateway.ports import Tables

EXPERIMENTS = "experiments"
SHARED_PARTITION = "~"  # no tenant's id begins with it
MAX_CHARACTERS = 30_000  # of an experiment as JSON: UTF-16 in 64 KB, and a little left
_ROWS, _TARGETS = ("experiment|", "experiment}"), ("target|", "target}")  # `}` follows `|`
_ID = re.compile(NAME_PATTERN)
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


class Stored(msgspec.Struct, frozen=True):
    """An experiment as it was read or written; `etag` stands for its version in headers."""

    experiment: Experiment
    version: str

    @property
    def etag(self) -> str:
        """The ETag that clients see."""
        return etag_of(self.version)


class ExperimentStore:
    """Experiments, by tenant and id."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, tenant: str, name: str) -> Stored:
        """Return an experiment; NotFound where the tenant has none of the id."""
        found = await self._tables.get(EXPERIMENTS, _partition(tenant), _row(name)) if is_id(name) and is_tenant(tenant) else None
        if found is None:
            raise experiment_not_found(name)
        return Stored(_experiment(found), found.etag)

    async def list(self, tenant: str, limit: int = MAX_PAGE, after: str | None = None) -> tuple[Sequence[Experiment], str | None]:
        """Return a page of a tenant's experiments by id, and what continues it."""
        first, below = _ROWS
        page = await self._tables.query(
            EXPERIMENTS, partition=_partition(tenant), row_from=first, row_below=below, limit=limit, continuation=after
        )
        return [_experiment(entity) for entity in page.entities], page.continuation

    async def serving(self, tenant: str) -> tuple[Experiment, ...]:
        """Return what serves a tenant's calls, of its own; the shared ones for the tenant ""."""
        return await self._serving(_partition(tenant))

    async def all_serving(self) -> tuple[Experiment, ...]:
        """Return what serves anybody's calls: for who watches experiments."""
        return await self._serving(None)

    async def create(self, experiment: Experiment) -> Stored:
        """Store a draft; Conflict where its id is taken."""
        try:
            etag = await self._tables.insert(EXPERIMENTS, _partition(experiment.tenant), _row(experiment.id), _values(experiment))
        except EntityExists as exc:
            raise Conflict(f"there is an experiment {experiment.id!r} already; choose another id", param="id") from exc
        return Stored(experiment, etag)

    async def replace(self, before: Stored, after: Experiment) -> Stored:
        """Put an experiment in the place of what was read.

        Raises:
            Conflict: Somebody else changed it in between, or another experiment serves its target (`target_in_use`).
        """
        writes = [Write(Action.REPLACE, _row(after.id), _values(after), before.version)]
        writes += _target_writes(before.experiment, after)
        etags = await self._transact(before.experiment, writes)
        return Stored(after, etags[0] or "")

    async def delete(self, before: Stored) -> None:
        """Delete what was read, which must not serve; Conflict where somebody else changed it in between."""
        await self._transact(before.experiment, [Write(Action.DELETE, _row(before.experiment.id), etag=before.version)])

    async def _transact(self, experiment: Experiment, writes: Sequence[Write]) -> Sequence[str | None]:
        partition = _partition(experiment.tenant)
        try:
            return await self._tables.transact(EXPERIMENTS, partition, writes)
        except EntityChanged as exc:
            raise Conflict(f"the experiment {experiment.id!r} is being changed by somebody else; look at it, and send it again") from exc
        except EntityExists as exc:
            other = await self._tables.get(EXPERIMENTS, partition, target_row(experiment.on))
            name = _experiment(other).id if other is not None else "another"
            said = f"the experiment {name!r} serves {_said(experiment.on)} already; stop it before you start {experiment.id!r}"
            raise Conflict(said, param="on", code="target_in_use", details={"experiment": name}) from exc

    async def _serving(self, partition: str | None) -> tuple[Experiment, ...]:
        found: list[Experiment] = []
        after = None
        first, below = _TARGETS
        while True:
            page = await self._tables.query(EXPERIMENTS, partition=partition, row_from=first, row_below=below, continuation=after)
            found += [_experiment(entity) for entity in page.entities]
            after = page.continuation
            if after is None:
                return tuple(found)


def serves(experiment: Experiment) -> bool:
    """Tell whether calls get anything from it: it runs, or what everybody gets of it says something."""
    everybody = everybodys(experiment)
    if everybody is not None:
        return bool(everybody.model or everybody.parameters) or everybody.version is not None
    return experiment.state is ExperimentState.RUNNING


def is_id(name: str) -> bool:
    """Tell whether an experiment or a variant could be called so."""
    return _ID.fullmatch(name) is not None


def is_tenant(tenant: str) -> bool:
    """Tell whether it is a tenant's id or the mark of shared experiments."""
    return tenant == SHARED or _TENANT.fullmatch(tenant) is not None


def experiment_not_found(name: str) -> NotFound:
    """Return what to tell who asks for an experiment that is not there, or is not theirs."""
    return NotFound(f"there is no experiment {name[:64]!r}; GET /manage/experiments lists them", code="experiment_not_found")


def target_row(on: Target) -> str:
    """Return the row that who serves a target has."""
    return f"target|model|{on.model.replace('/', '|')}" if on.model else f"target|prompt|{on.prompt}|{on.label}"


def _target_writes(before: Experiment, after: Experiment) -> list[Write]:
    row = target_row(after.on)
    if serves(after):
        return [Write(Action.UPSERT if serves(before) else Action.INSERT, row, _values(after))]
    return [Write(Action.DELETE, row, etag="*")] if serves(before) else []


def _said(on: Target) -> str:
    return f"the model {on.model!r}" if on.model else f"the label {on.label!r} of the prompt {on.prompt!r}"


def _partition(tenant: str) -> str:
    return tenant or SHARED_PARTITION


def _row(name: str) -> str:
    return f"experiment|{name}"


def _values(experiment: Experiment) -> dict[str, Value]:
    text = msgspec.json.encode(experiment).decode()
    size = len(text.encode("utf-16-le")) // 2
    if size > MAX_CHARACTERS:
        raise RequestError(f"the experiment is {size} characters as JSON, and {MAX_CHARACTERS} is the most; make its parameters shorter")
    return {"json": text}


def _experiment(entity: Entity) -> Experiment:
    return msgspec.json.decode(str(entity.values["json"]), type=Experiment)
