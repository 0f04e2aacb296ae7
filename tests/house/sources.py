"""What the house tests read: the repository's files, its documents' tables and lists, and the app's functions."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("gateway", "devhost", "orchestrations")  # orchestrations/ is checked as soon as it exists
# Not ours, or made by a tool.
SKIPPED = {
    *(".git", ".venv", ".tools", ".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache", ".grimp_cache"),
    *("node_modules", "__pycache__", "dist", ".data"),
}
FENCE = re.compile(
    r"^(?:<!-- runnable(?:, prints: (?P<prints>[^\n]+?))? -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Function(NamedTuple):
    """A function of the app as the Functions host learns of it."""

    name: str
    methods: tuple[str, ...]
    route: str


class Block(NamedTuple):
    """A fenced block of a document; `prints` is what its output must hold where it is marked runnable."""

    language: str
    code: str
    runnable: bool
    prints: str


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def files() -> Iterator[Path]:
    """Walk over the repository's own files."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        yield from (Path(folder, name) for name in sorted(names))


def modules(*folders: str) -> list[Path]:
    """List the Python files of these top-level folders."""
    return [path for path in files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def section(document: str, heading: str) -> str:
    """Return what stands under a heading, up to the next one of its rank or above."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", document, re.MULTILINE)
    assert found, f"there is no heading {heading!r}"
    rest = document[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def table(document: str, heading: str) -> list[list[str]]:
    """Return the body rows of the first table under a heading, cell by cell."""
    lines = [line for line in section(document, heading).splitlines() if line.startswith("|")]
    assert len(lines) > 2, f"there is no table under {heading!r}"
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def codes(cell: str) -> list[str]:
    """Return what a cell sets in code style."""
    return re.findall(r"`([^`]+)`", cell)


def blocks(document: str) -> list[Block]:
    found = FENCE.finditer(document)
    return [Block(m["language"], m["code"], m[0].startswith("<!-- runnable"), m["prints"] or "") for m in found]


def python(code: str, *, flags: tuple[str, ...] = (), **settings: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter at the root, with warnings as errors."""
    command = [sys.executable, *flags, "-W", "error", "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=100)


@cache
def functions() -> tuple[Function, ...]:
    """Index the app's HTTP functions, in a process of its own: an app can be indexed once."""
    script = (
        "import json, function_app as f; print(json.dumps([[x.get_function_name(), x.get_raw_bindings()] for x in f.app.get_functions()]))"
    )
    done = python(script)
    assert done.returncode == 0, done.stderr
    indexed = [(name, [json.loads(binding) for binding in bindings]) for name, bindings in json.loads(done.stdout)]
    return tuple(_function(name, bindings) for name, bindings in indexed if not _is_timer(bindings))


def _is_timer(bindings: list[dict[str, Any]]) -> bool:
    return any(binding["type"] == "timerTrigger" for binding in bindings)


def _function(name: str, bindings: list[dict[str, Any]]) -> Function:
    (trigger,) = [binding for binding in bindings if binding["type"] == "httpTrigger"] or [{}]
    return Function(name, tuple(trigger.get("methods", ())), trigger.get("route", ""))
