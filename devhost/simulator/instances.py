"""The smallest value that is valid against a JSON schema: what a simulated model answers for tools and structured output.

Only required properties appear. A recursive schema ends at its first branch that does not recurse; one that cannot end is
cut off with null. `pattern` is met for common patterns only.
"""

import re
from typing import Any

_FORMATS = {
    "date": "2025-01-01",
    "date-time": "2025-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "name@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_CANDIDATES = (
    "a",
    "A",
    "0",
    "00",
    "000",
    "0000",
    "00000",
    "abc",
    "ABC",
    "a1",
    "A1",
    "A-1",
    "2025-01-01",
    "12:00",
    "#000000",
    "+10000000000",
    "USD",
)
_COMBINERS = frozenset({"$ref", "anyOf", "oneOf", "allOf"})
_MAX_DEPTH = 12
_MAX_SIZE = 10_000


def instance(schema: Any, name: str = "value") -> Any:
    """Return the minimal instance of a schema; `name` becomes the text of a free string.

    Raises:
        ValueError: it is no schema, or has no instance of sensible size.
    """
    try:
        return _Builder(schema).build(schema, name, 0)
    except (TypeError, AttributeError, LookupError, ArithmeticError) as exc:
        raise ValueError("not a JSON schema") from exc


class _Builder:
    """Builds instances of one schema document, against which `$ref` is resolved."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._open: list[str] = []
        self._nodes = 0

    def build(self, schema: Any, name: str, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > _MAX_SIZE:
            raise ValueError("the schema's smallest instance is too large")
        if not isinstance(schema, dict) or not schema:
            return name
        if depth > _MAX_DEPTH:
            return None
        if "const" in schema:
            return schema["const"]
        if options := schema.get("enum"):
            return options[0]
        return self._combined(schema, name, depth) if _COMBINERS & schema.keys() else self._typed(schema, name, depth)

    def _combined(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        if "$ref" in schema:
            return self._follow(str(schema["$ref"]), name, depth)
        if options := schema.get("anyOf") or schema.get("oneOf"):
            return self._first_that_ends(options, name, depth)
        return self.build(self._merge(schema), name, depth + 1)

    def _typed(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next((each for each in kind if each != "null"), "null")
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number":
                return _number(schema, whole=kind == "integer")
            case "boolean" | "null":
                return kind == "boolean" or None
        return _string(schema, name)

    def _array(self, schema: dict[str, Any], name: str, depth: int) -> list[Any]:
        items = [self.build(each, name, depth + 1) for each in schema.get("prefixItems") or []]
        missing = _integer(schema.get("minItems"), 0) - len(items)
        return items + [self.build(schema.get("items"), name, depth + 1) for _ in range(missing)]

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = schema.get("required") or ()
        return {key: self.build(properties.get(key), key, depth + 1) for key in required}

    def _follow(self, ref: str, name: str, depth: int) -> Any:
        self._open.append(ref)
        try:
            return self.build(self._resolve(ref), name, depth + 1)
        finally:
            self._open.pop()

    def _resolve(self, ref: str) -> Any:
        target = self._root
        for part in ref.removeprefix("#").split("/")[1:]:
            target = target.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
        return target

    def _first_that_ends(self, options: list[Any], name: str, depth: int) -> Any:
        for option in options:
            if not (isinstance(option, dict) and option.get("$ref") in self._open):
                return self.build(option, name, depth + 1)
        return None

    def _merge(self, schema: dict[str, Any]) -> dict[str, Any]:
        merged = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema.get("allOf") or ():
            resolved = self._resolve(str(part["$ref"])) if isinstance(part, dict) and "$ref" in part else part
            for key, value in (resolved or {}).items():
                if key == "properties":
                    merged[key] = merged.get(key, {}) | value
                elif key == "required":
                    merged[key] = [*merged.get(key, []), *value]
                else:
                    merged.setdefault(key, value)
        return merged


def _integer(value: Any, default: int) -> int:
    return min(value, _MAX_SIZE) if isinstance(value, int) else default


def _number(schema: dict[str, Any], *, whole: bool) -> int | float:
    step = schema.get("multipleOf") or (1 if whole else 0.5)
    low = schema.get("minimum")
    high = schema.get("maximum")
    if low is None and "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + (step if whole else 1e-3)
    if high is None and "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - (step if whole else 1e-3)
    value: int | float = 1 if whole else 1.0
    if low is not None and value < low:
        value = low
    if high is not None and value > high:
        value = high
    if "multipleOf" in schema:
        value = -(-value // step) * step
    return int(value) if whole else value


def _string(schema: dict[str, Any], name: str) -> str:
    text = _FORMATS.get(str(schema.get("format")), name)
    pattern = schema.get("pattern")
    if isinstance(pattern, str):
        try:
            text = next((each for each in (text, *_CANDIDATES) if re.search(pattern, each)), text)
        except re.error:
            return text
        return text
    text += "x" * (_integer(schema.get("minLength"), 0) - len(text))
    return text[: _integer(schema.get("maxLength"), len(text))]
