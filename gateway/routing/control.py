"""What administrators see and change of models and deployments while the gateway runs: the overrides in the Tables port.

| table | partition | row | holds |
| --- | --- | --- | --- |
| `overrides` | `models` | model id | `weights` and `lifecycle`, as JSON |
| `overrides` | `deployments` | deployment id | `draining` and `price`, as JSON |

A slash in an id stands as `|` in a row's key. Every worker reads the table within seconds (`cached.py`), so a change
needs no restart. A change names members: one that is not there stays as it is, null takes the override away, so that the
file's word counts again. `weights` are changed one by one, `lifecycle` and `price` as a whole.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.domain.catalog import Catalog, Model
from gateway.domain.catalog_models import MAX_WEIGHT, build_lifecycle
from gateway.domain.catalog_price_schema import PriceEntry
from gateway.domain.catalog_prices import build_price
from gateway.domain.catalog_schema import CatalogError, LifecycleEntry
from gateway.domain.deployment import Deployment
from gateway.domain.documents import convert
from gateway.domain.management import Told, check_match, etag_of, page_of, read_limit
from gateway.domain.tables import EntityChanged, EntityExists
from gateway.errors import Conflict, ModelNotFound, NotFound, RequestError
from gateway.ports import Tables
from gateway.routing.inventory import deployment_shape, model_shape
from gateway.routing.overrides import DeploymentOverride, ModelOverride, Overrides, apply

OVERRIDES, MODELS, DEPLOYMENTS = "overrides", "models", "deployments"

type States = Callable[[], Mapping[str, Any]]


def no_states() -> Mapping[str, Any]:
    """Know nothing of any deployment's health."""
    return {}


class _ModelChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    weights: dict[str, int | None] | msgspec.UnsetType | None = msgspec.UNSET
    lifecycle: LifecycleEntry | msgspec.UnsetType | None = msgspec.UNSET


class _DeploymentChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    draining: bool | msgspec.UnsetType | None = msgspec.UNSET
    price: PriceEntry | msgspec.UnsetType | None = msgspec.UNSET


