"""JSON Schema in the words of OpenAPI 3.0.3: never stricter than it was, and what could not be said is listed.

| JSON Schema | becomes |
| --- | --- |
| `type` of several | `nullable` for null, `anyOf` for the rest |
| `const`; `true`, `false` | `enum` of one; `{}`, `{"not": {}}` |
| `exclusiveMinimum: 5` | `minimum: 5, exclusiveMinimum: true` |
| `$ref` into the schema | a component; where it leads back to itself, anything: API Management imports no recursion |
| `patternProperties`, `if`, `prefixItems` … | nothing: looser, and so `not` around them goes too, and `oneOf` of them becomes `anyOf` |

Source: OpenAPI 3.0.3, "Schema Object"; JSON Schema 2020-12; Microsoft Learn, "API import restrictions" of Azure API Management
(read 2026-11-22).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

_AS_IT_IS = ("title", "description", "format", "pattern", "uniqueItems", "multipleOf", "default", "deprecated")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_LOST = frozenset({"patternProperties", "propertyNames", "contains", "minContains", "maxContains", "dependentRequired", "dependentSchemas"})
_LOST |= {"dependencies", "if", "prefixItems", "unevaluatedItems", "unevaluatedProperties", "additionalItems", "extends"}
_LOST |= {"$dynamicRef", "$recursiveRef"}
_OLD = re.compile(r"draft-0[3-7]/")  # there a reference hides what stands beside it
_NULL = {"type": "string", "nullable": True, "enum": [None]}  # 3.0.3 has no type for it
_MAX_NAME = 48
MAX_DEPTH = 200  # of schemas inside each other, through references too


class Converter:
    """Turns one schema into a 3.0.3 one.

    Args:
        schema: What `domain/json_schema.py` accepts.
        prefix: Of the components' names.

    Attributes:
        components: What references led to, by name.
        loosened: Where something could not be said, and what: `#/properties/a: if`.
    """

    def __init__(self, schema: Any, prefix: str) -> None:
        self.components: dict[str, Any] = {}
        self.loosened: list[str] = []
        self._depth = 0
        self._schema = schema
        self._prefix = prefix
        self._names: dict[str, str] = {}  # by reference
        self._exact: dict[str, bool] = {}  # of components that are done
        self._old = isinstance(schema, Mapping) and bool(_OLD.search(str(schema.get("$schema", ""))))
        bases = ("$id", "id") if self._old else ("$id",)  # from where references below it start; a property of that name is no text
        self._based = any(isinstance(each.get(name), str) for each in _below(schema) for name in bases)

    def converted(self) -> dict[str, Any]:
        """Return the schema itself; call it once."""
        return self._convert(self._schema, "#")[0]

    def _convert(self, schema: Any, at: str) -> tuple[dict[str, Any], bool]:
        """Return a schema, and whether it says the same as it did."""
        if self._depth == MAX_DEPTH:
            self._lose(at, "all of it: so deep it cannot be said")
            return {}, False
        self._depth += 1
        try:
            return self._said(schema, at)
        finally:
            self._depth -= 1

    def _said(self, schema: Any, at: str) -> tuple[dict[str, Any], bool]:
        if not isinstance(schema, Mapping):
            return ({"not": {}} if schema is False else {}), True
        if "$ref" in schema:
            found, exact = self._reference(schema["$ref"], at)
            beside = {key: value for key, value in schema.items() if key not in {"$ref", "$defs", "definitions", "$schema", "$id"}}
            if self._old or not beside:
                return found, exact
            own, own_exact = self._convert(beside, at)
            return {"allOf": [found, own]}, exact and own_exact
        made: dict[str, Any] = {key: schema[key] for key in _AS_IT_IS if key in schema}
        made |= {key: int(schema[key]) for key in _COUNTS if key in schema}
        if not (schema.get("readOnly") and schema.get("writeOnly")):
            made |= {key: schema[key] for key in ("readOnly", "writeOnly") if key in schema}
        if schema.get("required") and isinstance(schema["required"], Sequence):
            made["required"] = list(schema["required"])
        _limits(schema, made)
        lost = [key for key in schema if key in _LOST or (key == "items" and isinstance(schema["items"], list))]
        exact = not lost
        for key in lost:
            self._lose(at, key)
        exact &= self._members(schema, made, at)
        exact &= self._choices(schema, made, at)
        _values(schema, made)
        _types(schema, made)
        return made, exact

    def _lose(self, at: str, what: str) -> None:
        self.loosened.append(f"{at}: {what}")

    def _members(self, schema: Mapping[str, Any], made: dict[str, Any], at: str) -> bool:
        exact = True
        if isinstance(properties := schema.get("properties"), Mapping):
            made["properties"] = {}
            for name, each in properties.items():
                made["properties"][name], same = self._convert(each, f"{at}/properties/{_escaped(name)}")
                exact &= same
        for key, unless in (("additionalProperties", "patternProperties"), ("items", "prefixItems")):
            if key not in schema or isinstance(schema[key], list):
                continue
            if unless in schema:
                self._lose(at, key)
                exact = False
            elif key == "additionalProperties" and isinstance(schema[key], bool):
                made[key] = schema[key]
            else:
                made[key], same = self._convert(schema[key], f"{at}/{key}")
                exact &= same
        return exact

    def _choices(self, schema: Mapping[str, Any], made: dict[str, Any], at: str) -> bool:
        all_exact = True
        for key in ("allOf", "anyOf", "oneOf"):
            if not isinstance(arms := schema.get(key), list):
                continue
            done = [self._convert(arm, f"{at}/{key}/{index}") for index, arm in enumerate(arms)]
            exact = all(same for _, same in done)
            all_exact &= exact
            if key == "oneOf" and not exact:
                self._lose(at, key)
                _and(made, {"anyOf": [arm for arm, _ in done]})
            else:
                _and(made, {key: [arm for arm, _ in done]})
        if "not" in schema:
            refused, exact = self._convert(schema["not"], f"{at}/not")
            if exact:
                made["not"] = refused
            else:
                self._lose(at, "not")
            all_exact &= exact
        return all_exact

    def _reference(self, target: Any, at: str) -> tuple[dict[str, Any], bool]:
        """Return what refers to a component, made where it is not there yet."""
        name = self._names.get(target)
        if name is None:
            found, known = self._find(target)
            if not known:
                self._lose(at, "$ref")
                return {}, False
            name = self._names[target] = self._name(target)
            self.components[name], self._exact[name] = self._convert(found, target)
        if name not in self._exact:
            self._lose(at, "$ref, which leads back to itself")
            return {}, False
        return {"$ref": f"#/components/schemas/{name}"}, self._exact[name]

    def _find(self, target: Any) -> tuple[Any, bool]:
        """Return what a reference leads to, and whether it leads anywhere."""
        if self._based or not isinstance(target, str) or not target.startswith("#"):
            return None, False
        place = unquote(target[1:])
        if place and not place.startswith("/"):
            anchored = [
                each for each in (self._schema, *_below(self._schema)) if isinstance(each, Mapping) and each.get("$anchor") == place
            ]
            return (anchored[0], True) if len(anchored) == 1 else (None, False)
        found = self._schema
        for step in place.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isascii() and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            else:
                return None, False
        return found, isinstance(found, Mapping | bool)

    def _name(self, target: str) -> str:
        last = re.sub(r"[^A-Za-z0-9_-]+", "-", target.rpartition("/")[2].lstrip("#"))[:_MAX_NAME].strip("-")
        return f"{self._prefix}.{len(self._names) + 1}.{last or 'root'}"


def _limits(schema: Mapping[str, Any], made: dict[str, Any]) -> None:
    """Say numbers' limits with booleans for those that are not allowed themselves."""
    for side, tighter in (("Minimum", max), ("Maximum", min)):
        own, other = side.lower(), schema.get(f"exclusive{side}")
        limit = schema.get(own)
        if other is True or other is False or other is None:
            made |= {key: schema[key] for key in (own, f"exclusive{side}") if key in schema and limit is not None}
        elif limit is None or tighter(limit, other) == other:
            made |= {own: other, f"exclusive{side}": True}
        else:
            made[own] = limit


