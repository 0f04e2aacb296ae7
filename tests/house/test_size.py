"""Nothing grows until nobody reads it."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.house.sources import PRODUCT, files, modules, name_of, read

AIM_LINES, MOST_LINES, FUNCTION_LINES, APP_LINES = 300, 400, 60, 25
# Files over the aim, each with the reason why it is one thing. None may pass the most.
LONGER: dict[str, str] = {}

ALL = [path for path in files() if path.suffix == ".py"]


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions_of(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1


def test_modules_of_the_product_stay_within_the_aim() -> None:
    long = {name_of(path): lines_of(path) for path in modules(*PRODUCT) if lines_of(path) > AIM_LINES}
    assert long.keys() == LONGER.keys(), f"split them, or give the reason in LONGER: {long}"


def test_no_python_file_passes_the_most() -> None:
    assert {name_of(path): lines_of(path) for path in ALL if lines_of(path) > MOST_LINES} == {}


def test_no_function_is_too_long_to_be_seen_at_once() -> None:
    found = {f"{name_of(path)}:{name}": length for path in ALL for name, length in functions_of(path) if length > FUNCTION_LINES}
    assert found == {}


def test_function_app_registers_and_does_nothing_else() -> None:
    source = read("function_app.py")
    assert len(source.splitlines()) <= APP_LINES
    imported = {name for node in ast.walk(ast.parse(source)) for name in _imports(node)}
    assert imported <= {"azure.functions", "gateway.routes", "orchestrations"}
    assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.If, ast.Try))]


def _imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
