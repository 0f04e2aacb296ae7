"""Jinja2 for the operator's shared prompts: a sandbox that holds plain data, and in which everything is counted.

Jinja2's ImmutableSandboxedEnvironment keeps Python's internals away. On top of it: only the syntax, filters and tests that are named
(sandboxed_syntax, sandboxed_filters), no attributes but members of objects and a few methods that cannot make a text grow, no loader,
and a budget of steps and work (sandboxed_budget), so that a template ends soon whatever it says. Values are data: they are never
compiled. This module loads jinja2; import it where a template asks for it.

| written | is |
| --- | --- |
| `{{ order.items }}` | a member, before a method of the same name |
| `{{ context.user }}`, `{{ lookups.customer.plan }}` | as in strict templates; empty where the context, or a lookup that failed, has none |
| `{% include "name" %}` | another prompt's text, pinned when the version was made |

Source: Jinja2 3.1, docs/sandbox.rst; CVE-2016-10745, CVE-2019-10906, CVE-2024-56201, CVE-2024-56326, CVE-2025-27516 (read 2026-11-22).
"""

import functools
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import msgspec
from jinja2 import StrictUndefined, Template, TemplateError, Undefined, UndefinedError, meta, nodes, pass_context
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, missing

from gateway.domain.prompts import PromptText
from gateway.errors import PromptError
from gateway.prompts import sandboxed_filters as doing
from gateway.prompts import sandboxed_syntax as syntax
from gateway.prompts.sandboxed_budget import CALL, MAX_DEPTH, MAX_OUTPUT, Budget, Data, Lenient, Refused, refuse, stop
from gateway.prompts.variables import missing_variable

__all__ = ["Data", "Sandboxed", "compiled", "partials_in"]

_TEXT_METHODS = frozenset(
    {"capitalize", "count", "endswith", "find", "index", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "islower", "isnumeric"}
    | {"isspace", "istitle", "isupper", "lower", "lstrip", "partition", "removeprefix", "removesuffix"}
    | {"rstrip", "split", "splitlines", "startswith", "strip", "title", "upper"}
)
_LOOP_MEMBERS = frozenset(
    {"index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0", "previtem", "nextitem", "cycle", "changed"}
)
_OBJECT_METHODS: Mapping[str, Callable[..., Any]] = {
    "items": lambda data: [tuple(each) for each in data.items()],
    "keys": list,
    "values": lambda data: list(data.values()),
    "get": lambda data, name, default=None: data.get(name, default),
}


class Sandboxed(msgspec.Struct, frozen=True):
    """A template, compiled.

    Attributes:
        needed: The names that it looks up, `context` and `lookups` among them.
        looked_up: The lookups that it names.
    """

    template: Template
    needed: frozenset[str]
    looked_up: frozenset[str]

    def __call__(self, data: Data, param: str) -> str:
        """Return the text.

        Args:
            data: Of this rendering of the whole version.
            param: What stands before a variable's name in the request.

        Raises:
            PromptError: A variable is missing, or the template did what it may not; no message holds a value.
        """
        context = self.template.new_context(data)
        context.budget = data.budget  # type: ignore[attr-defined]
        parts: list[str] = []
        left = MAX_OUTPUT
        try:
            for part in self.template.root_render_func(context):
                left -= len(part)
                if left < 0:
                    stop(f"writes more than {MAX_OUTPUT} characters")
                parts.append(part)
        except _Missing as exc:
            raise _named(exc, param) from None
        except Refused as exc:
            raise _failed(
                f"{exc}; send less, or ask the gateway's administrator to change it", self._line(exc.__traceback__), param
            ) from None
        except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError) as exc:
            raise _failed(f"failed with {type(exc).__name__}; check what was sent", self._line(exc.__traceback__), param) from None
        return "".join(parts)

    def _line(self, trace: TracebackType | None) -> int:
        line = 0
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == "<template>":
                line = self.template.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        return line


class _Missing(UndefinedError):
    def __init__(self, name: object, member: object, message: str | None = None) -> None:
        super().__init__(message)
        self.name, self.member = name, member


class _Undefined(StrictUndefined):
    __slots__ = ()

    def __init__(self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = None) -> None:  # noqa: ARG002 - Jinja2 passes it
        raises: Any = functools.partial(_Missing, name, obj is not missing)
        super().__init__(hint, obj, name, raises)