class Control:
    """Reads and writes the overrides.

    Args:
        tables: Where they are.
        catalog: The file's: what can be overridden.
        states: How deployments do in this worker, by id; JSON-ready values.
        changed: Told after each write, so that this worker follows at once.
    """

    def __init__(self, tables: Tables, catalog: Catalog, states: States = no_states, changed: Callable[[], None] = lambda: None) -> None:
        self._tables = tables
        self._catalog = catalog
        self._names = {name: model.id for model in catalog.models for name in (model.id, *model.aliases) if not model.hidden}
        self._states = states
        self._changed = changed

    async def read(self, _name: str = OVERRIDES) -> Overrides:
        """Read all overrides: one scan of a small table. Takes a name, as what `Cached` loads by does."""
        found = Overrides({}, {})
        models, deployments = dict(found.models), dict(found.deployments)
        page = await self._tables.query(OVERRIDES)
        while True:
            for entity in page.entities:
                text, name = str(entity.values["value"]), entity.row.replace("|", "/")
                if entity.partition == MODELS:
                    models[name] = msgspec.json.decode(text, type=ModelOverride)
                elif entity.partition == DEPLOYMENTS:
                    deployments[name] = msgspec.json.decode(text, type=DeploymentOverride)
            if page.continuation is None:
                return Overrides(models, deployments)
            page = await self._tables.query(OVERRIDES, continuation=page.continuation)

    async def list_models(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of the models, as they stand."""
        overrides = await self.read()
        models = {model.id: model for model in apply(self._catalog, overrides).models}
        return _page(models, query, lambda model: model_shape(model, overrides, self._states()))

    async def list_deployments(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of the deployments, as they stand."""
        overrides = await self.read()
        catalog, states = apply(self._catalog, overrides), self._states()
        return _page(catalog.deployments, query, lambda deployment: deployment_shape(deployment, catalog, overrides, states))

    async def model(self, name: str) -> Told:
        """Return a model by id or alias, as it stands. Its ETag stands for what can be changed, not for its health."""
        found = self._model(name)
        _, etag = await self._stored(MODELS, found.id, ModelOverride)  # first: an ETag that is too old only asks for another look
        overrides = await self.read()
        return Told(model_shape(apply(self._catalog, overrides).find(found.id) or found, overrides, self._states()), etag_of(etag))

    async def deployment(self, name: str) -> Told:
        """Return a deployment, as it stands."""
        self._deployment(name)
        _, etag = await self._stored(DEPLOYMENTS, name, DeploymentOverride)
        overrides = await self.read()
        catalog = apply(self._catalog, overrides)
        return Told(deployment_shape(catalog.deployments[name], catalog, overrides, self._states()), etag_of(etag))

    async def change_model(self, name: str, document: Mapping[str, Any], if_match: str = "") -> Told:
        """Change a model by `{"weights"?: {deployment: weight or null} or null, "lifecycle"?: {…} or null}`.

        Raises:
            PreconditionFailed: It is not the version that `if_match` names.
            Conflict: Somebody else changed it in between.
        """
        model, change = self._model(name), convert(document, _ModelChange)
        before, etag = await self._stored(MODELS, model.id, ModelOverride)
        check_match(if_match, etag_of(etag))
        weights = dict(before.weights)
        if change.weights is None:
            weights = {}
        elif not isinstance(change.weights, msgspec.UnsetType):
            _merge_weights(weights, change.weights, model)
        lifecycle = before.lifecycle if isinstance(change.lifecycle, msgspec.UnsetType) else None
        if isinstance(change.lifecycle, LifecycleEntry):
            entry = change.lifecycle
            lifecycle = _checked(lambda: build_lifecycle(entry, "lifecycle", model.id, self._names))
        await self._store(MODELS, model.id, ModelOverride(weights, lifecycle), etag)
        return msgspec.structs.replace(await self.model(model.id), before=before)

    async def change_deployment(self, name: str, document: Mapping[str, Any], if_match: str = "") -> Told:
        """Change a deployment by `{"draining"?: bool or null, "price"?: {…} or null}`; raises as `change_model`."""
        deployment = self._deployment(name)
        change = convert(document, _DeploymentChange)
        before, etag = await self._stored(DEPLOYMENTS, name, DeploymentOverride)
        check_match(if_match, etag_of(etag))
        draining = before.draining if isinstance(change.draining, msgspec.UnsetType) else change.draining
        price = before.price if isinstance(change.price, msgspec.UnsetType) else None
        if isinstance(change.price, PriceEntry):
            entry = change.price
            price = _checked(lambda: build_price(entry, "price", deployment.capacity))
        await self._store(DEPLOYMENTS, name, DeploymentOverride(draining, price), etag)
        return msgspec.structs.replace(await self.deployment(name), before=before)

    def _model(self, name: str) -> Model:
        model = self._catalog.find(name)
        if model is None:
            raise ModelNotFound(f"there is no model {name[:128]!r} in the catalogue")
        return model

    def _deployment(self, name: str) -> Deployment:
        deployment = self._catalog.deployments.get(name)
        if deployment is None:
            raise NotFound(f"there is no deployment {name[:128]!r} in any pool of the catalogue", code="deployment_not_found")
        return deployment

    async def _stored[T](self, partition: str, name: str, kind: type[T]) -> tuple[T, str]:
        entity = await self._tables.get(OVERRIDES, partition, name.replace("/", "|"))
        if entity is None:
            return kind(), ""
        return msgspec.json.decode(str(entity.values["value"]), type=kind), entity.etag

    async def _store(self, partition: str, name: str, override: ModelOverride | DeploymentOverride, etag: str) -> None:
        row, values = name.replace("/", "|"), {"value": msgspec.json.encode(override).decode()}
        try:
            if etag:
                await self._tables.replace(OVERRIDES, partition, row, values, etag)
            else:
                await self._tables.insert(OVERRIDES, partition, row, values)
        except (EntityExists, EntityChanged) as exc:
            raise Conflict(f"{name!r} was changed by somebody else in between; look at it, and send the change again") from exc
        finally:
            self._changed()


def _merge_weights(weights: dict[str, int], change: Mapping[str, int | None], model: Model) -> None:
    own = {member.deployment.id: member.weight for member in model.pool}
    for name, weight in change.items():
        param = f"weights.{name[:128]}"
        if name not in own:
            raise RequestError(f"the pool of {model.id!r} has no deployment {name[:128]!r}", param=param, code="invalid_value")
        if weight is None:
            weights.pop(name, None)
        elif 0 <= weight <= MAX_WEIGHT:
            weights[name] = weight
        else:
            raise RequestError(f"a weight must be from 0 (no calls) to {MAX_WEIGHT}", param=param, code="invalid_value")
    if not any((own | weights).values()):
        raise RequestError(f"one deployment of {model.id!r} at least needs a weight that is not 0", param="weights", code="invalid_value")


def _checked[T](build: Callable[[], T]) -> T:
    try:
        return build()
    except CatalogError as exc:
        raise RequestError(f"'{exc.path}' {exc.message}", param=exc.path, code="invalid_value") from exc


def _page[T](found: Mapping[str, T], query: Mapping[str, str], shape: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
    limit, after, names = read_limit(query), query.get("after") or None, list(found)
    if after is not None and after not in found:
        raise RequestError("'after' must be what the page before returned", param="after", code="invalid_value")
    begin = 0 if after is None else names.index(after) + 1
    shown = names[begin : begin + limit]
    more = begin + len(shown) < len(names)
    return page_of([shape(found[name]) for name in shown], shown[-1] if more else None)
