"""What the Functions host reads, and what is published."""

import json
import re
import tomllib
from typing import Any

from tests.house.sources import read

PIN = re.compile(r"^([a-z0-9-]+)==(\S+?)(?: ; .+)?$")


def lock() -> dict[str, dict[str, Any]]:
    return {package["name"]: package for package in tomllib.loads(read("uv.lock"))["package"]}


def needed(locked: dict[str, dict[str, Any]], root: str) -> set[str]:
    """Return what the root package needs at run time, all the way down, extras included."""
    found: set[tuple[str, str]] = set()
    waiting = [(dependency["name"], extra) for dependency in locked[root]["dependencies"] for extra in ("", *dependency.get("extra", ()))]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        package = locked[name]
        more = package.get("optional-dependencies", {}).get(extra, ()) if extra else package.get("dependencies", ())
        waiting += [(dependency["name"], wanted) for dependency in more for wanted in ("", *dependency.get("extra", ()))]
    return {name for name, _ in found}


def test_requirements_are_the_locked_runtime_packages() -> None:
    locked, project = lock(), tomllib.loads(read("pyproject.toml"))["project"]["name"]
    lines = [PIN.match(line) for line in read("requirements.txt").splitlines()]
    assert all(lines), "every line of requirements.txt pins a package"
    pinned = {line[1]: line[2] for line in lines if line}
    assert pinned == {name: locked[name]["version"] for name in needed(locked, project)}


def test_the_lock_knows_what_the_project_asks_for() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    asked = {re.split(r"[=>< ;]", dependency)[0] for dependency in project["dependencies"]}
    locked = lock()[project["name"]]
    assert {dependency["name"] for dependency in locked["dependencies"]} == asked
    assert locked["version"] == project["version"]


def test_the_changelog_leads_with_this_version() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    headings = re.findall(r"^## \[(.+?)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert headings[:2] == ["Unreleased", version]


def test_python_is_the_one_that_is_asked_for() -> None:
    version = read(".python-version").strip()
    project = tomllib.loads(read("pyproject.toml"))
    assert version.startswith("3.13")
    assert project["project"]["requires-python"] == ">=3.13,<3.14"
    assert project["tool"]["mypy"]["python_version"] == "3.13"


def test_host_json_gives_us_every_path_and_the_right_bundle() -> None:
    host = json.loads(read("host.json"))
    assert host["version"] == "2.0"
    assert host["extensions"]["http"]["routePrefix"] == ""
    assert host["extensionBundle"] == {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.0.0, 5.0.0)"}


def test_the_licence_is_the_whole_apache_licence() -> None:
    text = read("LICENSE")
    assert text.strip().startswith("Apache License\n                           Version 2.0, January 2004")
    assert "END OF TERMS AND CONDITIONS" in text
    assert text.rstrip().endswith("limitations under the License.")
