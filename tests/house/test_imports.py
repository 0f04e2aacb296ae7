"""Who may import whom, and how little importing the app may load."""

import json
import re
import tomllib

from tests.house.sources import modules, name_of, python, read, section

VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "base", "misc"}
# What a cold start must not pay for: it is imported by the first call that needs it.
HEAVY = ("openai", "tiktoken", "azure.identity", "azure.servicebus", "azure.data.tables", "azure.storage", "azure.ai")


def test_the_import_rules_hold() -> None:
    done = python("import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))")
    assert done.returncode == 0, done.stdout + done.stderr


def test_architecture_shows_the_layers_that_are_checked() -> None:
    contracts = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    (street,) = [contract for contract in contracts if contract["type"] == "layers"]
    shown = re.search(r"```text\n(routes\n.*?)```", section(read("ARCHITECTURE.md"), "Who may import whom"), re.DOTALL)
    assert shown
    assert [line.split("  ")[0] for line in shown[1].splitlines()] == street["layers"]
    assert street["exhaustive"]


def test_no_module_has_a_name_that_says_nothing() -> None:
    named = modules("gateway", "devhost", "orchestrations", "bench", "tests")
    assert [name_of(path) for path in named if VAGUE & {path.stem, path.parent.name}] == []


def test_importing_the_app_loads_no_sdk_and_warns_of_nothing() -> None:
    done = python("import json, sys, function_app; print(json.dumps(sorted(sys.modules)))")
    assert (done.returncode, done.stderr) == (0, "")
    loaded = json.loads(done.stdout)
    assert [name for name in loaded if any(name == heavy or name.startswith(heavy + ".") for heavy in HEAVY)] == []


def test_the_product_imports_neither_its_embedded_host_nor_its_tests() -> None:
    pattern = re.compile(r"^\s*(?:from|import) (?:devhost|tests|bench)\b", re.MULTILINE)
    product = [path for path in modules("gateway", "orchestrations", "function_app.py") if pattern.search(path.read_text(encoding="utf-8"))]
    assert [name_of(path) for path in product] == []
