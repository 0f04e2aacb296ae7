r"""The template language of tenants' prompts: places for values, and nothing that runs. Values are data: they are never read as a template.

| written | becomes |
| --- | --- |
| `{{name}}`, `{{ name }}` | the variable's value |
| `{{order.items.0.name}}` | a member of it, or an element |
| `{{context.user}}`, `{{lookups.customer.plan}}` | what the gateway knows of the call, or has looked up |
| `{{name\|json}}`, `{{name\|xml}}`, `{{name\|raw}}` | the value as JSON, escaped for XML, as it is |
| `{{> name}}` | another prompt's text, pinned when the version was made |
| `\{{` | two braces |

Without `|…` the place decides. In a fenced block that begins with a line of three backticks and `json`, a value becomes JSON; between
quotes there, the inside of a JSON string. Between an XML tag and the one that closes it (`<doc>…</doc>`), and in that tag's
attributes, it is escaped for XML. Anywhere else it stands as it is. What is no text is written as JSON before that. JSON never holds
`<`, `>`, `&`, U+FFFE and U+FFFF, so that a JSON block within a tag is safe for both. A character that XML cannot hold becomes U+FFFD.
"""

import bisect
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from gateway.domain.prompts import Partial
from gateway.errors import PromptError

MAX_DEPTH = 16  # members of one place
MAX_CHARACTERS = 1_000_000  # of a template with its partials filled in: a short one can include a long one often
REMEMBERED = 2048  # compiled texts

type Escape = Callable[[Any], str]
type Piece = str | Place

_TOKEN = re.compile(r"\\\{\{|\{\{(.*?)\}\}|\{\{", re.DOTALL)
_PARTIAL = re.compile(r"(\\\{\{)|\{\{>\s*([A-Za-z0-9._@-]+)\s*\}\}")
_PLACE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*)\s*(?:\|\s*([a-z]+)\s*)?")
_FENCE = re.compile(r"^[ \t]*```json[^\n]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)
_TAG = re.compile(r"<(/?)([A-Za-z_][A-Za-z0-9_.:-]*)((?:\s[^<>]*)?)>")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_XML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "\r": "&#13;"})
_SAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\ufffe": "\\ufffe", "\uffff": "\\uffff"})
_QUOTE = re.compile(r'\\.|"', re.DOTALL)
_encode = msgspec.json.encode


class Place(msgspec.Struct, frozen=True):
    """Where a value goes: the variable, the way to a member of it, and how the value is written."""

    name: str
    members: tuple[str, ...]
    escape: Escape

    @property
    def written(self) -> str:
        """The variable and its members as the template has them."""
        return ".".join((self.name, *self.members))


def plain(value: Any) -> str:
    """Return a text as it is, and all else as JSON."""
    return value if type(value) is str else _encode(value).decode()


def as_json(value: Any) -> str:
    """Return a value as JSON that may stand in XML too."""
    return _encode(value).decode().translate(_SAFE)


def inside_json_string(value: Any) -> str:
    """Return a value for between the quotes of a JSON string."""
    return as_json(plain(value))[1:-1]


def as_xml(value: Any) -> str:
    """Return a value for an XML element or attribute."""
    return _NOT_XML.sub("\ufffd", plain(value)).translate(_XML)


_ESCAPES: Mapping[str, Escape] = {"json": as_json, "xml": as_xml, "raw": plain}


def partials_in(text: str) -> frozenset[str]:
    """Return the references of a template's partials, as written."""
    return frozenset(found[2] for found in _PARTIAL.finditer(text) if found[2])


def expanded(text: str, partials: Mapping[str, Partial]) -> str:
    """Return a template with its partials filled in; PromptError names one that is not pinned, or says that it grows too long."""
    left = MAX_CHARACTERS - len(text)

    def fill(found: re.Match[str]) -> str:
        nonlocal left
        if found[1]:
            return found[1]
        if (partial := partials.get(found[2])) is None:
            raise PromptError(f"includes {found[2][:80]!r}, which is not pinned with this version")
        if (left := left - len(partial.text)) < 0:
            raise PromptError(f"has with what it includes more than {MAX_CHARACTERS} characters; include less")
        return partial.text

    return _PARTIAL.sub(fill, text) if "{{>" in text else text


