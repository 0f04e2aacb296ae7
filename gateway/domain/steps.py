"""What is done to the text of a prompt's whole answer before the client gets it; each step is recorded as a change. Frozen data.

| type | does |
| --- | --- |
| `extract` | adds what a pattern matches, or what a JSON answer holds at a path, to the answer's `gateway_output` |
| `rename` | renames members of a JSON answer |
| `format` | replaces the text: trimmed, as one line, as compact or indented JSON, or by a template around it |
| `classify` | asks a model for one of several labels of the text (its sentiment, by default), and adds it to `gateway_output` |

Added fields stand at the top of the answer: `"gateway_output": {field: value}`. A step that cannot be done leaves the text as it is,
and its field is null (`outputs/steps.py`).
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

SENTIMENTS = ("positive", "neutral", "negative")
OUTPUT = "gateway_output"


class _Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag_field="type"):
    pass


class Extract(_Step, frozen=True, kw_only=True, tag="extract"):
    """Exactly one of `pattern` (RE2) and `path` (members and indices separated by dots) is given."""

    field: str
    pattern: str = ""
    path: str = ""


class Rename(_Step, frozen=True, kw_only=True, tag="rename"):
    """`members`: old name → new name, at the top of a JSON answer."""

    members: Mapping[str, str]


class Format(_Step, frozen=True, kw_only=True, tag="format"):
    """`template` is for `as: template`; `{text}` stands for the text."""

    form: Literal["trim", "line", "json", "json-indented", "template"] = msgspec.field(name="as", default="trim")
    template: str = ""


class Classify(_Step, frozen=True, kw_only=True, tag="classify"):
    """`model` is asked which of `labels` the text has; its cost is on the call's record. `question` is what it is asked."""

    model: str
    field: str = "sentiment"
    labels: tuple[str, ...] = SENTIMENTS
    question: str = "Which sentiment does the text have?"


type Step = Extract | Rename | Format | Classify
