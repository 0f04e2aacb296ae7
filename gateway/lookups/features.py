"""Feast's feature server over HTTP: the request for one entity's features, and its answer as typed values. Pure.

    POST /get-online-features {"features": ["view:name", …], "entities": {"<join key>": [<key>]}, "full_feature_names": false}
    {"metadata": {"feature_names": [<join key>, …]}, "results": [{"values": [<value>], "statuses": ["PRESENT"]}, …]}

`results` has one item for each feature, with a value for each entity; older servers have one item for each entity, with a value
for each feature. For one entity both are read. Names come without their view.

Source: docs.feast.dev, "Python feature server", and `GetOnlineFeaturesResponse` of Feast's protocol (read 2026-11-22).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.catalog_lookups import short_name
from gateway.domain.lookups import FeatureLookup

PATH = "/get-online-features"
PRESENT = "PRESENT"
_TYPES: Mapping[str, tuple[type, ...]] = {"string": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,)}


class FeatureFault(ValueError):
    """The answer is not what was asked for; the message names the feature, and no value."""


class _Metadata(msgspec.Struct, frozen=True):
    feature_names: tuple[str, ...]


class _Vector(msgspec.Struct, frozen=True):
    values: tuple[Any, ...]
    statuses: tuple[str, ...]


class _Answer(msgspec.Struct, frozen=True):
    metadata: _Metadata
    results: tuple[_Vector, ...]


def request_body(lookup: FeatureLookup, key: str | int) -> bytes:
    """Return the request for one entity."""
    document = {"features": list(lookup.features), "entities": {lookup.entity: [key]}, "full_feature_names": False}
    return msgspec.json.encode(document)


def read_features(lookup: FeatureLookup, body: bytes) -> dict[str, Any]:
    """Return name → value, in the lookup's order.

    Raises:
        FeatureFault: A feature is not there, or of another type than the catalogue says.
        msgspec.MsgspecError: The body is no such answer.
    """
    answer = msgspec.json.decode(body, type=_Answer)
    cells = _cells(answer)
    found: dict[str, Any] = {}
    for feature, kind in lookup.features.items():
        name = short_name(feature)
        value, status = cells.get(name, (None, "NOT_FOUND"))
        if status.upper() != PRESENT:
            value = None
        if kind != "any" and type(value) not in _TYPES[kind]:
            wrong = f"is {status.upper()[:32]}" if value is None else f"is no {kind}"
            raise FeatureFault(f"the feature {feature!r} {wrong}")
        found[name] = value
    return found


def _cells(answer: _Answer) -> dict[str, tuple[Any, str]]:
    names, vectors = answer.metadata.feature_names, answer.results
    if len(vectors) == len(names):
        columns = [(vector.values, vector.statuses) for vector in vectors]
        if all(len(values) == len(statuses) == 1 for values, statuses in columns):
            return {name: (values[0], statuses[0]) for name, (values, statuses) in zip(names, columns, strict=True)}
    if len(vectors) == 1 and len(vectors[0].values) == len(vectors[0].statuses) == len(names):
        return dict(zip(names, zip(vectors[0].values, vectors[0].statuses, strict=True), strict=True))
    raise FeatureFault("its answer is not about one entity")