@functools.lru_cache(maxsize=REMEMBERED)
def compiled(text: str) -> tuple[Piece, ...]:
    """Return a template's pieces: literal texts, and places. Takes time that grows as the text does, whatever is in it.

    Args:
        text: With its partials filled in.

    Raises:
        PromptError: Saying what is wrong with it and where; its `param` is the caller's to give.
    """
    tokens = []
    for found in _TOKEN.finditer(text):
        if found[0] == "{{":  # no other is looked for: each would be searched for its end through the whole text
            raise PromptError(f"has '{{{{' without '}}}}' in line {_line(text, found)}; write \\{{{{ for two braces")
        tokens.append(found)
    escape_at = _escapes(text, tokens)
    pieces: list[Piece] = []
    end = 0
    for found in tokens:
        pieces.append(text[end : found.start()])
        end = found.end()
        pieces.append("{{" if found[0][0] == "\\" else _place(text, found, escape_at))
    pieces.append(text[end:])
    return _merged(pieces)


def _place(text: str, found: re.Match[str], escape_at: Callable[[int], Escape]) -> Place:
    read = _PLACE.fullmatch(found[1])
    if read is None:
        raise PromptError(f"has in line {_line(text, found)} {found[0][:64]!r}, which is no variable; write \\{{{{ for two braces")
    name, *members = read[1].split(".")
    if len(members) > MAX_DEPTH:
        raise PromptError(f"goes down {len(members)} members in line {_line(text, found)}; {MAX_DEPTH} is the most")
    if read[2] and read[2] not in _ESCAPES:
        raise PromptError(f"has in line {_line(text, found)} |{read[2][:32]}; there are |json, |xml and |raw")
    if name in {"context", "lookups"} and not members:
        raise PromptError(f"has in line {_line(text, found)} {name!r} alone; name a member of it, such as {{{{{name}.NAME}}}}")
    return Place(name, tuple(members), _ESCAPES[read[2]] if read[2] else escape_at(found.start()))


def _line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1


def _merged(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    made: list[Piece] = []
    literals: list[str] = []
    for piece in (*pieces, None):
        if isinstance(piece, str):
            literals.append(piece)
            continue
        if literal := "".join(literals):
            made.append(literal)
        literals.clear()
        if piece is not None:
            made.append(piece)
    return tuple(made)


def _escapes(text: str, tokens: Iterable[re.Match[str]]) -> Callable[[int], Escape]:
    """Return what tells how a value is written at a position."""
    fences = [found.span(1) for found in _FENCE.finditer(text)] if "```json" in text else []
    elements = _elements(text) if "</" in text else []
    fence_starts, element_starts = [start for start, _ in fences], [start for start, _ in elements]
    quotes = _quotes(text, tokens, fences) if fences else []

    def escape_at(at: int) -> Escape:
        index = bisect.bisect_right(fence_starts, at) - 1
        if index >= 0 and at < fences[index][1]:
            before = bisect.bisect_left(quotes, at) - bisect.bisect_left(quotes, fences[index][0])
            return inside_json_string if before % 2 else as_json
        index = bisect.bisect_right(element_starts, at) - 1
        return as_xml if index >= 0 and at < elements[index][1] else plain

    return escape_at


def _elements(text: str) -> list[tuple[int, int]]:
    """Return where the outermost XML elements begin and end: a tag that nothing closes is none."""
    opened: dict[str, list[int]] = {}
    spans: list[tuple[int, int]] = []
    for found in _TAG.finditer(text):
        if not found[1]:
            if not found[3].endswith("/"):
                opened.setdefault(found[2], []).append(found.start())
        elif starts := opened.get(found[2]):
            spans.append((starts.pop(), found.end()))
    outermost: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if outermost and start < outermost[-1][1]:
            outermost[-1] = (outermost[-1][0], max(end, outermost[-1][1]))
        else:
            outermost.append((start, end))
    return outermost


def _quotes(text: str, tokens: Iterable[re.Match[str]], fences: Iterable[tuple[int, int]]) -> list[int]:
    """Return where in fences a JSON string begins or ends: what stands in a place is neither."""
    parts: list[str] = []
    end = 0
    for found in tokens:
        parts += (text[end : found.start()], " " * len(found[0]))
        end = found.end()
    blanked = "".join((*parts, text[end:]))
    return [found.start() for span in fences for found in _QUOTE.finditer(blanked, *span) if found[0] == '"']
