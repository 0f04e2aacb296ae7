r"""Is a text the JSON that a schema asks for? In linear time as far as patterns go, and without fetching anything.

`pattern`, `patternProperties` and `additionalProperties` are checked with RE2, because Python's own engine could be held up by a
hostile answer for minutes. A fault says where it is and what was expected there, in the schema's own words: nothing of the text
is repeated but names of members that the schema knows.

References are followed MAX_REFERENCES times for a text, and then it is not accepted: thirty small schemas, each of which refers
twice to the next one, would be a thousand million checks of one value.

Source: JSON Schema 2020-12, "Core" and "Validation" (read 2026-11-22).
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import msgspec

from gateway.domain.patterns import compiled

MAX_FAULTS = 50  # of which the clearest is said
MAX_REFERENCES = 20_000  # a third of a second
_SAID = frozenset({"type", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "multipleOf", "format"})
_MAX_SAID_CHARACTERS = 80
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_followed: ContextVar[Iterator[int]] = ContextVar("followed")  # references so far, of the text that is being checked


class _TooManyReferences(RecursionError):
    """The schema sends the check round and round."""


def schema_fault(schema: Any) -> str | None:
    """Say what is wrong with a schema; None where texts can be checked with it."""
    if (outside := refers_outside(schema)) is not None:
        return f"refers to {outside!r}; put that under `$defs`: nothing is fetched for a check"
    found = list(_objects(schema))
    for each in found:
        patterns = each.get("patternProperties")
        names = list(patterns) if isinstance(patterns, dict) else []
        for pattern in [each.get("pattern"), *names]:
            if isinstance(pattern, str) and (reason := _pattern_fault(pattern)):
                return f"has the pattern {pattern[:64]!r}, which RE2 does not take: {reason}"
        if names and any("unevaluatedProperties" in other for other in found):
            return "has `patternProperties` and `unevaluatedProperties`; use `additionalProperties`, which is checked in linear time"
    from jsonschema import SchemaError  # noqa: PLC0415 - 50 ms of import that only a catalogue with schemas pays
    from jsonschema.validators import validator_for  # noqa: PLC0415

    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as exc:
        return f"is no JSON Schema: at {'.'.join(map(str, exc.absolute_path)) or 'its top'} `{exc.validator}` does not hold"
    return _dangling(schema, found)


def _dangling(schema: Any, found: Sequence[Mapping[str, Any]]) -> str | None:
    """Say which reference leads nowhere; None where all lead somewhere, or start from a place of their own (`$id`)."""
    from referencing import Registry, Resource  # noqa: PLC0415 - imported with jsonschema
    from referencing.exceptions import Unresolvable  # noqa: PLC0415
    from referencing.jsonschema import DRAFT202012  # noqa: PLC0415

    if any("$id" in each for each in found):
        return None
    resolver = Registry().with_resource("", Resource.from_contents(schema, default_specification=DRAFT202012)).resolver()
    for each in found:
        for target in (each.get(name) for name in _REFERENCES):
            try:
                if isinstance(target, str):
                    resolver.lookup(target)
            except (Unresolvable, TypeError, ValueError):  # the latter where the way leads through what has no members
                return f"refers to {target!r}, which is not there"
    return None


def refers_outside(schema: Any) -> str | None:
    """Return the first reference that leads out of a schema; None where all stay inside."""
    for each in _objects(schema):
        for name in _REFERENCES:
            if isinstance(target := each.get(name), str) and not target.startswith("#"):
                return target
    return None


class JsonForm:
    """A schema, ready to check texts.

    Args:
        schema: One in which `schema_fault` finds nothing wrong.
    """

    __slots__ = ("_known", "_validator")

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._validator = _validator(schema)
        self._known = frozenset(name for each in _objects(schema) for name in _names(each.get("properties")))

    def accepts(self, text: str) -> bool:
        """Tell whether a text is JSON that the schema accepts.

        Raises:
            RecursionError: It is nested too deeply, or the schema refers to itself without end or too often.
        """
        _followed.set(itertools.count())
        try:
            valid: bool = self._validator.is_valid(msgspec.json.decode(text))
        except (msgspec.MsgspecError, UnicodeError):
            return False
        return valid

    def fault(self, text: str) -> str | None:
        """Say what is wrong with a text; None where it is JSON that the schema accepts."""
        from jsonschema.exceptions import best_match  # noqa: PLC0415 - imported with the validator

        _followed.set(itertools.count())
        try:
            document = msgspec.json.decode(text)
            errors = itertools.islice(self._validator.iter_errors(document), MAX_FAULTS)
            error = best_match(errors)
        except msgspec.MsgspecError as exc:
            return f"it is not JSON: {exc}"
        except UnicodeError:
            return "it is not JSON: it holds half of a surrogate pair"
        except _TooManyReferences:
            return "it takes more steps to check than are taken: the schema's references lead to each other too often"
        except RecursionError:
            return "it is nested too deeply to be checked"
        return None if error is None else f"{self._place(error.absolute_path)} {_expected(error)}"

    def _place(self, path: Iterable[str | int]) -> str:
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" if step in self._known else ".*" for step in path)
        return "$" + "".join(steps)


def _expected(error: Any) -> str:
    """Return what one of jsonschema's errors missed, without the value that is there."""
    keyword, wanted = str(error.validator), error.validator_value
    if keyword == "required" and isinstance(error.instance, dict):
        missing = [name for name in wanted if name not in error.instance]
        return f"lacks {missing[0]!r}"[:_MAX_SAID_CHARACTERS] if missing else "lacks a member"
    if keyword == "additionalProperties" and wanted is False:
        return "has a member that is not allowed"
    if error.validator is None:  # the schema `false`
        return "has a value that is not allowed"
    if keyword in {"enum", "const"}:
        return "must be one of the values that the schema allows"
    return f"must have {keyword} {wanted!s}"[:_MAX_SAID_CHARACTERS] if keyword in _SAID else f"does not satisfy {keyword!r}"


