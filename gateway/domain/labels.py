"""What a caller says about a call in headers.

    x-gateway-user: anna   x-gateway-session: s-17   x-gateway-tags: team=web, task=code   x-gateway-priority: high|normal|low

Blanks around names and values do not count; a name is there once. Nothing is percent-decoded: a tag is compared with the
globs of routing rules and written to records as it was sent, and two spellings of one tag would be two tags to everybody
else who reads the header. So a value can be any printable text without a comma; a `=` after the first belongs to it.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from gateway.errors import RequestError

USER = "x-gateway-user"
SESSION = "x-gateway-session"
TAGS = "x-gateway-tags"
PRIORITY = "x-gateway-priority"
PRIORITIES = ("high", "normal", "low")
NORMAL = "normal"
MAX_TAGS = 32
MAX_NAME_CHARACTERS = 64
MAX_VALUE_CHARACTERS = 256
_HEADERS = frozenset({USER, SESSION, TAGS, PRIORITY})
_NONE: Mapping[str, str] = MappingProxyType({})


class Labels(msgspec.Struct, frozen=True, gc=False):
    """Whose call it is, what it is about, and how much it matters."""

    user: str = ""
    session: str = ""
    tags: Mapping[str, str] = _NONE
    priority: str = NORMAL


UNLABELLED = Labels()


def read_labels(headers: Mapping[str, str], proved_user: str = "") -> Labels:
    """Return what the headers say; the same value for all calls that say nothing.

    Args:
        headers: Names in lower case.
        proved_user: The user whom a token proves; wins over what the caller says.

    Raises:
        RequestError: A header is not what it should be; it names it.
    """
    if not proved_user and headers.keys().isdisjoint(_HEADERS):
        return UNLABELLED
    return Labels(
        user=(proved_user or headers.get(USER, "").strip())[:MAX_VALUE_CHARACTERS],  # cut, as in the usage record
        session=headers.get(SESSION, "").strip()[:MAX_VALUE_CHARACTERS],
        tags=read_tags(headers),
        priority=read_priority(headers),
    )


def session_key(subscription: str, user: str, session: str) -> str:
    """Return what the calls of a tenant's session share: a name that two subscriptions or two users use is two sessions."""
    return f"{subscription}\n{user}\n{session}"


def read_tags(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the call's tags.

    Args:
        headers: Names in lower case.

    Raises:
        RequestError: They are not `name=value` pairs, or too many or too long.
    """
    text = headers.get(TAGS)
    if not text:
        return _NONE
    tags: dict[str, str] = {}
    for pair in text.split(","):
        if not pair.strip():  # a comma too many
            continue
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not name:
            raise _fault(TAGS, "takes name=value pairs with commas between them")
        if name in tags:
            raise _fault(TAGS, f"has the tag {name[:MAX_NAME_CHARACTERS]!a} twice")
        if len(name) > MAX_NAME_CHARACTERS or len(value) > MAX_VALUE_CHARACTERS:
            raise _fault(TAGS, f"takes names of up to {MAX_NAME_CHARACTERS} characters and values of up to {MAX_VALUE_CHARACTERS}")
        if not name.isprintable() or not value.isprintable():
            raise _fault(TAGS, "has a control character in it")
        tags[name] = value
        if len(tags) > MAX_TAGS:
            raise _fault(TAGS, f"takes up to {MAX_TAGS} tags")
    return tags


def read_priority(headers: Mapping[str, str]) -> str:
    """Return `high`, `normal` or `low`; RequestError for anything else."""
    text = headers.get(PRIORITY)
    if text is None:
        return NORMAL
    priority = text.strip().lower()
    if priority not in PRIORITIES:
        raise _fault(PRIORITY, "must be high, normal or low")
    return priority


def _fault(header: str, message: str) -> RequestError:
    return RequestError(f"the header {header} {message}", param=header, code="invalid_value")
