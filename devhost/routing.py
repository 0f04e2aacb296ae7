"""Which function answers a path: route templates in, a matcher out.

The order is ASP.NET's: segment by segment a literal wins over a parameter and a parameter over a catch-all. A route
that does not accept the method is skipped, as if it were not there. Literals match in any case.

The Functions host itself does **not** rank its routes: it tries the functions in the order of their names and takes the
first that fits. An app works in both only where the two orders agree, so `shadowed` names every pair where they do not.

Shape: `Route(name, template, methods)` → `Router.match(method, path) -> (target, values)`. Served are `literal`,
`{name}`, `{name?}` at the end and `{*rest}` at the end; anything else in braces is refused, never guessed.

Source: FunctionMetadataManager, WebScriptHostHttpRoutesManager and issues 3153 and 9876 of Azure/azure-functions-host,
WebJobsRouteBuilder of Azure/azure-webjobs-sdk-extensions (read 2026-11-22).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from urllib.parse import unquote

LITERAL, PARAMETER, CATCH_ALL = 1, 3, 5
RESERVED = ("admin", "runtime")
STANDARD_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE")
_PARAMETER = re.compile(r"\{(?P<star>\*{0,2})(?P<name>[A-Za-z_]\w*)(?P<optional>\??)\}")


class RouteError(Exception):
    """A template that the Functions host would refuse, or that this matcher does not know."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a template between two slashes.

    Attributes:
        kind: `LITERAL`, `PARAMETER` or `CATCH_ALL`; the smaller wins.
        text: The literal in lower case, or the parameter's name as written.
        optional: It may be missing, which only the last one can.
    """

    kind: int
    text: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A function's template and the methods it takes; no methods means all."""

    name: str
    template: str
    methods: frozenset[str] = frozenset()

    def accepts(self, method: str) -> bool:
        """Say whether the function takes the method; one that takes GET takes HEAD too."""
        return not self.methods or method in self.methods or (method == "HEAD" and "GET" in self.methods)


def parse(template: str) -> tuple[Segment, ...]:
    """Read a template, prefix included.

    Raises:
        RouteError: It is not one that the Functions host and this matcher both take.
    """
    parts = template.strip("/").split("/") if template.strip("/") else []
    segments: list[Segment] = []
    for place, part in enumerate(parts):
        found = _PARAMETER.fullmatch(part)
        if found is None and ("{" in part or "}" in part or not part):
            raise RouteError(f"route {template!r}: cannot read {part!r}; served are literals, {{name}}, {{name?}} and {{*rest}}")
        if found is None:
            segments.append(Segment(LITERAL, part.lower()))
            continue
        rest, optional = bool(found["star"]), bool(found["star"] or found["optional"])
        if optional and place != len(parts) - 1:
            raise RouteError(f"route {template!r}: {part!r} can only stand at the end")
        segments.append(Segment(CATCH_ALL if rest else PARAMETER, found["name"], optional))
    if segments and segments[0].kind == LITERAL and segments[0].text in RESERVED:
        raise RouteError(f"route {template!r}: /{segments[0].text} belongs to the Functions host")
    return tuple(segments)


def precedence(segments: Sequence[Segment]) -> tuple[int, ...]:
    """Rank a template; the smaller one is tried first."""
    return tuple(segment.kind for segment in segments)


def overlap(one: Sequence[Segment], other: Sequence[Segment]) -> bool:
    """Say whether some path fits both templates."""
    for mine, theirs in zip_longest(one, other):
        if mine is None or theirs is None:
            return bool((mine or theirs).optional)
        if CATCH_ALL in {mine.kind, theirs.kind}:
            return True
        if mine.kind == theirs.kind == LITERAL and mine.text != theirs.text:
            return False
    return True


def _turn(route: Route) -> str:
    """When the Functions host tries the route: by name, compared without case."""
    return route.name.upper()


def shadowed(routes: Iterable[Route]) -> list[tuple[Route, Route]]:
    """List `(hidden, hiding)`: pairs that the Functions host, going by name, would answer with the vaguer function."""
    ranked = sorted(((precedence(parse(route.template)), parse(route.template), route) for route in routes), key=lambda row: row[0])
    found: list[tuple[Route, Route]] = []
    for place, (rank, segments, route) in enumerate(ranked):
        for other_rank, other_segments, other in ranked[place + 1 :]:
            share = not route.methods or not other.methods or route.methods & other.methods
            if share and other_rank != rank and _turn(other) < _turn(route) and overlap(segments, other_segments):
                found.append((route, other))
    return found