def _validator(schema: Mapping[str, Any]) -> Any:
    from jsonschema import validators  # noqa: PLC0415 - 50 ms of import that only a checked answer pays
    from referencing import Registry  # noqa: PLC0415

    kind: Any = validators.validator_for(schema)
    own: Mapping[str, Any] = {"pattern": _pattern, "patternProperties": _pattern_properties, "additionalProperties": _additional}
    counted = {name: _counted(kind.VALIDATORS[name]) for name in _REFERENCES if name in kind.VALIDATORS}
    extend: Any = validators.extend  # which has no types
    return extend(kind, {**own, **counted})(schema, registry=Registry())


def _counted(follow: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    """Return what follows a reference, MAX_REFERENCES times for a text."""

    def counted(validator: Any, target: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if next(_followed.get()) >= MAX_REFERENCES:
            raise _TooManyReferences
        yield from follow(validator, target, instance, schema) or ()

    return counted


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
    if isinstance(instance, str) and compiled(pattern).search(instance) is None:
        yield _error("does not match")


def _pattern_properties(validator: Any, patterns: Mapping[str, Any], instance: Any, _schema: Any) -> Iterator[Any]:
    if isinstance(instance, dict):
        for pattern, inner in patterns.items():
            for name, value in instance.items():
                if compiled(pattern).search(name) is not None:
                    yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional(validator: Any, allowed: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    if not isinstance(instance, dict):
        return
    known = schema.get("properties", {})
    patterns = [compiled(pattern) for pattern in schema.get("patternProperties", {})]
    for name, value in instance.items():
        if name in known or any(pattern.search(name) is not None for pattern in patterns):
            continue
        if allowed is False:
            yield _error("has a member too many")
        else:
            yield from validator.descend(value, allowed, path=name)


def _error(message: str) -> Exception:
    from jsonschema import ValidationError  # noqa: PLC0415 - imported with the validator

    made: Exception = ValidationError(message)
    return made


def _pattern_fault(pattern: str) -> str | None:
    try:
        compiled(pattern)
    except ValueError as exc:
        return str(exc)
    return None


def _objects(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a schema's objects, outer ones first."""
    if isinstance(schema, Mapping):
        yield schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for each in schema:
            yield from _objects(each)


def _names(properties: Any) -> Sequence[str]:
    return list(properties) if isinstance(properties, Mapping) else []
