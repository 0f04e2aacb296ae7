"""Are these the variables that a version takes? Every refusal names the variable in `param`.

Without an input schema every variable of the templates is needed, and no other is taken. With one, the schema decides, and its
top-level `default`s are filled in. A flat schema of plain types is checked without jsonschema; what that quick look does not
accept is judged by the full check, so that it can only ever save time.
"""

import functools
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from gateway.domain.json_schema import JsonForm
from gateway.errors import PromptError

RESERVED = frozenset({"context", "lookups"})
MAX_VARIABLES = 256
MAX_BYTES = 256 * 1024  # of all together, as JSON
_SURELY_SHORT = 1024  # characters of a text that need no counting
_FLAT = frozenset({"type", "properties", "required", "additionalProperties", "title", "description", "$schema"})
_PLAIN = frozenset({"type", "title", "description", "default"})
_NAMED = re.compile(r"\$\.([^\s.\[]+)")
_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: type(value) is str,
    "boolean": lambda value: type(value) is bool,
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in {int, float},
}


class Inputs:
    """A schema of variables, ready to check them.

    Args:
        schema: An object's, in which `schema_fault` finds nothing wrong.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        found = schema.get("properties")
        self._properties: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
        self._required = frozenset(schema.get("required", ()))
        self._closed = schema.get("additionalProperties") is False and "patternProperties" not in schema
        self._defaults = {name: each["default"] for name, each in self._properties.items() if type(each) is dict and "default" in each}
        self._quick = _quick(schema, self._properties)

    @functools.cached_property
    def _form(self) -> JsonForm:
        return JsonForm(self._schema)

    def checked(self, variables: Mapping[str, Any], param: str) -> Mapping[str, Any]:
        """Return the variables with defaults; PromptError names the one that is wrong."""
        filled = {**self._defaults, **variables} if self._defaults else variables
        if not self.fits_at_once(filled):
            self._judge(filled, param)
        return filled

    def fits_at_once(self, variables: Mapping[str, Any]) -> bool:
        """Tell whether a quick look accepts them; the full check decides where it does not."""
        quick = self._quick
        if quick is None or not self._required <= variables.keys():
            return False
        for name, value in variables.items():
            fits = quick.get(name)
            if fits is None or not fits(value):
                return False
        return True

    def _judge(self, variables: Mapping[str, Any], param: str) -> None:
        if missing := sorted(self._required - variables.keys()):
            raise missing_variable(missing[0], param)
        if self._closed and (extra := sorted(variables.keys() - self._properties.keys())):
            raise unknown_variable(extra[0], self._properties, param)
        fault = self._form.fault(msgspec.json.encode(variables).decode())
        if fault is not None:
            named = _NAMED.match(fault)
            place = f"{param}.{named[1]}" if named and named[1] in variables else param
            raise PromptError(f"'{place}' is not what the prompt takes: {fault}", param=place, code="invalid_variable")


def checked(
    variables: Mapping[str, Any], needed: Collection[str], inputs: Inputs | None, param: str = "prompt.variables"
) -> Mapping[str, Any]:
    """Return the variables that a version is rendered with.

    Args:
        variables: As the call gives them.
        needed: The names in the version's templates.
        inputs: The version's schema; None where it has none.
        param: What stands before a variable's name in the request.

    Raises:
        PromptError: One is missing (`missing_variable`), too many (`unknown_variable`) or wrong (`invalid_variable`).
    """
    if len(variables) > MAX_VARIABLES:
        raise PromptError(f"'{param}' takes at most {MAX_VARIABLES} variables", param=param, code="invalid_variable")
    if not _surely_few(variables) and len(msgspec.json.encode(variables)) > MAX_BYTES:
        raise PromptError(f"'{param}' takes at most {MAX_BYTES // 1024} KB as JSON", param=param, code="invalid_variable")
    if not RESERVED.isdisjoint(variables):
        raise unknown_variable(min(RESERVED & variables.keys()), needed, param)
    if inputs is not None:
        return inputs.checked(variables, param)
    for name in sorted(needed - variables.keys() if isinstance(needed, frozenset) else set(needed) - variables.keys()):
        raise missing_variable(name, param)
    if len(variables) > len(needed):
        raise unknown_variable(min(variables.keys() - set(needed)), needed, param)
    return variables


def _surely_few(variables: Mapping[str, Any]) -> bool:
    """Tell at a glance that they are far below MAX_BYTES: a few short texts, of which no character takes over six bytes."""
    return len(variables) <= 20 and all(type(value) is str and len(name) + len(value) <= _SURELY_SHORT for name, value in variables.items())


def missing_variable(name: str, param: str) -> PromptError:
    """Return the refusal of a call without a variable."""
    place = f"{param}.{name}"
    return PromptError(f"the prompt needs '{place}'; send it", param=place, code="missing_variable")


def unknown_variable(name: str, known: Collection[str], param: str) -> PromptError:
    """Return the refusal of a variable that the prompt has not got."""
    place = f"{param}.{name[:64]}"
    there = ", ".join(sorted(known)[:20]) or "none"
    return PromptError(f"the prompt has no variable '{place}'; it has {there}", param=place, code="unknown_variable")


def _quick(schema: Mapping[str, Any], properties: Mapping[str, Any]) -> Mapping[str, Callable[[Any], bool]] | None:
    """Return a check by name where the schema is flat and plain; None where it is not."""
    if not schema.keys() <= _FLAT or schema.get("type") != "object":
        return None
    if any(type(each) is not dict or not each.keys() <= _PLAIN or type(each.get("type")) is not str for each in properties.values()):
        return None
    plain = all(each["type"] in _TYPES for each in properties.values())
    return {name: _TYPES[each["type"]] for name, each in properties.items()} if plain else None
