"""What a Jinja2 prompt may be written with, as a tree: only what is named here, and every loop and macro counts its turns.

Includes are spliced in: the tree of the pinned text takes the statement's place, in a scope of its own, so there is no loader that
could be asked for anything. What Jinja2 does without asking its environment (slices, `~`, comparisons, literal text) becomes a filter
or a value that is asked; the filters' names hold a space, which no template can write.

Source: Jinja2 3.1, jinja2/nodes.py and compiler.py (read 2026-11-22).
"""

import math
from collections.abc import Iterator, Mapping
from typing import cast

from jinja2 import Environment, TemplateError, nodes

from gateway.domain.prompts import Partial
from gateway.prompts.sandboxed_budget import MAX_BITS, refuse

MAX_CHARACTERS = 100_000  # of a template, its partials included as often as they are
MAX_NODES = 5_000
MAX_NESTED = 60  # nodes within nodes
MAX_INCLUDES = 64
MAX_LOOPS = 5  # loops and macros within each other
COUNTED, TURN, JOINED, SLICED, MEASURED = " counted", " turn", " joined", " sliced", " measured"
PER_STEP = 8  # nodes of a loop's body that are done in one step
GLOBALS = frozenset({"range", "namespace"})

_ALLOWED: frozenset[type[nodes.Node]] = frozenset(
    {nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.NSRef, nodes.Const, nodes.List, nodes.Tuple, nodes.Dict}
    | {nodes.Pair, nodes.Keyword, nodes.If, nodes.CondExpr, nodes.For, nodes.Assign, nodes.AssignBlock, nodes.With, nodes.Include}
    | {nodes.Macro, nodes.CallBlock, nodes.FilterBlock, nodes.Call, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand}
    | {nodes.And, nodes.Or, nodes.Not, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow, nodes.Neg}
    | {nodes.Pos, nodes.Concat, nodes.Getattr, nodes.Getitem, nodes.Slice}
)
_SAID: Mapping[type[nodes.Node], str] = {
    nodes.Extends: "extends another template; include a text instead",
    nodes.Block: "has a block; there is no template that could extend it",
    nodes.Import: "imports a template; include a text instead",
    nodes.FromImport: "imports from a template; include a text instead",
}
_TURNING = (nodes.For, nodes.Macro, nodes.CallBlock)


def parsed(environment: Environment, text: str) -> nodes.Template:
    """Return a text's tree, of allowed nodes only.

    Raises:
        PromptError: Saying what is wrong, and in which line.
    """
    if len(text) > MAX_CHARACTERS:
        refuse(f"has {len(text)} characters; {MAX_CHARACTERS} is the most")
    if text.count("{{") + text.count("{%") > MAX_NODES:
        refuse(f"has more than {MAX_NODES} names, values and statements")
    try:
        tree = environment.parse(text)
    except TemplateError as exc:
        line = getattr(exc, "lineno", 0)
        refuse(f"is no Jinja2: {(exc.message or 'it cannot be read')[:200]} (line {line})")
    except (ValueError, OverflowError):
        refuse("has a number that is too large")
    except RecursionError:
        refuse("is nested too deeply")
    _check(environment, tree)
    return tree


def references(tree: nodes.Template) -> frozenset[str]:
    """Return the names of the texts that a tree of `parsed` includes."""
    return frozenset(str(each.template.value) for each in tree.find_all(nodes.Include) if isinstance(each.template, nodes.Const))


def spliced(environment: Environment, text: str, partials: Mapping[str, Partial]) -> nodes.Template:
    """Return a text's tree with its partials in it, ready to be compiled; PromptError as `parsed`."""
    tree = parsed(environment, text)
    left = MAX_CHARACTERS - len(text)
    includes = list(tree.find_all(nodes.Include))
    if len(includes) > MAX_INCLUDES:
        refuse(f"includes {len(includes)} texts; {MAX_INCLUDES} is the most")
    for include in includes:
        name = str(include.template.value) if isinstance(include.template, nodes.Const) else ""
        partial = partials.get(name)
        if partial is None:
            refuse(f"includes {name[:80]!r}, which is not pinned with this version")
        left -= len(partial.text)
        if left < 0:
            refuse(f"has more than {MAX_CHARACTERS} characters with what it includes")
        inner = parsed(environment, partial.text)
        if references(inner):
            refuse(f"includes {name[:80]!r}, which includes another itself; include both here")
        inner.set_lineno(include.lineno, override=True)
        _replace(tree, include, nodes.With([], [], inner.body, lineno=include.lineno))
    _check(environment, tree)
    _count(tree)
    _rewrite(tree)
    tree.set_environment(environment)
    return tree


