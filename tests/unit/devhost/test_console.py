"""The greeting: everything needed to use the gateway can be pasted from it."""

import shlex
from pathlib import Path

from devhost.console import Banner, banner_text, snippets

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