@dataclass(slots=True)
class _Leaf[T]:
    """A template's end: what to call, and the names for the values found on the way."""

    route: Route
    rank: tuple[int, ...]
    names: tuple[str, ...]
    target: T


@dataclass(slots=True)
class _Node[T]:
    """A place in the tree of templates; `ends` and `rests` are in the order of precedence."""

    literals: "dict[str, _Node[T]]" = field(default_factory=dict)
    parameter: "_Node[T] | None" = None
    ends: list[_Leaf[T]] = field(default_factory=list)
    rests: list[_Leaf[T]] = field(default_factory=list)

    def literal(self, text: str) -> "_Node[T]":
        return self.literals.setdefault(text, _Node())

    def any(self) -> "_Node[T]":
        if self.parameter is None:
            self.parameter = _Node()
        return self.parameter


class Router[T]:
    """Matches a method and a path against all templates.

    Args:
        routes: Every function's route with what to call for it.
        prefix: `extensions.http.routePrefix` of host.json.
    """

    def __init__(self, routes: Iterable[tuple[Route, T]], prefix: str = "") -> None:
        self._root: _Node[T] = _Node()
        self.exact: dict[str, dict[str, T]] = {}
        for route, target in routes:
            template = f"{prefix.strip('/')}/{route.template.strip('/')}".strip("/")
            self._add(route, parse(template), target)
        self._index_literals(self._root, "")

    def match(self, method: str, path: str, raw_path: bytes = b"") -> tuple[T, dict[str, str]] | None:
        """Find the function for a request.

        Args:
            method: In upper case.
            path: Percent-decoded.
            raw_path: As sent; needed to keep an encoded slash inside one segment, as the Functions host does.

        Returns:
            What to call and the route's values by name (as spelled in the template), or None: answer 404.
        """
        if b"%2" not in raw_path:
            targets = self.exact.get(path)
            if targets is not None and (target := targets.get(method)) is not None:
                return target, {}
        else:
            path = unquote(re.sub("%2f", "%252F", raw_path.decode("latin-1"), flags=re.IGNORECASE))
        segments = path[1:].split("/")
        if segments[-1] == "":
            segments.pop()
        return self._walk(self._root, segments, 0, method, ())

    def _walk(
        self, node: _Node[T], segments: list[str], place: int, method: str, values: tuple[str, ...]
    ) -> tuple[T, dict[str, str]] | None:
        if place == len(segments):
            return self._pick(node.ends, method, values)
        text = segments[place]
        child = node.literals.get(text) or node.literals.get(text.lower())
        if child is not None and (found := self._walk(child, segments, place + 1, method, values)) is not None:
            return found
        if (
            node.parameter is not None
            and text
            and (found := self._walk(node.parameter, segments, place + 1, method, (*values, text))) is not None
        ):
            return found
        if node.rests:
            return self._pick(node.rests, method, (*values, "/".join(segments[place:])))
        return None

    @staticmethod
    def _pick(leaves: list[_Leaf[T]], method: str, values: tuple[str, ...]) -> tuple[T, dict[str, str]] | None:
        for leaf in leaves:
            if leaf.route.accepts(method):
                return leaf.target, dict(zip(leaf.names, values, strict=False))
        return None

    def _add(self, route: Route, segments: tuple[Segment, ...], target: T) -> None:
        names = tuple(segment.text for segment in segments if segment.kind != LITERAL)
        leaf = _Leaf(route, precedence(segments), names, target)
        node = self._root
        for segment in segments:
            if segment.optional:
                self._insert(node.ends, leaf)
            if segment.kind == CATCH_ALL:
                self._insert(node.rests, leaf)
                return
            node = node.literal(segment.text) if segment.kind == LITERAL else node.any()
        self._insert(node.ends, leaf)

    @staticmethod
    def _insert(leaves: list[_Leaf[T]], leaf: _Leaf[T]) -> None:
        leaves.append(leaf)
        leaves.sort(key=lambda one: (one.rank, _turn(one.route)))

    def _index_literals(self, node: _Node[T], path: str) -> None:
        """Fill `exact`: paths without parameters need one look-up, since nothing can win over them."""
        for leaf in node.ends:
            if CATCH_ALL not in leaf.rank and PARAMETER not in leaf.rank:
                for method in leaf.route.methods or STANDARD_METHODS:
                    self.exact.setdefault(path or "/", {}).setdefault(method, leaf.target)
        for text, child in node.literals.items():
            self._index_literals(child, f"{path}/{text}")
