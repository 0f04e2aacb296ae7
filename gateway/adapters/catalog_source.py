"""Reads the catalogue from a path or an https URL, and names the line of whatever is wrong with it.

PyYAML's safe loader only; aliases are refused, because a few lines of them can stand for gigabytes, and so are
duplicate keys, of which YAML would silently keep the last.
"""

import asyncio
import pathlib
import re
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
import yaml

from gateway.domain.catalog import Catalog
from gateway.domain.catalog_file import CatalogError, build_catalog
from gateway.domain.guardrail_faults import Check, nothing_more
from gateway.domain.price_book import NO_PRICES, PriceBook

MAX_BYTES = 8 * 1024 * 1024
FETCH_TIMEOUT_S = 20
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


class CatalogUnusable(Exception):
    """The catalogue could not be read or is wrong; the message says where (file, line) and what."""


async def load_catalog(
    location: str,
    environment: Mapping[str, str],
    tls: ssl.SSLContext | None = None,
    *,
    book: PriceBook = NO_PRICES,
    check: Check = nothing_more,
) -> Catalog:
    """Read, parse and validate the catalogue.

    Args:
        location: A path, or an https URL (such as a blob's with a SAS).
        environment: Fills `${env:NAME}`.
        tls: Whom to trust when fetching, if not those whom the system trusts.
        book: Prices of deployments that the file gives none.
        check: Says what is wrong with a guardrail that only its detector can tell.

    Raises:
        CatalogUnusable: With the file and, where one can be named, the line.
    """
    shown = location.partition("?")[0]  # a query may be a signature
    if location.startswith(("https://", "http://")):
        text = await _fetch(location, shown, tls)
    else:
        try:
            text = await asyncio.to_thread(pathlib.Path(location).read_text, "utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise CatalogUnusable(f"{shown}: the catalogue cannot be read: {exc}") from exc
    return parse_catalog(text, shown, environment, book, check)


def parse_catalog(
    text: str, name: str, environment: Mapping[str, str], book: PriceBook = NO_PRICES, check: Check = nothing_more
) -> Catalog:
    """Parse and validate a catalogue's text; `name` is its file's, for messages."""
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        _refuse_ambiguity(node, name)
        document = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise CatalogUnusable(f"{name}{line}: this is not YAML: {getattr(exc, 'problem', None) or str(exc).partition('\n')[0]}") from exc
    except (ValueError, AttributeError, RecursionError) as exc:  # PyYAML's, for a date or number that is none; endless nesting
        raise _unreadable(name, exc) from exc
    try:
        return build_catalog(document, environment, book, check)
    except CatalogError as exc:
        raise CatalogUnusable(f"{name}:{_line(node, exc)}: {exc.path}: {exc.message}") from exc
    except RecursionError as exc:
        raise _unreadable(name, exc) from exc


def _unreadable(name: str, exc: Exception) -> CatalogUnusable:
    return CatalogUnusable(f"{name}: this is not YAML that can be read: {exc}")


async def _fetch(location: str, shown: str, tls: ssl.SSLContext | None) -> str:
    if location.startswith("http://"):
        raise CatalogUnusable(f"{shown}: the catalogue is fetched over https:// only")
    timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(location, allow_redirects=False, ssl=tls or True) as response,
        ):
            if response.status != 200:
                raise CatalogUnusable(f"{shown}: the catalogue cannot be fetched: the server answered {response.status}")
            data = bytearray()
            async for piece in response.content.iter_any():
                data += piece
                if len(data) > MAX_BYTES:
                    break
    except (aiohttp.ClientError, TimeoutError, ValueError) as exc:  # ValueError: a host that cannot be one, such as a..b
        raise CatalogUnusable(f"{shown}: the catalogue cannot be fetched: {type(exc).__name__}") from exc
    if len(data) > MAX_BYTES:
        raise CatalogUnusable(f"{shown}: the catalogue is over {MAX_BYTES} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise CatalogUnusable(f"{shown}: the catalogue is not UTF-8") from exc


def _refuse_ambiguity(node: yaml.Node | None, name: str) -> None:
    """Refuse anchors that are used (a node with two parents) and keys that are there twice."""
    seen: set[int] = set()
    waiting = [node] if node is not None else []
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            raise CatalogUnusable(f"{name}:{current.start_mark.line + 1}: aliases are not allowed; write the value out")
        seen.add(id(current))
        if isinstance(current, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in current.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise CatalogUnusable(f"{name}:{key.start_mark.line + 1}: a key must be a plain name")
                if key.value in keys:
                    raise CatalogUnusable(f"{name}:{key.start_mark.line + 1}: the key {key.value!r} is there twice")
                keys.add(key.value)
                waiting += (key, value)
        elif isinstance(current, yaml.SequenceNode):
            waiting.extend(current.value)


def _line(node: yaml.Node | None, error: CatalogError) -> int:
    """Return the line of the value the error's path points at; an unknown key's own line where there is one."""
    line = 1
    for step in _STEP.finditer(error.path):
        found: Any = None
        if isinstance(node, yaml.MappingNode) and step[1]:
            found = next(((key, value) for key, value in node.value if key.value == step[1]), None)
        elif isinstance(node, yaml.SequenceNode) and step[2] and int(step[2]) < len(node.value):
            found = (node.value[int(step[2])],) * 2
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    unknown = re.match(r"`([^`]+)` is not known here", error.message)
    if unknown and isinstance(node, yaml.MappingNode):
        line = next((key.start_mark.line + 1 for key, _ in node.value if key.value == unknown[1]), line)
    return line
