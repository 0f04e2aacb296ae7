"""Prompts with hostile texts, for laws."""

from typing import Any

from hypothesis import strategies as st

from gateway.domain.prompts import Partial, PromptMessage, PromptText
from gateway.domain.steps import Classify, Extract, Format, Rename
from gateway.prompts.files import PromptFile

PIECES = (
    "---", "+++", "system:", "user:", "# Assistant :", "tools:", "![thread]", "![x](http://a/b.png)", "![x](local.png)", "{{name}}",
    "{{> part}}", "{% if a %}", "{{", "}}", "${env:KEY}", "\n", "\n\n", "\r\n", "\t", " ", "  ", "é", "漢字", "😀",
    "\x85", "\u2028", "\ufeff",
    "\x00", "\x7f", "'", '"', "\\", "#", "- ", ": ", "|", ">", "&a", "*a", "!x", "<<", "=", "yes", "null", "~", "1", "1.0", "1e5",
    "2026-11-22", "12:30",
)  # fmt: skip
TEXTS = st.one_of(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), st.text(max_size=12))
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False), TEXTS)
VALUES = st.recursive(LEAVES, lambda each: st.lists(each, max_size=3) | st.dictionaries(TEXTS, each, max_size=3), max_leaves=6)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=3)
PARTS = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, TEXTS),
    st.builds(lambda url: {"type": "image_url", "image_url": {"url": url}}, st.sampled_from(["https://a/b", "data:,x", "x y", ")"])),
    OBJECTS,
)
CONDITIONS = st.dictionaries(NAMES, TEXTS | st.lists(TEXTS, max_size=2).map(tuple), max_size=2)
MESSAGES = st.one_of(
    st.builds(
        PromptMessage,
        role=st.sampled_from(["system", "developer", "user", "assistant"]),
        content=TEXTS | st.lists(PARTS, max_size=3).map(tuple),
        when=CONDITIONS,
    ),
    st.builds(PromptMessage, placeholder=st.just("conversation"), when=CONDITIONS),
)
STEPS = st.one_of(
    st.builds(Extract, field=TEXTS, pattern=TEXTS),
    st.builds(Rename, members=st.dictionaries(TEXTS, TEXTS, max_size=2)),
    st.builds(Format, form=st.sampled_from(["trim", "template"]), template=TEXTS),
    st.builds(Classify, model=TEXTS, labels=st.lists(TEXTS, max_size=2).map(tuple)),
)
INPUTS = st.dictionaries(
    TEXTS,
    st.fixed_dictionaries(
        {}, optional={"type": st.sampled_from(["string", "integer", ["string", "null"]]), "default": VALUES, "description": TEXTS}
    ),
    max_size=3,
)


def closed(properties: dict[str, Any]) -> dict[str, Any]:
    """The schema that Prompty's inputs can say."""
    required = [name for name, each in properties.items() if "default" not in each]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


PROMPTS = st.builds(
    PromptText,
    model=TEXTS,
    messages=st.lists(MESSAGES, min_size=1, max_size=4).map(tuple),
    parameters=OBJECTS,
    input_schema=st.none() | INPUTS.map(closed) | OBJECTS,
    output_schema=st.none() | OBJECTS,
    template=st.sampled_from(["strict", "jinja2"]),
    partials=st.dictionaries(NAMES, st.builds(Partial, version=st.integers(1, 9), text=TEXTS), max_size=2),
    lookups=st.lists(NAMES, max_size=2).map(tuple),
    steps=st.lists(STEPS, max_size=2).map(tuple),
    history=st.booleans(),
)
FILES = st.builds(PromptFile, name=NAMES, text=PROMPTS, description=TEXTS, examples=st.lists(OBJECTS, max_size=2).map(tuple))