def _values(schema: Mapping[str, Any], made: dict[str, Any]) -> None:
    if "enum" in schema:
        _and(made, {"enum": list(schema["enum"])} if schema["enum"] else {"not": {}})
    if "const" in schema:
        _and(made, {"enum": [schema["const"]]})


def _types(schema: Mapping[str, Any], made: dict[str, Any]) -> None:
    """Say which types there may be: 3.0.3 knows one at a time, and null beside it."""
    given = schema.get("type")
    types = [given] if isinstance(given, str) else list(given) if isinstance(given, Sequence) else []
    others = [each for each in types if each != "null"]
    if types and not others:
        _and(made, dict(_NULL)) if "enum" in made else made.update(_NULL)
    elif len(others) == 1:
        made |= {"type": others[0]} | ({"nullable": True} if "null" in types else {})
    elif others:
        arms = [{"type": each} | ({"items": {}} if each == "array" else {}) for each in others]
        _and(made, {"anyOf": [*arms, dict(_NULL)] if "null" in types else arms})
    if made.get("type") == "array":
        made.setdefault("items", {})


def _and(made: dict[str, Any], more: dict[str, Any]) -> None:
    """Demand more of a schema, beside what it demands under the same name."""
    if made.keys() & more.keys():
        made["allOf"] = [*made.get("allOf", []), more]
    else:
        made |= more


def _below(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects inside of one."""
    found: list[Mapping[str, Any]] = []
    for each in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        found += ([each] if isinstance(each, Mapping) else []) + _below(each)
    return found


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
