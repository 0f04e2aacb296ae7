"""`python -m gateway.prompts`: push, pull and diff against the administration of prompts, over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.prompts.__main__ import main
from gateway.prompts.client import Client, ClientFault
from gateway.prompts.client_commands import Wishes, diff
from tests.house.sources import ROOT
from tests.unit.prompts.served import KEY, Served, serving

EXAMPLES = ROOT / "examples" / "prompts"


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as running:
        yield running


@pytest.fixture
def run(served: Served, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command; its exit code, what it said, and what it complained of."""

    def run(command: str, folder: Path, *more: str, key: str = KEY) -> tuple[int, str, str]:
        code = main([command, str(folder), "--url", served.url, "--key", key, *more])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def written(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(f"model: m\nmessages:\n  - {{role: user, content: '{text}'}}\n", encoding="utf-8")
    return folder


def test_what_was_pushed_is_pulled_and_nothing_differs(run: Any, tmp_path: Path) -> None:
    expected = (
        "assistant       new        version 1  production put here\n"
        "support-triage  new        version 1  production put here\n"
        "translate       new        version 1  production put here\n"
        "3 prompts: 3 new\n"
    )
    assert run("push", EXAMPLES, "--label", "production") == (0, expected, "")
    for form in ("yaml", "prompty"):
        code, said, _ = run("pull", tmp_path / form, "--format", form)
        assert (code, said.splitlines()[-1]) == (0, "3 prompts: 3 written")
        assert run("diff", tmp_path / form)[0] == 0
    for path in EXAMPLES.iterdir():  # our examples are as a pull writes them
        assert (tmp_path / path.suffix[1:] / path.name).read_bytes() == path.read_bytes()
    assert run("diff", EXAMPLES)[1].splitlines()[-1] == "3 prompts: 3 same"


def test_a_changed_file_differs_until_it_is_pushed(run: Any, tmp_path: Path) -> None:
    run("push", written(tmp_path, one="first", two="second"))
    assert run("diff", tmp_path)[0] == 0
    written(tmp_path, one="changed")
    code, said, _ = run("diff", tmp_path)
    assert (code, said.splitlines()[0]) == (1, "one  differs    from version 1")
    assert "-    content: first" in said.splitlines()
    assert "+    content: changed" in said.splitlines()
    assert "\x1b" not in said
    assert (
        run("push", tmp_path, "--note", "why")[1]
        == "one  changed    version 2\ntwo  unchanged  version 1\n2 prompts: 1 changed, 1 unchanged\n"
    )
    assert run("diff", tmp_path)[0] == 0


def test_a_label_is_compared_with_and_moved_only_where_it_has_to(run: Any, tmp_path: Path) -> None:
    run("push", written(tmp_path, one="first"), "--label", "staging")
    run("push", written(tmp_path, one="second"))
    assert (run("diff", tmp_path)[0], run("diff", tmp_path, "--label", "staging")[0]) == (0, 1)
    assert run("diff", tmp_path, "--label", "production")[:2] == (1, "one  new        has no label production\n1 prompt: 1 new\n")
    assert "staging put here" in run("push", tmp_path, "--label", "staging")[1]
    assert "put here" not in run("push", tmp_path, "--label", "staging")[1]


def test_a_dry_run_says_what_would_be_and_sends_nothing(run: Any, served: Served, tmp_path: Path) -> None:
    run("push", written(tmp_path, one="first"))
    served.asked.clear()
    said = run("push", written(tmp_path, one="second", two="new"), "--label", "staging", "--dry-run")[1]
    assert said == (
        "one  changed    version 2  staging put here\ntwo  new        version 1  staging put here\n"
        "2 prompts: 1 changed, 1 new, nothing was sent\n"
    )  # fmt: skip
    assert (
        run("pull", tmp_path / "there", "--label", "latest", "--dry-run")[1].splitlines()[-1] == "1 prompt: 1 written, nothing was written"
    )
    assert not (tmp_path / "there").exists()
    assert {each.split()[0] for each in served.asked} == {"GET"}


def test_a_pull_keeps_changes_of_ones_own(run: Any, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    run("push", written(one, support="first"), "--label", "production")
    run("push", written(one, support="second"), "--label", "production")
    written(other, support="first")  # as it was once: nobody's change is lost
    assert run("pull", other)[:2] == (0, "support  written    version 2  support.yaml\n1 prompt: 1 written\n")
    assert run("pull", other)[:2] == (0, "support  unchanged  version 2\n1 prompt: 1 unchanged\n")
    mine = written(other, support="mine") / "support.yaml"
    before = mine.read_bytes()
    code, said, _ = run("pull", other)
    assert (code, said.splitlines()[0]) == (1, "support  kept       support.yaml has changes of yours; --force overwrites them")
    assert mine.read_bytes() == before
    assert run("pull", other, "--force")[0] == 0
    assert b"second" in mine.read_bytes()
    assert sorted(path.name for path in other.iterdir()) == ["support.yaml"]


def test_a_pull_leaves_out_what_has_no_such_label_and_never_takes_another_prompts_file(run: Any, tmp_path: Path) -> None:
    run("push", written(tmp_path, one="first"))
    assert run("pull", tmp_path / "there")[:2] == (0, "one  left out   has no label production\n1 prompt: 1 left out\n")
    (tmp_path / "one.yaml").write_text("name: two\nmodel: m\nmessages: [{role: user, content: x}]\n", encoding="utf-8")
    code, _, complaint = run("pull", tmp_path, "--label", "latest")
    assert (code, complaint) == (2, f"{tmp_path / 'one.yaml'} is the file of another prompt; rename it\n")


def test_all_faulty_files_are_named_and_nothing_is_sent(run: Any, served: Served, tmp_path: Path) -> None:
    written(tmp_path, good="x")
    (tmp_path / "below").mkdir()
    written(tmp_path / "below", good="y")
    (tmp_path / "a.yaml").write_text("model: ''\nmessages: [{role: user, content: x}]\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("model: m\nmessages: [{role: user, content: x}]\nparameters: {stream: true}\n", encoding="utf-8")
    (tmp_path / ".hidden.yaml").write_text("no prompt", encoding="utf-8")
    (tmp_path / "README.md").write_text("no prompt", encoding="utf-8")
    code, said, complaint = run("push", tmp_path)
    assert (code, said, served.asked) == (2, "", [])
    assert [line.split(" ")[:2] for line in complaint.splitlines()[:3]] == [
        ["a.yaml:", "model:"],
        ["b.yaml:", "parameters.stream:"],
        ["good.yaml:", "name:"],
    ]
    assert complaint.splitlines()[3] == "Nothing was sent or written: mend these first."


def test_what_the_gateway_refuses_is_said_with_the_file(run: Any, tmp_path: Path) -> None:
    code, said, complaint = run("push", written(tmp_path, aaa="fine", bad="{{}}", zzz="fine"))
    assert (code, said) == (2, "aaa  new        version 1\n1 prompt: 1 new, then this one was refused\n")
    assert complaint.startswith("bad.yaml: 'messages[0].content' has a variable without a name (400 ")


def test_prompts_are_a_tenants_where_one_is_named(run: Any, tmp_path: Path) -> None:
    assert run("push", written(tmp_path, one="x"), "--tenant", "acme")[0] == 0
    assert run("diff", tmp_path)[1].splitlines()[0] == "one  new        is not at the gateway"
    assert run("diff", tmp_path, "--tenant", "acme")[0] == 0
    assert run("push", tmp_path, "--tenant", "nobody")[0] == 2


def test_a_file_that_pins_no_partials_takes_the_gateways(run: Any, tmp_path: Path) -> None:
    run("push", written(tmp_path, tone="be kind"), "--label", "production")
    run("push", written(tmp_path, uses="{{> tone}}"), "--label", "production")
    assert run("diff", tmp_path)[0] == 0
    assert run("push", tmp_path)[1].splitlines()[-1] == "2 prompts: 2 unchanged"
    assert run("pull", tmp_path / "there")[0] == 0
    assert "be kind" in (tmp_path / "there" / "uses.yaml").read_text(encoding="utf-8")
    assert run("diff", tmp_path / "there")[0] == 0


def test_a_key_that_does_not_work_is_said(run: Any, tmp_path: Path) -> None:
    assert run("push", written(tmp_path, one="x"), key="wrong") == (2, "", "this key does not work (401 invalid_api_key)\n")


def test_a_key_comes_from_a_file_or_the_environment(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, secret = tmp_path / "prompts", tmp_path / "key"
    folder.mkdir()
    secret.write_text(f"{KEY}\n", encoding="utf-8")
    assert main(["diff", str(folder), "--url", served.url, "--key-file", str(secret)]) == 0
    monkeypatch.delenv("GATEWAY_ADMIN_KEY", raising=False)
    assert main(["diff", str(folder), "--url", served.url]) == 2
    assert "an administrator's key is needed" in capsys.readouterr().err
    monkeypatch.setenv("GATEWAY_ADMIN_KEY", KEY)
    assert main(["diff", str(folder), "--url", served.url]) == 0


@pytest.mark.parametrize("url", ["ftp://a", "gateway.contoso.com", "http://gateway.contoso.com", "http://10.0.0.4"])
def test_a_key_goes_nowhere_in_the_clear(url: str) -> None:
    with pytest.raises(ClientFault):
        Client(url, KEY)


def test_a_key_does_not_follow_redirects(run: Any, served: Served, tmp_path: Path) -> None:
    with serving() as elsewhere:
        served.redirect = f"{elsewhere.url}/manage/prompts"
        assert run("diff", written(tmp_path, one="x"))[0] == 2
        assert elsewhere.asked == []


def test_a_screen_has_colours(served: Served, tmp_path: Path) -> None:
    client, said = Client(served.url, KEY), list[str]()
    main(["push", str(written(tmp_path, one="x")), "--url", served.url, "--key", KEY])
    assert diff(client, Wishes(folder=written(tmp_path, one="y"), colour=True), said.append) == 1
    assert "\x1b[31m-    content: x\x1b[0m" in said


def test_many_prompts_are_read_page_by_page(run: Any, tmp_path: Path) -> None:
    run("push", written(tmp_path, **{f"p{index}": "x" for index in range(101)}))
    assert run("diff", tmp_path)[1].splitlines()[-1] == "101 prompts: 101 same"