def _check(environment: Environment, tree: nodes.Template) -> None:
    count = 0
    stack: list[tuple[nodes.Node, int, int]] = [(tree, 0, 0)]
    while stack:
        node, depth, loops = stack.pop()
        count += 1
        line = f"in line {node.lineno}"
        if type(node) not in _ALLOWED:
            refuse(f"{line} {_SAID.get(type(node), f'has {type(node).__name__}, which prompts cannot have')}")
        loops += isinstance(node, _TURNING)
        if count > MAX_NODES:
            refuse(f"has more than {MAX_NODES} names, values and statements")
        if depth > MAX_NESTED or loops > MAX_LOOPS:
            refuse(f"is nested too deeply {line}: {MAX_LOOPS} loops and macros, and {MAX_NESTED} expressions, are the most")
        if (wrong := _fault(environment, node)) is not None:
            refuse(f"{line} {wrong}")
        stack.extend((child, depth + 1, loops) for child in node.iter_child_nodes())


def _fault(environment: Environment, node: nodes.Node) -> str | None:  # noqa: PLR0911 - a table of what is wrong
    match node:
        case nodes.Filter(name=name) if name not in environment.filters or " " in name:
            return f"has the filter {name[:64]!r}; there are {', '.join(sorted(each for each in environment.filters if ' ' not in each))}"
        case nodes.Test(name=name) if name not in environment.tests:
            return f"has the test {name[:64]!r}; there are {', '.join(sorted(each for each in environment.tests if each.isalpha()))}"
        case nodes.Name(name="self" | "super" as name):
            return f"names {name!r}, which is of blocks; prompts have none"
        case nodes.Const(value=int() as value) if value.bit_length() > MAX_BITS:
            return "has a number that is too large"
        case nodes.Const(value=float() as value) if not math.isfinite(value):
            return "has a number that is too large"
        case nodes.Include() if not _is_plain(node):
            return 'includes what is no plain name; write {% include "name" %}'
    return None


def _is_plain(node: nodes.Include) -> bool:
    named = isinstance(node.template, nodes.Const) and isinstance(node.template.value, str)
    return named and not node.ignore_missing and node.with_context


def _replace(tree: nodes.Node, old: nodes.Node, new: nodes.Node) -> None:
    for parent in _all(tree):
        for _, value in parent.iter_fields():
            if isinstance(value, list) and any(each is old for each in value):
                value[:] = [new if each is old else each for each in value]
                return


def _all(tree: nodes.Node) -> Iterator[nodes.Node]:
    yield tree
    for child in list(tree.iter_child_nodes()):
        yield from _all(child)


def _count(tree: nodes.Template) -> None:
    """Make each loop and macro take steps for each turn, more where more is done in it."""
    for node in [each for each in _all(tree) if isinstance(each, _TURNING)]:
        weight = nodes.Const(1 + _size(node.body) // PER_STEP, lineno=node.lineno)
        node.body.insert(0, nodes.ExprStmt(_filter(weight, TURN), lineno=node.lineno))
        if isinstance(node, nodes.For):
            node.iter = _filter(
                cast(nodes.Expr, node.iter), COUNTED, [nodes.Const(1 + (_size([node.test]) if node.test else 0), lineno=node.lineno)]
            )


def _size(body: list[nodes.Node] | list[nodes.Expr]) -> int:
    """Return how many nodes a turn does, loops' and macros' own turns left out."""
    return sum(1 + (0 if isinstance(each, _TURNING) else _size(list(each.iter_child_nodes()))) for each in body)


def _rewrite(node: nodes.Node) -> None:
    for name, value in list(node.iter_fields()):
        if isinstance(value, list):
            for each in value:
                if isinstance(each, nodes.Node):
                    _rewrite(each)
            value[:] = [_rewritten(each) for each in value]
        elif isinstance(value, nodes.Node):
            _rewrite(value)
            setattr(node, name, _rewritten(value))


def _rewritten(node: nodes.Node) -> nodes.Node:
    match node:
        case nodes.TemplateData():  # what is a constant's is counted where it is written
            return nodes.Const(node.data, lineno=node.lineno)
        case nodes.Concat():
            return _filter(nodes.List(node.nodes, lineno=node.lineno), JOINED)
        case nodes.Getitem(arg=nodes.Slice() as part):
            ends = [each or nodes.Const(None, lineno=node.lineno) for each in (part.start, part.stop, part.step)]
            return _filter(node.node, SLICED, ends)
        case nodes.Pair():  # a key is hashed, and so read as often as it is in itself
            node.key = _filter(node.key, MEASURED)
        case nodes.Compare():
            node.expr = _filter(node.expr, MEASURED)
            for operand in node.ops:
                operand.expr = _filter(operand.expr, MEASURED)
    return node


def _filter(node: nodes.Expr, name: str, args: list[nodes.Expr] | None = None) -> nodes.Filter:
    return nodes.Filter(node, name, args or [], [], None, None, lineno=node.lineno)
