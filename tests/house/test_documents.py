"""What the documents say holds: links lead somewhere, code runs, codes are the gateway's own."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.metering.reports import GROUPS
from tests.host.asking import chat
from tests.host.conftest import started
from tests.house.sources import ROOT, Block, blocks, codes, files, modules, name_of, read, section, table

REFERENCES = tuple(
    f"docs/{name}.md"
    for name in (
        "alerts",
        "catalogue",
        "conversations",
        "costs",
        "edge",
        "experiments",
        "first-hour",
        "guardrails",
        "identity",
        "limits",
        "prompts",
        "providers",
        "replay",
        "routing",
        "versions",
    )
)
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", *REFERENCES)
LINK = re.compile(r"\]\((?!https?://)([^)#]*)(?:#([^)]*))?\)")
USUAL_URL = "http://127.0.0.1:7071"
PLACEHOLDER = re.compile(r"<!-- [A-Z]+:|\b(?:TODO|TBD|FIXME|XXX)\b")
RUNNABLE = [(name, block) for name in DOCUMENTS if (ROOT / name).exists() for block in blocks(read(name)) if block.runnable]
# Codes that no request can bring about, with the reason.
UNREACHABLE = {
    "entity_exists": "the store's own word; becomes conflict",
    "entity_changed": "the store's own word; becomes conflict, or another try",
    "empty_summary": "the call goes on without a summary; its record says summary_failed",
}


def run(block: Block, gateway: Any) -> subprocess.CompletedProcess[str]:
    """Run a block as a reader would, against this gateway instead of the one on the usual port."""
    code = block.code.replace(USUAL_URL, gateway.url)
    commands = {"bash": ["bash", "-euo", "pipefail", "-c", code], "python": [sys.executable, "-W", "error", "-c", code]}
    keys = {"KEY": gateway.demo_keys["unlimited"], "GUARDED_KEY": gateway.demo_keys["guarded"], "ADMIN_KEY": gateway.admin_key}
    said = {"BASE": gateway.url, **keys}
    settings = {**os.environ, **said, "NO_PROXY": "127.0.0.1"}
    return subprocess.run(commands[block.language], cwd=ROOT, env=settings, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(("document", "block"), RUNNABLE, ids=[f"{name}-{index}" for index, (name, _) in enumerate(RUNNABLE)])
def test_a_block_that_is_marked_runnable_runs(document: str, block: Block, gateway: Any) -> None:
    done = run(block, gateway)
    assert done.returncode == 0, (document, done.stderr)
    assert block.prints
    assert block.prints in done.stdout


def test_the_catalogue_that_is_offered_to_be_served_can_be(tmp_path: Path) -> None:
    (text,) = re.findall(r"<!-- a catalogue to serve -->\n```yaml\n(.*?)```", read("docs/catalogue.md"), re.DOTALL)
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    with started(tmp_path, "--catalog", str(tmp_path / "mine.yaml")) as running:
        assert running.url, running.errors()
        reply = chat(running, model="llama")
    assert (reply.status, reply.headers["x-gateway-deployment"]) == (200, "llama-partner")
    assert "`x-gateway-deployment: llama-partner`" in read("docs/catalogue.md")


def test_readme_has_blocks_to_run_in_both_languages() -> None:
    assert {block.language for name, block in RUNNABLE if name == "README.md"} == {"bash", "python"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_that_exist(document: str) -> None:
    folder = (ROOT / document).parent
    assert [target for target, _ in LINK.findall(read(document)) if not (folder / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_into_a_page_lead_to_a_heading_of_it(document: str) -> None:
    folder = (ROOT / document).parent
    wanted = [(folder / target if target else ROOT / document, anchor) for target, anchor in LINK.findall(read(document)) if anchor]
    assert [(str(page), anchor) for page, anchor in wanted if anchor not in anchors(page.read_text(encoding="utf-8"))] == []


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_nothing_is_left_to_be_written(document: str) -> None:
    assert PLACEHOLDER.findall(read(document)) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_that_are_named_exist(document: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)\b", read(document))) | set(re.findall(r"^make ([a-z]+)\b", read(document), re.MULTILINE))
    assert named - targets == set()


def test_contributing_lists_every_make_target() -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", read("Makefile"), re.MULTILINE)) - {"help", "setup", "clean"}
    assert {codes(cell)[0].removeprefix("make ") for cell, _ in table(read("CONTRIBUTING.md"), "Setup")} == targets


def test_contributing_lists_every_kind_of_test() -> None:
    listed = {codes(cell)[0].split("/")[1] for cell, _ in table(read("CONTRIBUTING.md"), "Tests")}
    assert {path.relative_to(ROOT).parts[1] for path in modules("tests") if path.parent.name != "tests"} <= listed


def test_readme_lists_what_usage_can_be_grouped_by() -> None:
    (sentence,) = re.findall(r"^`group_by` is one of (.+?);", read("README.md"), re.MULTILINE)
    assert codes(sentence) == list(GROUPS)


def test_readme_names_every_header_of_ours() -> None:
    names = {name for path in modules("gateway") for name in re.findall(r"\"(x-gateway-[a-z-]+)\"", path.read_text(encoding="utf-8"))}
    rows = re.findall(r"^\| (`.+?) \|", section(read("README.md"), "Headers"), re.MULTILINE)
    assert names == {name for row in rows for name in codes(row) if name.startswith("x-gateway-")}


def test_readme_explains_every_error_code() -> None:
    explained = {code for _, cell, _, _ in table(read("README.md"), "Errors") for code in codes(cell)}
    used = {code for path in modules("gateway") for code in error_codes(path)}
    assert used - explained == UNREACHABLE.keys()
    assert explained - used == set()


def error_codes(path: Path) -> Iterator[str]:
    """Find `code="…"` in calls, the class attributes of errors.py, and the strict parser's own faults."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "code":
            yield from _words(node.value)
        elif isinstance(node, ast.Assign) and name_of(path) == "gateway/errors.py":
            yield from _assigned(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_Fault":
            yield from _words(node.args[1])
        elif isinstance(node, ast.AnnAssign) and name_of(path) == "gateway/errors.py" and isinstance(node.target, ast.Name):
            yield from _words(node.value) if node.target.id == "code" else ()
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "code":
            yield from _words(node.value)


def _assigned(node: ast.Assign) -> Iterator[str]:
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for name, element in zip(target.elts, value.elts, strict=True):
            if isinstance(name, ast.Name) and name.id == "code":
                yield from _words(element)
    elif isinstance(target, ast.Name) and target.id == "code":
        yield from _words(value)


def _words(node: ast.AST | None) -> Iterator[str]:
    """Return the texts that an expression can be: its own, or those of both arms of a choice."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*_words(node.body), *_words(node.orelse))


def test_no_document_was_forgotten() -> None:
    assert {name_of(path) for path in files() if path.suffix == ".md" and path.parent in {ROOT, ROOT / "docs"}} == set(DOCUMENTS)
