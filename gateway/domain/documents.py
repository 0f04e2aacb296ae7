"""An administrator's JSON document as a typed value. Whatever is wrong with it is said with the field's name, also in `param`."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.shapes import what_is_wrong
from gateway.errors import RequestError

MAX_SHOWN_CHARACTERS = 128
_ANY_KEY = "[...]"  # how msgspec names a mapping's key: all alike


def convert[T](document: Mapping[str, Any], shape: type[T]) -> T:
    """Return the document as `shape`.

    Raises:
        RequestError: It is not of this shape; `param` is the path of the field that is missing, unknown or of another type.
    """
    try:
        return msgspec.convert(document, shape)
    except msgspec.ValidationError as exc:
        wrong = what_is_wrong(exc, shape, document)
        place = wrong.path.removeprefix("$").removeprefix(".")
        if place.endswith(_ANY_KEY):
            place = _with_key(document, shape, place.removesuffix(_ANY_KEY))
        param = ".".join(part for part in (place, wrong.field) if part)
        message = f"'{param}' {wrong.said}" if param else f"the document {wrong.said}"
        raise RequestError(message, param=param or None, code="invalid_value") from exc


def _with_key(document: Mapping[str, Any], shape: type, name: str) -> str:
    """Add to a mapping's name the first key whose value does not fit."""
    mapping = document.get(name)
    for key, value in mapping.items() if isinstance(mapping, Mapping) else ():
        try:
            msgspec.convert({**document, name: {key: value}}, shape)
        except msgspec.ValidationError:
            return f"{name}.{key[:MAX_SHOWN_CHARACTERS]}"
    return name
