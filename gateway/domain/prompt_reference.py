"""Which prompt a request asks for, and with what. Pure.

    chat, responses     {"prompt": {"id", "version"? | "label"?, "variables"?}, …}      OpenAI's shape of a reusable prompt
    invoke              /v1/prompts/{name}/invoke {"variables"?, "version"? | "label"?, "messages"?, "stream"?, …}

`version` is a number, or a label; without either the label is `production`. A variable that is OpenAI's `input_text` stands for its
text. An id that begins with `pmpt_` is a backend's own prompt: it is passed on.

Source: OpenAI API reference, "Create a model response", `prompt` (read 2026-11-22).
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.chat import missing, wrong_type
from gateway.domain.prompts import BACKENDS_OWN, NAME_PATTERN, PRODUCTION
from gateway.domain.splice import drop
from gateway.errors import RequestError

MEMBERS = frozenset({"id", "version", "label", "variables"})
_NAME = re.compile(NAME_PATTERN)
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class Reference(msgspec.Struct, frozen=True):
    """A prompt as a call asks for it.

    Attributes:
        wanted: A version's number, or a label.
        body: The request without what asked for it.
        param: Where its variables stand in the request, for errors: `variables` or `prompt.variables`.
    """

    name: str
    wanted: int | str
    variables: Mapping[str, Any]
    body: bytes
    param: str


def reference_in(document: Mapping[str, Any], body: bytes) -> Reference | None:
    """Return the prompt that a chat or responses request asks for; None where it asks for none of ours.

    Args:
        document: The body, parsed.
        body: As sent.

    Raises:
        RequestError: `prompt` is not what it should be.
    """
    prompt = document.get("prompt")
    if type(prompt) is not dict:
        return None
    name = prompt.get("id")
    if type(name) is str and name.startswith(BACKENDS_OWN):
        return None
    if unknown := prompt.keys() - MEMBERS:
        param = f"prompt.{min(unknown)[:64]}"
        raise RequestError(
            f"'{param}' is not known; a prompt takes id, version, label and variables", param=param, code="unknown_parameter"
        )
    if name is None:
        raise missing("prompt.id")
    if type(name) is not str:
        raise wrong_type("prompt.id", "a string", name)
    wanted, variables = _wanted(prompt, "prompt."), _variables(prompt, "prompt.variables")
    return Reference(_named(name, "prompt.id"), wanted, variables, drop(body, "prompt"), "prompt.variables")


def invocation_in(document: Mapping[str, Any], body: bytes, name: str) -> Reference:
    """Return what an invocation of a prompt asks for.

    Args:
        document: The body, parsed.
        body: As sent.
        name: The prompt's, from the path.

    Raises:
        RequestError: A member is not what it should be.
    """
    if "prompt" in document:
        raise RequestError("'prompt' is named by the path; leave it out", param="prompt", code="unknown_parameter")
    wanted, variables = _wanted(document, ""), _variables(document, "variables")
    for member in ("version", "label", "variables"):
        body = drop(body, member)
    return Reference(_named(name, None), wanted, variables, body, "variables")


def _named(name: str, param: str | None) -> str:
    if not _NAME.fullmatch(name):
        message = f"{name[:64]!a} cannot name a prompt: a letter or digit, then up to 63 letters, digits, '.', '_' or '-'"
        raise RequestError(message, param=param, code="invalid_value")
    return name


def _wanted(members: Mapping[str, Any], path: str) -> int | str:
    version, label = members.get("version"), members.get("label")
    if version is not None and label is not None:
        raise RequestError(f"give '{path}version' or '{path}label', not both", param=f"{path}label", code="invalid_value")
    if label is not None:
        if type(label) is not str or not _NAME.fullmatch(label):
            raise wrong_type(f"{path}label", "a label's name", label)
        return label
    if version is None:
        return PRODUCTION
    if type(version) is int and 0 < version < 10**9:
        return version
    if type(version) is not str or not _NAME.fullmatch(version):
        message = f"'{path}version' must be a version's number, from 1 on, or a label"
        raise RequestError(message, param=f"{path}version", code="invalid_value")
    return int(version) if _NUMBER.fullmatch(version) else version


def _variables(members: Mapping[str, Any], param: str) -> Mapping[str, Any]:
    variables = members.get("variables")
    if variables is None:
        return {}
    if type(variables) is not dict:
        raise wrong_type(param, "an object", variables)
    return {name: _plain(value) for name, value in variables.items()}


def _plain(value: Any) -> Any:
    if type(value) is dict and value.get("type") == "input_text" and type(value.get("text")) is str and len(value) == 2:
        return value["text"]
    return value
