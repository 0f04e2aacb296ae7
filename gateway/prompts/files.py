"""A prompt as a file, so that prompts can live in git: `NAME.yaml` or `NAME.prompty`.

    name: support                          YAML: the document of POST /manage/prompts/NAME/versions, plus `name`
    description: Answers customers.
    model: gpt-4o
    messages:
      - role: system
        content: |
          You answer for {{company}}.

What is written reads back as the same, in both forms; `prompty.py` has the other one. Whatever is wrong with a file is said with
the file's name and the field's. A label, a version's number, its note and its author are not in a file: they are the gateway's.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from gateway.domain.documents import convert
from gateway.domain.prompts import NAME_PATTERN, PromptMessage, PromptText
from gateway.errors import RequestError
from gateway.prompts.files_yaml import YamlFault, dump, load

type Form = Literal["yaml", "prompty"]

FORMS: tuple[Form, ...] = ("yaml", "prompty")
MAX_BYTES = 1024 * 1024
ORDER = (
    "name",
    "description",
    "model",
    "template",
    "parameters",
    "input_schema",
    "output_schema",
    "partials",
    "lookups",
    "steps",
    "history",
    "messages",
    "examples",
)
_NAME = re.compile(NAME_PATTERN)


class PromptFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says.

    Attributes:
        left_out: Members of somebody else's file that mean nothing to a gateway, by their names.
    """

    name: str
    text: PromptText
    description: str = ""
    examples: tuple[Mapping[str, Any], ...] = ()
    left_out: tuple[str, ...] = ()


class FileFault(Exception):
    """What is wrong with a file.

    Args:
        file: Its name.
        field: The member at fault, or `line 7`; empty for all of it.
        message: The rest of the sentence.
    """

    def __init__(self, file: str, field: str, message: str) -> None:
        super().__init__(f"{file}: {field + ': ' if field else ''}{message}")
        self.file = file
        self.field = field
        self.message = message


class _Document(PromptText, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    name: str = ""
    description: str = ""
    examples: tuple[Mapping[str, Any], ...] = ()


def form_of(file: str) -> Form | None:
    """Return in which form a file of this name is; None where it is no prompt's."""
    suffix = file.rpartition(".")[2]
    return "prompty" if suffix == "prompty" else "yaml" if suffix in {"yaml", "yml"} else None


def read(file: str, content: bytes) -> PromptFile:
    """Return what a file says.

    Args:
        file: Its name with its suffix, which says its form; without one the form is YAML.
        content: Its bytes.

    Raises:
        FileFault: It cannot be taken as it is.
    """
    if len(content) > MAX_BYTES:
        raise FileFault(file, "", f"is larger than {MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as exc:
        raise FileFault(file, "", f"is not UTF-8 at byte {exc.start}") from exc
    if form_of(file) == "prompty":
        from gateway.prompts.prompty import read_prompty  # noqa: PLC0415 - it builds on this module

        return read_prompty(file, text)
    return document_of(file, mapping_of(file, text))


def write(prompt: PromptFile, form: Form) -> bytes:
    """Return a prompt as a file."""
    if form == "prompty":
        from gateway.prompts.prompty import write_prompty  # noqa: PLC0415 - it builds on this module

        return write_prompty(prompt).encode()
    document = document_from(prompt)
    return dump({name: document[name] for name in ORDER if name in document}).encode()


def document_from(prompt: PromptFile) -> dict[str, Any]:
    """Return a prompt as a document: what POST /manage/prompts/{name}/versions takes, plus `name`."""
    document: dict[str, Any] = msgspec.to_builtins(prompt.text)
    about = {"name": prompt.name, "description": prompt.description, "examples": [dict(each) for each in prompt.examples]}
    return document | {name: value for name, value in about.items() if value}


def document_of(file: str, document: Mapping[str, Any], left_out: tuple[str, ...] = ()) -> PromptFile:
    """Return what a document says; FileFault names its member at fault."""
    try:
        read = convert(document, _Document)
    except RequestError as exc:
        said = exc.message.removeprefix(f"'{exc.param}' ") if exc.param else exc.message
        raise FileFault(file, exc.param or "", said) from exc
    name = read.name or stem_of(file)
    if not _NAME.fullmatch(name):
        raise FileFault(file, "name", f"{name[:80]!r} cannot be a prompt's name: a letter or digit, then also . _ -, 64 in all")
    for index, message in enumerate(read.messages):
        if (fault := _message_fault(message)) is not None:
            raise FileFault(file, f"messages[{index}]", fault)
    if not read.messages:
        raise FileFault(file, "messages", "must hold at least one message")
    text = PromptText(**{field: getattr(read, field) for field in PromptText.__struct_fields__})
    return PromptFile(name=name, text=text, description=read.description, examples=read.examples, left_out=left_out)


def _message_fault(message: PromptMessage) -> str | None:
    if message.placeholder and (message.role or message.content):
        return "is a placeholder, and so has neither `role` nor `content`"
    if not message.placeholder and not message.role:
        return "lacks `role`: system, developer, user or assistant"
    return None


def mapping_of(file: str, text: str, first_line: int = 0) -> dict[str, Any]:
    """Return the object that a YAML text is; FileFault names the line, counted on from `first_line`."""
    try:
        document = load(text)
    except YamlFault as exc:
        raise FileFault(file, f"line {first_line + exc.line}" if exc.line else "", exc.message) from exc
    if not isinstance(document, dict):
        raise FileFault(file, "", "must hold an object: `model: …`, `messages: …`")
    return document


def stem_of(file: str) -> str:
    """Return a file's name without its folder and suffix."""
    return file.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
