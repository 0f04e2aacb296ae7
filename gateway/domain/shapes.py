"""What a typed document may hold, in words: for whoever sent, or wrote, one that does not fit.

msgspec says what is wrong; here it is said what would be right: the names that are known, the values that are taken, the kind of
value that is wanted. Pure, and only ever run for a document that is refused.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect

_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.+)`")
_MISSING = re.compile(r"Object missing required field `(.+)`")
_TYPE = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_ENUM = re.compile(r"Invalid (?:enum )?value (.+)", re.DOTALL)  # without "enum": of what tells the types of a union apart
_KINDS = {
    "array": "a list",
    "bool": "true or false",
    "date": "a date",
    "datetime": "a time",
    "float": "a number",
    "int": "a whole number",
    "null": "null",
    "object": "an object",
    "str": "a text",
}
MAX_SHOWN = 40


class Wrong(msgspec.Struct, frozen=True):
    """Where a document does not fit, and what would.

    Attributes:
        path: From `$`, of what does not fit, or of the object that does not.
        field: The name of that object that is missing or not known; empty where the path says it all.
        said: The rest of a sentence about it: `must be a list, not a text`.
    """

    path: str
    field: str
    said: str


def what_is_wrong(fault: msgspec.ValidationError, shape: Any, document: Any = None) -> Wrong:
    """Return what msgspec says of a document, and what would fit.

    Args:
        fault: What it says.
        shape: What the document should have been.
        document: Where one says its own type, that type alone is told of.
    """
    message, _, path = str(fault).partition(" - at `")
    path = path.rstrip("`") or "$"
    if unknown := _UNKNOWN.fullmatch(message):
        return Wrong(path, unknown[1], f"is not known here{_known(_at(shape, path, document))}")
    if missing := _MISSING.fullmatch(message):
        return Wrong(path, missing[1], "is missing")
    if kinds := _TYPE.fullmatch(message):
        return Wrong(path, "", f"must be {_kinds(kinds[1])}{_items(_at(shape, path, document))}, not {_kinds(kinds[2])}")
    if (value := _ENUM.fullmatch(message)) and (values := _values(_at(shape, path, document))):
        return Wrong(path, "", f"must be {values}, not {value[1]}")
    return Wrong(path, "", f"is not accepted: {message}")


def _kinds(names: str) -> str:
    return " or ".join(_KINDS.get(name, name) for name in names.split(" | "))


def _at(shape: Any, path: str, document: Any) -> list[inspect.Type]:
    """Return the types that may stand at a path."""
    types = _alternatives(inspect.type_info(shape))
    for name, place in _STEP.findall(path):
        types = [inner for each in types for inner in _inner(each, name, place)]
        document = _member(document, name, place)
        types = _of_its_tag(types, document)
    return types


def _member(document: Any, name: str, place: str) -> Any:
    if name:
        return document.get(name) if isinstance(document, Mapping) else None
    return document[int(place)] if isinstance(document, list | tuple) and place.isdigit() and int(place) < len(document) else None


def _of_its_tag(types: list[inspect.Type], document: Any) -> list[inspect.Type]:
    """Return the one type that a document says it is; all where it says none of them."""
    if not isinstance(document, Mapping):
        return types
    found: list[inspect.Type] = [
        each for each in types if isinstance(each, inspect.StructType) and each.tag_field and document.get(each.tag_field) == each.tag
    ]
    return found or types


def _inner(outer: inspect.Type, name: str, place: str) -> list[inspect.Type]:
    if name and isinstance(outer, inspect.StructType):
        if name == outer.tag_field:
            return [inspect.LiteralType((outer.tag,))]
        return [inner for field in outer.fields if field.encode_name == name for inner in _alternatives(field.type)]
    if place.isdigit() and isinstance(outer, inspect.CollectionType):
        return _alternatives(outer.item_type)
    if place == "..." and isinstance(outer, inspect.DictType):
        return _alternatives(outer.value_type)
    return []


def _alternatives(one: inspect.Type) -> list[inspect.Type]:
    if isinstance(one, inspect.UnionType):
        return [inner for each in one.types for inner in _alternatives(each)]
    return _alternatives(one.type) if isinstance(one, inspect.Metadata) else [one]


def _names(types: list[inspect.Type]) -> str:
    names = sorted({field.encode_name for each in types if isinstance(each, inspect.StructType) for field in each.fields})
    return ", ".join(names) if len(names) <= MAX_SHOWN else ""


def _known(types: list[inspect.Type]) -> str:
    names = _names(types)
    return f"; known are {names}" if names else ""


def _items(types: list[inspect.Type]) -> str:
    names = _names([inner for each in types if isinstance(each, inspect.CollectionType) for inner in _alternatives(each.item_type)])
    return f" of objects with {names}" if names else ""


def _values(types: list[inspect.Type]) -> str:
    values = [value for each in types if isinstance(each, inspect.LiteralType) for value in each.values]
    values += [member.value for each in types if isinstance(each, inspect.EnumType) for member in each.cls]
    *others, last = dict.fromkeys(repr(value) for value in values) or [""]
    return f"{', '.join(others)} or {last}" if others else last
