"""A prompt as a Prompty file: YAML between two lines of `---`, and below them the messages (`prompty_body.py`).

    ---
    name: support
    description: Answers customers.
    model: {api: chat, configuration: {type: azure_openai, azure_deployment: gpt-4o}, parameters: {temperature: 0.2}}
    inputs: {question: {type: string}}         the variables (`prompty_inputs.py`)
    sample: {question: Where is my parcel?}    the first example
    gateway: {template: strict}                a member of ours: what Prompty has no word for; it also says that the file is ours
    ---
    system:
    …

Files of others are read as far as they mean the same here. What they say to run the prompt elsewhere (endpoints, keys, authors, tags) is
left out, and the names of it are returned; what would change what the prompt says is refused: files and environment variables that
are referred to, local images, parts for tools, a template language that is not known. Their Jinja2 template is `strict` here where
it only names variables, which reads the same, and else `jinja2`.

Source: microsoft/prompty, Prompty.yaml, and its Python runtime (read 2026-11-22).
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from gateway.domain.documents import convert
from gateway.domain.prompts import Content, Partial, PromptMessage
from gateway.domain.steps import Step
from gateway.errors import RequestError
from gateway.prompts.files import FileFault, PromptFile, document_of, mapping_of, stem_of
from gateway.prompts.files_yaml import dump
from gateway.prompts.prompty_body import BodyFault, read_body, says, write_body
from gateway.prompts.prompty_inputs import InputFault, inputs_of, schema_of

_KNOWN = frozenset({"name", "description", "model", "inputs", "sample", "template", "gateway"})
_ELSEWHERE = frozenset({"$schema", "version", "authors", "tags", "outputs", "parser"})
_MODEL = frozenset({"api", "configuration", "parameters", "response"})
_ANYWHERE = re.compile(r"\$\{[A-Za-z]+:")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ONLY_VARIABLES = re.compile(r"(?:[^{]|\{(?![{%#])|\{\{ *[A-Za-z_][A-Za-z0-9_]* *\}\})*")


class _Beyond(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What of the message at a place (from 0) its body does not say: `end` are line ends after the text there."""

    at: int
    when: Mapping[str, str | tuple[str, ...]] = {}
    content: Content | None = None
    end: str = ""


