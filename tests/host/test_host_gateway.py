"""What a user does first: start it, paste what it prints, run the demo."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from devhost.console import snippets
from tests.host import asking
from tests.host.conftest import ROOT, environment
from tests.host.test_host_app import ask


def test_the_printed_snippet_runs(gateway: Any) -> None:
    script = dict(snippets(gateway.url, gateway.demo_keys["unlimited"], "gpt-4o-mini"))["Python, whole and streamed"]
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    whole, streamed = done.stdout.splitlines()
    assert whole
    assert whole == streamed


def test_the_sample_product_has_its_own_limited_key(gateway: Any) -> None:
    assert list(gateway.demo_keys) == ["unlimited", "starter", "guarded"]
    assert len(set(gateway.demo_keys.values())) == 3


def test_serves_without_simulated_backends(run_host: Any) -> None:
    running = run_host("--no-simulator")
    assert running.simulator_url is None
    assert ask(running, "GET", "/readyz")[0] == 200
    assert running.stop() == 0


def test_says_what_is_wrong_with_the_catalogue(run_host: Any, tmp_path: Path) -> None:
    catalog = tmp_path / "broken.yaml"
    catalog.write_text("version: 1\nbackend: []\n", encoding="utf-8")
    running = run_host("--catalog", str(catalog))
    assert running.wait() == 1
    assert "backend" in running.errors()
    assert "Traceback" not in running.errors()


def test_says_what_is_wrong_with_the_settings(run_host: Any) -> None:
    running = run_host(settings={"GATEWAY_KEY_PEPPER": "short"})
    assert running.wait() == 1
    assert "GATEWAY_KEY_PEPPER" in running.errors()
    assert "Traceback" not in running.errors()


def test_the_demo_ends_well() -> None:
    done = subprocess.run([sys.executable, "-m", "devhost.demo"], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "a key nobody issued                401" in done.stdout


def test_makes_new_demo_keys_when_the_kept_ones_are_refused(run_host: Any, tmp_path: Path) -> None:
    first = run_host("--data", str(tmp_path / "data"))
    assert first.stop() == 0
    (first.data / "tables.db").unlink()
    second = run_host("--data", str(tmp_path / "data"))
    assert second.stop() == 0
    other = run_host("--data", str(tmp_path / "data"), settings={"GATEWAY_KEY_PEPPER": "another pepper of enough characters"})
    assert other.stop() == 0
    assert len({running.demo_keys["unlimited"] for running in (first, second, other)}) == 3


def test_makes_a_new_demo_key_for_one_that_was_revoked(run_host: Any, tmp_path: Path) -> None:
    first = run_host("--data", str(tmp_path / "data"))
    listing = asking.ask(first, "GET", "/manage/subscriptions?product=starter", key=first.admin_key).json()
    path = f"/manage/subscriptions/{listing['data'][0]['id']}/keys/primary/revoke"
    assert asking.ask(first, "POST", path, key=first.admin_key).status == 200
    assert first.stop() == 0
    second = run_host("--data", str(tmp_path / "data"))
    assert asking.ask(second, "GET", "/v1/models", key=second.demo_keys["starter"]).status == 200
    assert second.stop() == 0


def test_a_start_leaves_no_usage_of_its_own(run_host: Any, tmp_path: Path) -> None:
    keys = []
    for _ in range(2):  # keys that are made, and keys that are kept
        running = run_host("--data", str(tmp_path / "data"))
        assert asking.ask(running, "GET", "/manage/usage", key=running.admin_key).json()["data"] == []
        assert running.stop() == 0
        keys.append(running.demo_keys)
    assert keys[0] == keys[1]


def test_the_catalogue_may_be_behind_a_url(run_host: Any) -> None:
    running = run_host("--catalog", "https://127.0.0.1:1/catalog.yaml")
    assert running.wait() == 1
    assert "https://127.0.0.1:1/catalog.yaml" in running.errors()
    assert running.errors().count("\n") == 1
