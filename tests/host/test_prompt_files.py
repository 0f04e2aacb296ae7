"""Prompts as files against a running gateway: `python -m gateway.prompts`, as it is called in a pipeline."""

import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.host.asking import ask
from tests.host.conftest import ROOT, environment
from tests.host.test_manage_access import made

EXAMPLES = ROOT / "examples" / "prompts"

type Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(gateway: Any) -> Run:
    """Run a command for a tenant of its own; its exit code and what it said."""
    tenant = f"files-{uuid.uuid4().hex[:8]}"
    made(gateway, "tenants", {"id": tenant})

    def run(command: str, folder: Path, *more: str, key: str = gateway.admin_key) -> tuple[int, str]:
        arguments = [sys.executable, "-W", "error", "-m", "gateway.prompts", command, str(folder), "--url", gateway.url, "--tenant", tenant]
        settings = environment(GATEWAY_ADMIN_KEY=key, NO_PROXY="127.0.0.1")
        done = subprocess.run([*arguments, *more], cwd=ROOT, env=settings, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout + done.stderr

    return run


def test_files_are_pushed_pulled_and_compared(run: Run, tmp_path: Path) -> None:
    code, said = run("push", EXAMPLES, "--label", "production")
    assert (code, said.splitlines()[-1]) == (0, "3 prompts: 3 new")
    for form in ("yaml", "prompty"):
        assert run("pull", tmp_path / form, "--format", form)[0] == 0
    for path in EXAMPLES.iterdir():
        assert (tmp_path / path.suffix[1:] / path.name).read_bytes() == path.read_bytes()
    assert run("diff", tmp_path / "prompty")[0] == 0
    changed = tmp_path / "yaml" / "translate.yaml"
    changed.write_text(changed.read_text(encoding="utf-8").replace("temperature: 0", "temperature: 1"), encoding="utf-8")
    code, said = run("diff", tmp_path / "yaml")
    assert (code, "+  temperature: 1" in said.splitlines()) == (1, True)
    assert run("push", tmp_path / "yaml", "--note", "warmer")[1].splitlines()[-1] == "3 prompts: 2 unchanged, 1 changed"
    assert run("diff", tmp_path / "yaml")[0] == 0


def test_a_faulty_folder_and_a_wrong_key_are_faults(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("model: m\n", encoding="utf-8")
    code, said = run("push", tmp_path)
    assert (code, said.splitlines()[0]) == (2, "bad.yaml: messages: is missing")
    code, said = run("push", EXAMPLES, key="wrong")
    assert (code, said.rstrip().endswith("(401 invalid_api_key)")) == (2, True), said


@pytest.mark.parametrize("name", ["translate", "assistant"])
def test_a_pushed_prompt_is_shown_to_callers_with_its_api(gateway: Any, name: str) -> None:
    command = [sys.executable, "-m", "gateway.prompts", "push", str(EXAMPLES), "--url", gateway.url, "--label", "production"]
    subprocess.run(command, cwd=ROOT, env=environment(GATEWAY_ADMIN_KEY=gateway.admin_key), check=True, capture_output=True, timeout=60)
    listed = {each["id"]: each for each in ask(gateway, "GET", "/v1/prompts").json()["data"]}
    assert listed[name]["shared"]
    shown = ask(gateway, "GET", f"/v1/prompts/{name}").json()
    document = ask(gateway, "GET", f"/v1/prompts/{name}/openapi.json").json()
    variables = document["components"]["schemas"]["Variables"]
    assert set(variables["properties"]) == set(shown["input_schema"]["properties"]) == set(shown["examples"][0])
    invoked = ask(gateway, "POST", f"/v1/prompts/{name}/invoke", {"variables": shown["examples"][0]})
    assert (invoked.status, invoked.headers["x-gateway-prompt-version"]) == (200, "1")


def test_a_refusal_says_why_in_the_gateways_words(run: Run, tmp_path: Path) -> None:
    text = "name: bad\nmodel: gpt-4o-mini\nmessages:\n- role: user\n  content: '{{unclosed'\n"
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
    code, said = run("push", tmp_path)
    assert code == 2
    assert "messages[0].content" in said
    assert "not from a gateway" not in said
    code, said = run("push", EXAMPLES, key="gwk_nobody_issued_this")
    assert (code, "401" in said, "not from a gateway" in said) == (2, True, False)
