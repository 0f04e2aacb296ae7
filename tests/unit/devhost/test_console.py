"""The greeting: everything needed to use the gateway can be pasted from it."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from devhost.console import Banner, banner_text, snippets
from tests.house.sources import ROOT

URL = "http://127.0.0.1:7071"
BANNER = Banner(
    url=URL,
    mode="direct",
    admin_key="gwa_admin",
    admin_key_given=False,
    demo_keys={"unlimited": "gwk_one", "starter": "gwk_two"},
    simulator_url="http://127.0.0.1:5",
    data=Path("/d"),
    kept=False,
)


def test_shows_keys_addresses_and_how_to_stop() -> None:
    text = banner_text(BANNER, colour=False)
    for expected in (URL, "gwa_admin", "gwk_one", "gwk_two", "http://127.0.0.1:5", "/d", "Ctrl-C", "no limits"):
        assert expected in text
    assert text.index("gwk_one") < text.index("gwk_two")
    assert "\x1b" not in text


def test_does_not_repeat_a_secret_that_the_environment_gave() -> None:
    given = Banner(**{name: getattr(BANNER, name) for name in BANNER.__slots__} | {"admin_key_given": True})
    assert "gwa_admin" not in banner_text(given, colour=False)


def test_the_examples_can_be_pasted() -> None:
    (_, curl), (_, python) = snippets(URL, "gwk_one", "m")
    words = shlex.split(curl.replace("\\\n", " "))
    assert words[:3] == ["curl", "-N", f"{URL}/v1/chat/completions"]
    assert "Authorization: Bearer gwk_one" in words
    compile(python, "snippet", "exec")


@pytest.mark.parametrize(("say", "stream"), [("say", "stdout"), ("warn", "stderr"), ("complain", "stderr")])
def test_says_nothing_to_a_reader_who_has_gone_and_lives_on(say: str, stream: str) -> None:
    script = f"from devhost import console; input(); console.{say}('x'); print('more', file=__import__('sys').{stream}); console.{say}('y')"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, **pipes) as process:  # type: ignore[call-overload]
        getattr(process, stream).close()
        process.stdin.write(b"go\n")
        process.stdin.close()
        assert process.wait(60) == 0
        other = process.stderr if stream == "stdout" else process.stdout
        assert other.read() == b""


def test_says_nothing_where_there_is_no_stdout() -> None:
    script = f"exec '{sys.executable}' -c \"from devhost import console; console.say('x'); console.warn('y')\" >&- 2>&-"
    assert subprocess.run(["bash", "-c", script], cwd=ROOT, check=False).returncode == 0
