"""ARCHITECTURE.md is a map: it is compared with the land."""

import ast
import inspect
import re

import gateway.errors
from gateway.errors import GatewayError
from tests.house.sources import ROOT, SKIPPED, files, name_of, read, section

STEP = re.compile(r"^(\d+)\. \*\*(.+?)\*\*", re.MULTILINE)
BRANCH = re.compile(r"^([│ ]*)(?:[├└]── )?([A-Z]\w+)(?: (\d\d\d|4xx))?(?: .*)?$")
ENTRY = re.compile(r"^((?:│   |    )*)(?:├── |└── )(\S+)")


def docstring(name: str) -> str:
    return ast.get_docstring(ast.parse(read(name))) or ""


def real_tree(error: type[GatewayError] = GatewayError, above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    here = (*above, error.__name__)
    return {here}.union(*(real_tree(below, here) for below in error.__subclasses__() if below.__module__ == gateway.errors.__name__))


def drawn_tree(text: str) -> dict[tuple[str, ...], str]:
    """Read a drawing of the errors: path from the root → its status as drawn."""
    found: dict[tuple[str, ...], str] = {}
    path: list[str] = []
    lines = text[text.index("GatewayError\n") :].splitlines()
    for line in lines:
        branch = BRANCH.match(line)
        if not branch or (path and not line.startswith(("│", "├", "└", " "))):
            break
        path[(0 if not found else len(branch[1]) // 4 + 1) :] = [branch[2]]
        found[tuple(path)] = branch[3] or ""
    return found


def test_pipeline_and_architecture_tell_the_same_steps() -> None:
    told = STEP.findall(docstring("gateway/pipeline.py"))
    assert [int(number) for number, _ in told] == list(range(1, len(told) + 1))
    assert STEP.findall(section(read("ARCHITECTURE.md"), "The way of the data")) == told


def test_the_errors_docstring_draws_the_real_tree() -> None:
    assert drawn_tree(docstring("gateway/errors.py")).keys() == real_tree()


def test_the_errors_docstring_draws_the_real_statuses() -> None:
    for path, status in drawn_tree(docstring("gateway/errors.py")).items():
        error = getattr(gateway.errors, path[-1])
        if status == "4xx":  # the upstream's own
            assert "status" in inspect.signature(error).parameters
        elif status:
            assert str(error.status) == status, path


def test_architecture_draws_the_same_errors() -> None:
    assert drawn_tree(section(read("ARCHITECTURE.md"), "Errors")) == drawn_tree(docstring("gateway/errors.py"))


def test_architecture_lists_every_folder_and_module() -> None:
    listed: set[str] = set()
    path: list[str] = []
    for line in section(read("ARCHITECTURE.md"), "The tree").splitlines():
        if entry := ENTRY.match(line):
            path[len(entry[1]) // 4 :] = [entry[2]]
            listed.add("/".join(part.rstrip("/") for part in path))
    assert {name for name in listed if not (ROOT / name).exists()} == set(), "listed, and not there"
    own = {name_of(found) for found in files()}
    top = {name.split("/")[0] for name in own}
    inside = {name for name in own if name.startswith(("gateway/", "devhost/")) and name.endswith(".py") and "__init__" not in name}
    inside = {name for name in inside if not name.startswith("devhost/simulator/")} | {"devhost/simulator"}
    assert (top | inside) - listed - SKIPPED - {"local.settings.json"} == set(), "there, and not listed"
