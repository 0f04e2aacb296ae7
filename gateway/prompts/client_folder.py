"""A folder of prompt files: read whole before anything is done with it, and written to without half a file ever standing there."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from gateway.errors import RequestError
from gateway.prompts import documents_checks as checks
from gateway.prompts.files import FileFault, Form, PromptFile, form_of, read, write


class Kept(msgspec.Struct, frozen=True):
    """A file and what it says."""

    path: Path
    prompt: PromptFile


class FolderFault(Exception):
    """What is wrong with a folder's files: all of it, in `faults`."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def load(folder: Path) -> Mapping[str, Kept]:
    """Return the prompts of a folder and of those below it, by name.

    Raises:
        FolderFault: A file cannot be taken, or two are of the same prompt.
    """
    if not folder.is_dir():
        raise FolderFault([f"{folder} is no folder"])
    found: dict[str, Kept] = {}
    faults: list[str] = []
    for path in _files(folder):
        shown = path.relative_to(folder).as_posix()
        try:
            prompt = read(shown, path.read_bytes())
            _check(shown, prompt)
        except FileFault as exc:
            faults.append(str(exc))
            continue
        if (other := found.get(prompt.name)) is not None:
            faults.append(f"{shown}: name: {prompt.name!r} is the name of {other.path.relative_to(folder).as_posix()} too")
        found[prompt.name] = Kept(path, prompt)
    if faults:
        raise FolderFault(faults)
    return found


def save(path: Path, prompt: PromptFile, form: Form) -> None:
    """Write a file, in one go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(write(prompt, form))
        beside.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if form_of(path.name) and path.is_file() and not hidden:
            yield path


def _check(file: str, prompt: PromptFile) -> None:
    """Refuse what the gateway would refuse, as far as that can be told without it."""
    text = prompt.text
    try:
        checks.check_model(text.model, "model")
        checks.check_messages(text.messages, ())
        checks.check_parameters(text.parameters)
        checks.check_schemas(text.input_schema, text.output_schema)
        checks.check_steps(text.steps)
        checks.check_texts(description=prompt.description)
        if text.input_schema is not None:
            checks.check_examples(prompt.examples, text.input_schema)
    except RequestError as exc:
        raise FileFault(file, exc.param or "", exc.message.removeprefix(f"'{exc.param}' ")) from exc
