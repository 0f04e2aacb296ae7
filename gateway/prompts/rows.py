"""Prompts as rows of the table `prompts`, and back. Pure.

| partition | row | holds |
| --- | --- | --- |
| tenant id, `~` for shared prompts | `head|<name>` | a `Prompt` |
| the same | `version|<name>|00000001` | a `PromptVersion`, written once |

A value is JSON in UTF-16 properties `json0`, `json1` and so on, since a property takes 64 KB. A prompt's rows lie in one partition,
so that a version and the head that counts it are written in one transaction; a tenant's heads lie together, so that a list reads
no version.

Source: learn.microsoft.com "Understanding the Table service data model" (read 2026-11-22).
"""

import datetime
import hashlib
import re

import msgspec

from gateway.domain.prompts import NAME_PATTERN, SHARED, Prompt, PromptText, PromptVersion
from gateway.domain.tables import Entity, Value

PROMPTS = "prompts"
SHARED_PARTITION = "~"  # no tenant's id begins with it
HEADS_FROM, HEADS_BELOW = "head|", "head}"  # `}` follows `|`
MAX_VERSION_BYTES = 400_000  # as UTF-16: what one version may take
MAX_NUMBER = 99_999_999
PIECE_CHARACTERS = 16_000  # each at most four bytes of UTF-16
_NAME = re.compile(NAME_PATTERN)
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


def is_name(name: str) -> bool:
    """Tell whether a prompt, label or partial could be called so."""
    return _NAME.fullmatch(name) is not None


def is_tenant(tenant: str) -> bool:
    """Tell whether it is a tenant's id or the mark of shared prompts."""
    return tenant == SHARED or _TENANT.fullmatch(tenant) is not None


def partition_of(tenant: str) -> str:
    """Return where a tenant's prompts, or the shared ones, are."""
    return tenant or SHARED_PARTITION


def head_row(name: str) -> str:
    """Return the row of a prompt's head."""
    return f"head|{name}"


def version_row(name: str, number: int) -> str:
    """Return the row of a version; the rows sort as the numbers do."""
    return f"version|{name}|{number:08}"


def versions_range(name: str) -> tuple[str, str]:
    """Return the bounds of a prompt's versions."""
    return f"version|{name}|", f"version|{name}" + "}"


def values_of(thing: Prompt | PromptVersion) -> dict[str, Value]:
    """Return a thing's row."""
    text = msgspec.json.encode(thing).decode()
    starts = range(0, len(text), PIECE_CHARACTERS)
    return {f"json{index}": text[start : start + PIECE_CHARACTERS] for index, start in enumerate(starts)}


def head_of(entity: Entity) -> Prompt:
    """Return the head that a row holds."""
    return msgspec.json.decode(_text(entity), type=Prompt)


def version_of(entity: Entity) -> PromptVersion:
    """Return the version that a row holds."""
    return msgspec.json.decode(_text(entity), type=PromptVersion)


def stored_bytes(version: PromptVersion) -> int:
    """Return what a version takes in its row, as UTF-16."""
    return len(msgspec.json.encode(version).decode().encode("utf-16-le"))


def text_of(version: PromptVersion) -> PromptText:
    """Return what a version says, without where it stands and who made it."""
    return PromptText(**{name: getattr(version, name) for name in PromptText.__struct_fields__})


def hash_of(text: PromptText) -> str:
    """Return what stands for a text: SHA-256, hex, over its JSON without what has its default.

    The members of a mapping count in their order: models write an answer in the order of its schema.
    """
    said = text_of(text) if isinstance(text, PromptVersion) else text
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()


def numbered(
    text: PromptText, tenant: str, name: str, number: int, author: str, at: datetime.datetime | None, **about: object
) -> PromptVersion:
    """Return a text as a version.

    Args:
        text: What it says.
        tenant: Whose prompt it is.
        name: The prompt's.
        number: Its own.
        author: Who makes it.
        at: When, in UTC.
        about: `description`, `examples` and `note`.
    """
    fields = {field: getattr(text, field) for field in PromptText.__struct_fields__}
    given: dict[str, object] = {**fields, **about, "tenant": tenant, "name": name, "version": number}
    return PromptVersion(**given, author=author, at=at, hash=hash_of(text))  # type: ignore[arg-type]


def _text(entity: Entity) -> str:
    pieces: list[str] = []
    while (piece := entity.values.get(f"json{len(pieces)}")) is not None:
        pieces.append(str(piece))
    return "".join(pieces)