class _Ours(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    template: Literal["strict", "jinja2"]
    input_schema: Mapping[str, Any] | None = None
    output_schema: Mapping[str, Any] | None = None
    partials: Mapping[str, Partial] = {}
    lookups: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    history: bool = False
    messages: tuple[_Beyond, ...] = ()
    examples: tuple[Mapping[str, Any], ...] = ()


def write_prompty(prompt: PromptFile) -> str:
    """Return a prompt as the text of a Prompty file."""
    text = prompt.text
    said = [_shortened(message) for message in text.messages]
    beyond = [
        _Beyond(at, message.when, None if says(short) else message.content, end if says(short) else "")
        for at, (message, (short, end)) in enumerate(zip(text.messages, said, strict=True))
    ]
    beyond = [each for each in beyond if each != _Beyond(each.at)]
    inputs, exact = _inputs(text.input_schema)
    kept = {name: getattr(text, name) for name in ("template", "output_schema", "partials", "lookups", "steps", "history")}
    ours = _Ours(input_schema=None if exact else text.input_schema, messages=tuple(beyond), examples=prompt.examples[1:], **kept)
    configuration = {"type": "azure_openai", "azure_deployment": text.model}
    model = {"api": "chat", "configuration": configuration} | ({"parameters": dict(text.parameters)} if text.parameters else {})
    front: dict[str, Any] = {"name": prompt.name} | ({"description": prompt.description} if prompt.description else {}) | {"model": model}
    if inputs is not None:
        front["inputs"] = inputs
    if prompt.examples:
        front["sample"] = dict(prompt.examples[0])
    if text.template == "jinja2":
        front["template"] = "jinja2"
    front["gateway"] = msgspec.to_builtins(ours)
    return f"---\n{dump(front)}---\n{write_body([short for short, _ in said])}"


def _shortened(message: PromptMessage) -> tuple[PromptMessage, str]:
    """Return a message without the line ends after its text, and these."""
    text = message.content.rstrip("\n") if isinstance(message.content, str) else message.content
    if not isinstance(text, str) or not text:
        return message, ""
    return msgspec.structs.replace(message, content=text), message.content[len(text) :]  # type: ignore[return-value]


def _inputs(schema: Mapping[str, Any] | None) -> tuple[dict[str, Any] | None, bool]:
    """Return the inputs to show, and whether they say all of a schema."""
    if schema is None:
        return None, True
    inputs = inputs_of(schema)
    exact = schema_of(inputs)[0] == schema
    return (inputs if inputs or exact else None), exact


def read_prompty(file: str, text: str) -> PromptFile:
    """Return what a Prompty file says; FileFault names what it says that cannot be taken."""
    start, found, rest = text.partition("---\n")
    front_text, closed, body = f"{rest}\n".partition("\n---\n")
    if start.strip() or not found or not closed:
        raise FileFault(file, "", "must begin with its frontmatter: YAML between two lines of `---`")
    front = mapping_of(file, f"{front_text}\n", 1)
    try:
        messages = read_body(body)
    except BodyFault as exc:
        raise FileFault(file, f"line {front_text.count('\n') + 3 + exc.line}", exc.message) from exc
    document, left_out = _front(file, front)
    if "gateway" in front:
        return document_of(file, document | _ours(file, front, messages), tuple(left_out))
    _refuse_references(file, "", document)
    document["messages"] = msgspec.to_builtins(messages)
    document["template"] = _template(file, front.get("template", "jinja2"), messages)
    return document_of(file, document, tuple(left_out))


def _front(file: str, front: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return what every Prompty file says, as a document, and what is left out of it."""
    if unknown := [name for name in front if name not in _KNOWN | _ELSEWHERE]:
        raise FileFault(file, unknown[0][:80], "is not known here; take it out, or write the prompt as YAML")
    left_out = sorted(_ELSEWHERE & front.keys())
    name = front.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        left_out += ["name"] if "name" in front else []  # theirs may be a title
        name = stem_of(file)
    document: dict[str, Any] = {"name": name} | {key: front[key] for key in ("description",) if key in front}
    left_out += _model(file, front.get("model"), document)
    try:
        inputs = front.get("inputs")
        if inputs is not None:
            document["input_schema"], unused = schema_of(_object(file, "inputs", inputs))
            left_out += [f"inputs.{each}" for each in unused]
    except InputFault as exc:
        raise FileFault(file, f"inputs.{exc.field}", exc.message) from exc
    if "sample" in front:
        document["examples"] = [_object(file, "sample", front["sample"])]
    return document, left_out


def _model(file: str, model: Any, document: dict[str, Any]) -> list[str]:
    """Add the model and its parameters to a document; return what of it is left out."""
    model = _object(file, "model", model)
    if unknown := [name for name in model if name not in _MODEL]:
        raise FileFault(file, f"model.{unknown[0][:80]}", "is not known here")
    if model.get("api", "chat") != "chat":
        raise FileFault(file, "model.api", "must be chat: prompts here are chats")
    configuration = _object(file, "model.configuration", model.get("configuration"))
    field = next((name for name in ("azure_deployment", "name") if name in configuration), "azure_deployment")
    public = configuration.get(field)
    if not isinstance(public, str):
        raise FileFault(file, f"model.configuration.{field}", "must be the name of a model that the gateway serves, as it is: gpt-4o")
    document["model"] = public
    if "parameters" in model:
        document["parameters"] = _object(file, "model.parameters", model["parameters"])
    others = [f"model.configuration.{name}" for name in configuration if name not in {field, "type"}]
    return others + (["model.response"] if "response" in model else [])


def _ours(file: str, front: Mapping[str, Any], messages: tuple[PromptMessage, ...]) -> dict[str, Any]:
    """Return what a file of ours says beyond Prompty, as members of a document."""
    try:
        ours = convert(_object(file, "gateway", front["gateway"]), _Ours)
    except RequestError as exc:
        said = exc.message.removeprefix(f"'{exc.param}' ") if exc.param else exc.message
        raise FileFault(file, f"gateway.{exc.param}" if exc.param else "gateway", said) from exc
    if front.get("template", "jinja2") != "jinja2" or ("template" in front and ours.template != "jinja2"):
        raise FileFault(file, "template", f"says otherwise than gateway.template, {ours.template}")
    told = list(messages)
    for index, beyond in enumerate(ours.messages):
        field = f"gateway.messages[{index}]"
        if not 0 <= beyond.at < len(told):
            raise FileFault(file, f"{field}.at", f"is no message of the body, which has {len(told)}")
        message = msgspec.structs.replace(told[beyond.at], when=beyond.when)
        if beyond.content is not None:
            if message.content:
                raise FileFault(file, f"{field}.content", "is said in the body too; leave one of them out")
            message = msgspec.structs.replace(message, content=beyond.content)
        if beyond.end:
            if not isinstance(message.content, str) or beyond.end.strip("\n"):
                raise FileFault(file, f"{field}.end", "must be line ends, after a message that is a text")
            message = msgspec.structs.replace(message, content=message.content + beyond.end)
        told[beyond.at] = message
    document: dict[str, Any] = msgspec.to_builtins(ours) | {"messages": msgspec.to_builtins(tuple(told)), "template": ours.template}
    if ours.input_schema is not None and inputs_of(ours.input_schema) != front.get("inputs", inputs_of(ours.input_schema)):
        raise FileFault(file, "inputs", "say otherwise than gateway.input_schema; change both, or leave inputs out")
    if ours.examples and "sample" not in front:
        raise FileFault(file, "sample", "is missing: it is the first example, before those of gateway.examples")
    examples = [front["sample"], *ours.examples] if "sample" in front else []
    return document | ({"examples": examples} if examples else {})


def _template(file: str, template: Any, messages: tuple[PromptMessage, ...]) -> str:
    """Return the template language of somebody else's file."""
    kind = template.get("type", template.get("format")) if isinstance(template, Mapping) else template
    plain = all(_ONLY_VARIABLES.fullmatch(text) for message in messages for text in _texts(message.content))
    if kind not in {"jinja2", "mustache"}:
        raise FileFault(file, "template", "must be jinja2, or mustache that only names variables")
    if kind == "mustache" and not plain:
        raise FileFault(file, "template", "is mustache with more than variables in it; write it as jinja2")
    return "strict" if plain else "jinja2"


def _texts(content: Content) -> list[str]:
    return [content] if isinstance(content, str) else [str(part.get("text", "")) for part in content]


def _refuse_references(file: str, place: str, value: Any) -> None:
    """Refuse what somebody else's tool would fill in: `${env:…}` and `${file:…}`."""
    if isinstance(value, str) and _ANYWHERE.search(value):
        raise FileFault(file, place, "refers to a file or an environment variable; write out what it stands for")
    named: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    listed = enumerate(value) if isinstance(value, list) else ()
    for name, each in [*((f".{key}", inner) for key, inner in named.items()), *((f"[{index}]", inner) for index, inner in listed)]:
        _refuse_references(file, (place + name).removeprefix("."), each)


def _object(file: str, field: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        raise FileFault(file, field, "is a text, such as the name of a file; write out what stands there")
    if not isinstance(value, dict):
        raise FileFault(file, field, "is missing, or no object")
    return value
