"""What a call brings, put into a lookup's path or key. What it is called by in memory is what it is asked with, and so names it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from gateway.domain.lookups import PLACEHOLDER, HttpLookup, Lookup, template_of
from gateway.errors import PromptError

MAX_CHARACTERS = 512  # of what one placeholder brings


class Asking(msgspec.Struct, frozen=True):
    """What a call asks with.

    Attributes:
        tenant: The caller's.
        data_zone: To which it is pinned, such as `eu`; empty for none.
        variables: The call's, as sent.
        context: What the gateway knows of the caller and no client can forge.
        param: Where the variables stand in the request, for errors.
    """

    tenant: str
    data_zone: str = ""
    variables: Mapping[str, Any] = {}
    context: Mapping[str, Any] = {}
    param: str = "prompt.variables"

    def __repr__(self) -> str:
        return f"Asking({self.tenant!r}, …)"  # variables are a client's words


def filled(lookup: Lookup, asking: Asking) -> str:
    """Return the path, escaped, or the key of what is looked up.

    Raises:
        PromptError: The call does not bring what it needs, or brings what can stand in no path or key; `param` names it.
    """
    escapes = isinstance(lookup, HttpLookup)
    template, pieces, end = template_of(lookup), [], 0
    for match in PLACEHOLDER.finditer(template):
        value = _text(lookup, asking, match[1], match[2])
        # Never a way up the path, whatever stands around it.
        pieces += [template[end : match.start()], quote(value, safe="").replace(".", "%2E") if escapes else value]
        end = match.end()
    return "".join(pieces) + template[end:]


def entity_of(lookup: Lookup, asking: Asking) -> str | int:
    """Return an entity's key as its store compares it: a number, where one placeholder is all of it and brings an integer."""
    match = PLACEHOLDER.fullmatch(template_of(lookup))
    value = _values(asking, match[1]).get(match[2]) if match else None
    return value if type(value) is int and -(2**63) <= value < 2**63 else filled(lookup, asking)


def _values(asking: Asking, source: str) -> Mapping[str, Any]:
    return asking.variables if source == "variables" else asking.context


def _text(lookup: Lookup, asking: Asking, source: str, name: str) -> str:
    value = _values(asking, source).get(name)
    param, code = (f"{asking.param}.{name}", "missing_variable") if source == "variables" else (None, "prompt_invalid")
    said = f"the variable {name!r}" if source == "variables" else f"the context variable {name!r}"
    if value is None or value == "":
        raise PromptError(f"the lookup {lookup.id!r} needs {said}, and the call has none", param=param, code=code)
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    if not isinstance(value, str) or len(value) > MAX_CHARACTERS:
        message = f"the lookup {lookup.id!r} needs {said} as a number or as text of {MAX_CHARACTERS} characters at most"
        raise PromptError(message, param=param)
    return value
