"""The filters, tests and operators of Jinja2 prompts. What is not named is not there; each counts what it takes before it starts.

Left out are those that reach attributes by name (`attr`), that grow without a bound worth keeping (`center`, `format`, `wordwrap`,
`pprint`, `xmlattr`, `urlize`), that answer differently each time (`random`), and those for HTML (`safe`, `striptags`). `escape`, `e`
and `xml` escape for XML, and `tojson` writes JSON that may stand in XML, as the strict template's `|xml` and `|json` do.

Source: Jinja2 3.1, jinja2/filters.py (read 2026-11-22).
"""

import types
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from jinja2 import filters, pass_context, tests
from jinja2.runtime import Context, Undefined

from gateway.prompts import sandboxed_syntax as syntax
from gateway.prompts import strict
from gateway.prompts.sandboxed_budget import MAX_BITS, MAX_RANGE, WEIGHT, Budget, Lenient, Refused

MAX_INDENT = 100
MAX_PARTS = 1000  # of slice, batch
MAX_DIGITS = 15
MAX_STRIPPED = 64

type Do = Callable[..., Any]

_FILTERS = frozenset(
    {"abs", "batch", "capitalize", "count", "d", "default", "dictsort", "first", "float", "groupby", "indent", "int", "items", "join"}
    | {"last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "select"}
    | {"selectattr", "slice", "sort", "title", "trim", "truncate", "unique", "upper", "urlencode", "wordcount"}
)
_TESTS = frozenset(
    {"boolean", "defined", "divisibleby", "eq", "equalto", "even", "false", "float", "ge", "greaterthan", "gt", "in", "integer"}
    | {"iterable", "le", "lessthan", "lower", "lt", "mapping", "ne", "none", "number", "odd", "sequence", "string", "true"}
    | {"undefined", "upper", "==", "!=", "<", "<=", ">", ">="}
)


_OVER = frozenset({"list", "map", "max", "min", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "unique"})


class Counted(Protocol):
    """A context of a rendering, with what it may cost."""

    budget: Budget


def budget_of(context: Context) -> Budget:
    """Return what a rendering has left."""
    return cast(Counted, context).budget


def text_of(value: Any) -> str:
    """Return a value as a prompt writes it: a text as it is, all else as JSON, nothing where a lookup brought nothing."""
    if isinstance(value, Undefined):
        return str(value)  # raises
    return "" if type(value) is Lenient and not value else strict.plain(value)


def written(context: Context, value: Any) -> str:
    """Return what `{{ value }}` writes, and count it."""
    budget = budget_of(context)
    budget.step()
    size = budget.measure(value)
    if type(value) is str:
        return value
    budget.spend(size)
    return text_of(value)


def all_filters() -> dict[str, Do]:
    """Return the filters by name, each of which counts."""
    named: dict[str, Do] = {name: filters.FILTERS[name] for name in _FILTERS}
    named |= {"string": text_of, "tojson": strict.as_json, "xml": strict.as_xml, "e": strict.as_xml, "escape": strict.as_xml, "sum": _sum}
    made = {name: _counting(do, _BOUNDS.get(name, _bound_text if name in _OVER else None)) for name, do in named.items()}
    hidden: dict[str, Do] = {syntax.COUNTED: _counted, syntax.TURN: _turn, syntax.MEASURED: _measured}
    return made | hidden | {syntax.JOINED: _counting(_joined), syntax.SLICED: _counting(_sliced)}


def all_tests() -> dict[str, Do]:
    """Return the tests by name, each of which counts."""
    return {name: _counting(cast(Do, tests.TESTS[name])) for name in _TESTS}


def operated(budget: Budget, operator: str, do: Do, left: Any, right: Any) -> Any:
    """Return what an operator makes of two values; Refused where it would be too much, or is none of prompts."""
    budget.step()
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    kinds = (type(left), type(right))
    if numbers:
        if isinstance(left, int) and isinstance(right, int):
            _check_bits(operator, left, right)
    elif operator == "+" and kinds in {(str, str), (list, list), (tuple, tuple)}:
        budget.measure(left, right)
    elif operator == "*" and int in kinds and not {str, list, tuple}.isdisjoint(kinds):
        times, what = (left, right) if kinds[0] is int else (right, left)
        budget.spend(max(0, times) * (budget.measure(what) + WEIGHT))
    else:
        budget.measure(left, right)  # an undefined variable, or another thing that is no data
        for each in (left, right):
            if isinstance(each, Undefined):
                str(each)
        raise Refused(f"uses {operator} with values that have no such operator here")
    return do(left, right)


def _check_bits(operator: str, left: int, right: int) -> None:
    bits = left.bit_length()
    if operator == "**":
        bits = bits * right if right > 0 else 0
        bits = max(bits, -right if right < 0 else 0)
    elif operator == "*":
        bits += right.bit_length()
    if max(bits, right.bit_length()) > MAX_BITS + 1:
        raise Refused(f"makes an integer of more than {MAX_BITS} bits")


def _counting(do: Do, bound: Do | None = None) -> Do:
    """Return a filter or test that counts what it is given and what it returns, which is never a generator."""
    kind = getattr(do, "jinja_pass_arg", None)
    passed = getattr(kind, "name", "")

    @pass_context
    def counting(context: Context, *args: Any, **kwargs: Any) -> Any:
        budget = budget_of(context)
        budget.step()
        budget.measure(*args, *kwargs.values())
        if bound is not None:
            bound(budget, *args, **kwargs)
        first = {"context": context, "eval_context": context.eval_ctx, "environment": context.environment}.get(passed)
        made = do(*args, **kwargs) if first is None else do(first, *args, **kwargs)
        if isinstance(made, types.GeneratorType | map | reversed):
            made = list(made)
        made = _plain(made)
        if made is not True and made is not False:
            budget.measure(made)
        return made

    return cast(Do, counting)


def _plain(value: Any) -> Any:
    """Return groups as tuples, texts as texts."""
    if isinstance(value, list) and value and type(value[0]) is not tuple and isinstance(value[0], tuple):
        return [tuple(each) for each in value]
    return str(value) if isinstance(value, str) else value


@pass_context
def _counted(context: Context, value: Any, weight: int) -> Any:
    """Take a loop's steps in advance: what it goes over has a length."""
    if not isinstance(value, list | tuple | dict | str):
        if isinstance(value, Undefined):
            str(value)
        raise Refused("loops over what is no list, object or text")
    budget_of(context).step(weight * len(value))
    return value


@pass_context
def _turn(context: Context, steps: int) -> None:
    budget_of(context).step(steps)


@pass_context
def _measured(context: Context, value: Any) -> Any:
    if type(value) is not str and type(value) is not int:
        budget_of(context).measure(value)
    elif type(value) is str:
        budget_of(context).spend(len(value))
    return value


def _joined(parts: list[Any]) -> str:
    return "".join([text_of(part) for part in parts])


def _sliced(value: Any, start: Any, stop: Any, step: Any) -> Any:
    return value[start:stop:step]


def _sum(values: Any, attribute: str | int | None = None, start: float = 0) -> Any:
    taken = [each[attribute] if attribute is not None else each for each in (values.values() if isinstance(values, dict) else values)]
    if any(not isinstance(each, int | float) for each in (*taken, start)):
        raise Refused("sums what are no numbers")
    return sum(taken, start)


def _bound_text(budget: Budget, value: Any = None, *_: Any, **__: Any) -> None:
    if isinstance(value, str):  # each character becomes a text of its own
        budget.spend(WEIGHT * len(value))


def _bound_trim(_: Budget, __: Any, chars: Any = None) -> None:
    check_strip(chars)


def check_strip(chars: Any) -> None:
    """Refuse to strip many different characters: each of the text's is looked for among all of them."""
    if isinstance(chars, str) and len(chars) > MAX_STRIPPED:
        raise Refused(f"strips more than {MAX_STRIPPED} characters")


def _bound_indent(budget: Budget, s: str, width: int | str = 4, *_: Any, **__: Any) -> None:
    if (width if isinstance(width, int) else len(width)) > MAX_INDENT:
        raise Refused(f"indents by more than {MAX_INDENT}")
    budget.spend((strict.plain(s).count("\n") + 1) * MAX_INDENT)


def _bound_join(budget: Budget, value: Any, d: Any = "", *_: Any, **__: Any) -> None:
    _bound_text(budget, value)
    budget.spend(len(value) * len(strict.plain(d)))


def _bound_replace(budget: Budget, s: Any, old: Any, new: Any, count: int | None = None) -> None:
    if any(type(each) is not str for each in (s, old, new)):
        raise Refused("replaces in what is no text")
    budget.spend((s.count(old) if count is None else min(s.count(old), max(count, 0))) * len(new))


def _bound_parts(budget: Budget, value: Any, count: int, *_: Any, **__: Any) -> None:
    _bound_text(budget, value)
    if not isinstance(count, int) or not 1 <= count <= MAX_PARTS:
        raise Refused(f"makes parts of or by more than {MAX_PARTS}, or less than one")


def _bound_round(_: Budget, __: Any, precision: int = 0, *___: Any, **____: Any) -> None:
    if not isinstance(precision, int) or abs(precision) > MAX_DIGITS:
        raise Refused(f"rounds to more than {MAX_DIGITS} digits")


def _bound_int(_: Budget, value: Any, *__: Any, **___: Any) -> None:
    if isinstance(value, str) and len(value) > MAX_BITS:
        raise Refused("reads a number of too many digits")


_BOUNDS: Mapping[str, Do] = {
    "indent": _bound_indent,
    "join": _bound_join,
    "replace": _bound_replace,
    "batch": _bound_parts,
    "slice": _bound_parts,
    "round": _bound_round,
    "int": _bound_int,
    "trim": _bound_trim,
}


def bounded_range(*args: int) -> list[int]:
    """Return a range as a list."""
    made = range(*args)
    if any(abs(each) > MAX_RANGE**2 for each in args) or len(made) > MAX_RANGE:
        raise Refused(f"makes a range of more than {MAX_RANGE} numbers")
    return list(made)