class _Context(Context):
    budget: Budget


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    context_class = _Context

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self._member(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, list | tuple | str) and type(argument) is int:
            return obj[argument] if -len(obj) <= argument < len(obj) else self.undefined(obj=obj, name=str(argument))
        if isinstance(obj, dict) and isinstance(argument, int | float | None):
            return obj[argument] if argument in obj else self.undefined(obj=obj, name="member")
        return self._member(obj, argument)

    def _member(self, obj: Any, name: Any) -> Any:  # noqa: PLR0911 - a table of what has members
        if isinstance(obj, Undefined):
            return getattr(obj, "name")  # noqa: B009 - raises, naming what is missing
        if not isinstance(name, str):
            return self.undefined(obj=obj, name="member")
        if isinstance(obj, dict):
            if name in obj:
                return obj[name]
            if name in _OBJECT_METHODS:
                return functools.partial(_OBJECT_METHODS[name], obj)
            if type(obj) is Lenient:
                return ""
        elif (type(obj) is str and name in _TEXT_METHODS) or (type(obj) is LoopContext and name in _LOOP_MEMBERS):
            return getattr(obj, name)
        elif type(obj) is Namespace and not name.startswith("_"):
            return getattr(obj, name) if hasattr(obj, name) else self.undefined(obj=obj, name=name)
        return self.undefined(obj=obj, name=name)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ARG002 - Jinja2 passes them
        return False

    def is_safe_callable(self, obj: Any) -> bool:
        if isinstance(obj, Macro | LoopContext) or obj is Namespace or obj is doing.bounded_range:
            return True
        if isinstance(obj, functools.partial):
            return obj.func in _OBJECT_METHODS.values()
        bound = getattr(obj, "__self__", None)
        return (type(bound) is str and obj.__name__ in _TEXT_METHODS) or (
            type(bound) is LoopContext and obj.__name__ in {"cycle", "changed"}
        )

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063 - as in Jinja2
        if isinstance(__obj, Undefined):
            str(__obj)  # raises, naming what is missing
        if not __self.is_safe_callable(__obj):
            raise Refused("calls what cannot be called")
        budget = doing.budget_of(__context)
        budget.step(CALL)
        budget.measure(*(each for each in (*args, *kwargs.values()) if not isinstance(each, Macro | Namespace)))
        if budget.depth >= MAX_DEPTH:
            raise Refused(f"calls macros or recursive loops more than {MAX_DEPTH} deep")
        _check_method(budget, __obj, args)
        if isinstance(__obj, LoopContext):
            __self.filters[syntax.COUNTED](__context, *args, 1)
        budget.depth += 1
        made = __context.call(__obj, *args, **kwargs)
        budget.depth -= 1
        if type(made) is not Namespace:
            budget.measure(made)
        return made

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        return doing.operated(doing.budget_of(context), operator, self.binop_table[operator], left, right)


def _check_method(budget: Budget, method: Any, args: tuple[Any, ...]) -> None:
    text = getattr(method, "__self__", None) if not isinstance(method, Macro | functools.partial) else None
    if type(text) is str:
        budget.measure(text)
        if method.__name__ in {"strip", "lstrip", "rstrip"} and args:
            doing.check_strip(args[0])
        if method.__name__ in {"split", "splitlines"}:
            budget.spend(4 * len(text))


@functools.cache
def _environment() -> _Environment:
    made = _Environment(
        autoescape=False,
        undefined=_Undefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        optimized=False,  # nothing is worked out while compiling: there it would not be counted
        finalize=pass_context(doing.written),
        cache_size=0,
    )
    made.filters, made.tests = dict[str, Any](doing.all_filters()), dict[str, Any](doing.all_tests())
    made.globals = {"range": doing.bounded_range, "namespace": Namespace}
    return made


def compiled(text: PromptText, template: str) -> Sandboxed:
    """Return a template of a prompt, compiled with the partials that are pinned.

    Raises:
        PromptError: Saying what is wrong with it and in which line; its `param` is the caller's to give.
    """
    environment = _environment()
    tree = syntax.spliced(environment, template, text.partials)
    try:
        needed = frozenset(meta.find_undeclared_variables(tree)) - syntax.GLOBALS
        made = environment.from_string(tree)
    except TemplateError as exc:
        refuse(f"is no Jinja2: {(exc.message or '')[:200]} (line {getattr(exc, 'lineno', 0)})")
    except (SyntaxError, RecursionError, MemoryError):
        refuse("is nested too deeply, or assigns what cannot be assigned")
    named = (each for each in tree.find_all(nodes.Getattr) if isinstance(each.node, nodes.Name) and each.node.name == "lookups")
    return Sandboxed(made, needed, frozenset(each.attr for each in named if each.attr not in _OBJECT_METHODS))


def partials_in(template: str) -> frozenset[str]:
    """Return what a template includes, as written; PromptError as `compiled`."""
    return syntax.references(syntax.parsed(_environment(), template))


def _named(exc: _Missing, param: str) -> PromptError:
    name = str(exc.name)[:64]
    if not exc.member:
        return missing_variable(name, param)
    what = f"the prompt's template asks for a member {name!r}, which a value has not got; send it in '{param}'"
    return PromptError(what, param=param, code="missing_variable")


def _failed(what: str, line: int, param: str) -> PromptError:
    return PromptError(f"the prompt's template {what}" + (f" (line {line})" if line else ""), param=param)
