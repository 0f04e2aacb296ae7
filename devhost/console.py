"""What the embedded host prints: made for eyes and for pasting. Nobody has to read it: a pipe that is gone is no error."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

MODEL = "gpt-4o-mini"


@dataclass(frozen=True, slots=True)
class Banner:
    """Everything that a person needs to use a gateway that has just started.

    Attributes:
        url: Where it serves.
        mode: `direct` or `worker`.
        admin_key: The bootstrap administrator's key.
        admin_key_given: It came from the environment, so its owner knows it: it is not printed.
        demo_keys: Product → virtual key, the unlimited one first.
        simulator_url: Where the simulated backends listen; None without them.
        data: The folder with all state.
        kept: The folder stays after the end.
        model: The model that the examples ask for.
    """

    url: str
    mode: str
    admin_key: str
    admin_key_given: bool
    demo_keys: dict[str, str]
    simulator_url: str | None
    data: Path
    kept: bool
    model: str = MODEL


def _paint(code: str, text: str, *, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def _row(label: str, value: str, *, colour: bool) -> str:
    return f"  {_paint('2', label.ljust(13), colour=colour)}{value}"


KEY_NOTES = {
    "unlimited": "no limits, no guardrails",
    "starter": "the limits of the product starter",
    "guarded": "the guardrails of the product guarded",
}


def _facts(banner: Banner, *, colour: bool) -> list[str]:
    rows = [("admin key", "(the one in GATEWAY_ADMIN_KEY)" if banner.admin_key_given else banner.admin_key)]
    rows += [("demo key", f"{key}   {KEY_NOTES.get(product, product)}") for product, key in banner.demo_keys.items()]
    rows.append(
        ("backends", f"simulated, at {banner.simulator_url}" if banner.simulator_url else "the catalogue's; no simulator was started")
    )
    rows.append(("data", f"{banner.data}   {'kept' if banner.kept else 'removed at the end; keep it with --data DIR'}"))
    if banner.mode == "worker":
        rows.append(("mode", "through Microsoft's worker library"))
    return [_row(label, value, colour=colour) for label, value in rows]


def snippets(url: str, key: str, model: str) -> list[tuple[str, str]]:
    """Make the ready-to-paste examples, each with its title."""
    body = f'{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "Say hello"}}]}}'
    curl = f"curl -N {url}/v1/chat/completions \\\n  -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\\n  -d '{body}'"
    python = "\n".join(
        (
            "from openai import OpenAI",
            f'client = OpenAI(base_url="{url}/v1", api_key="{key}")',
            'hello = [{"role": "user", "content": "Say hello"}]',
            f'print(client.chat.completions.create(model="{model}", messages=hello).choices[0].message.content)',
            f'for chunk in client.chat.completions.create(model="{model}", messages=hello, stream=True):',
            '    print(chunk.choices[0].delta.content or "" if chunk.choices else "", end="", flush=True)',
        )
    )
    return [("curl, streamed", curl), ("Python, whole and streamed", python)]


def banner_text(banner: Banner, *, colour: bool) -> str:
    """Lay out the greeting."""
    title = _paint("1", f"The AI gateway serves on {banner.url}", colour=colour)
    lines = ["", title, *_facts(banner, colour=colour)]
    key = next(iter(banner.demo_keys.values()), "")
    if key:
        for name, text in snippets(banner.url, key, banner.model):
            lines += ["", _paint("2", f"  # {name}", colour=colour), *(f"  {line}" for line in text.splitlines())]
    return "\n".join([*lines, "", _row("stop", "Ctrl-C", colour=colour), ""])


def greet(banner: Banner) -> None:
    """Print the greeting."""
    say(banner_text(banner, colour=_tty(sys.stdout)))


def say(text: str = "", *, end: str = "\n") -> None:
    """Print one line of progress."""
    _print(sys.stdout, text + end)


def complain(text: str) -> None:
    """Print what is wrong, on the error stream."""
    _print(sys.stderr, _paint("31", "error: ", colour=_tty(sys.stderr)) + text + "\n")


def warn(text: str) -> None:
    """Print what will hurt later, on the error stream."""
    _print(sys.stderr, _paint("33", "warning: ", colour=_tty(sys.stderr)) + text + "\n")


def _tty(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _print(stream: TextIO | None, text: str) -> None:
    """Write at once; to nowhere, from then on, if whoever read the stream has gone (`make run | head`)."""
    if stream is None:  # it was closed before we began
        return
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # what is still buffered goes there too, or the exit would fail over it
        os.close(nowhere)
