"""Prompts of a running gateway, over its /manage API: for `python -m gateway.prompts`.

A version is compared by what it says. A file that pins no partials takes those that the gateway has pinned.

The administrator's key goes to the host that was named and to no other: redirects are not followed, and plain http is for this
machine only.
"""

import ipaddress
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from gateway.domain.prompts import NAME_PATTERN, PromptText
from gateway.prompts.files import PromptFile, document_from

LATEST = "latest"
TIMEOUT_S = 30.0
_NAME = re.compile(NAME_PATTERN)


class ClientFault(Exception):
    """What the gateway refused, or why it could not be asked; the message is for whoever runs the command."""


class There(msgspec.Struct, frozen=True):
    """A version at the gateway."""

    version: int
    prompt: PromptFile


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Client:
    """Asks one gateway as one administrator.

    Args:
        url: Of the gateway, such as https://gateway.contoso.com.
        key: An administrator's.
        tenant: Whose prompts; empty for the key's own tenant's, or for the shared ones where it is the gateway's administrator's.

    Raises:
        ClientFault: The URL is none, or would carry the key in the clear.
    """

    def __init__(self, url: str, key: str, tenant: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ClientFault(f"{url!r} is no gateway's URL, such as https://gateway.contoso.com")
        if parts.scheme == "http" and not _is_here(parts.hostname):
            raise ClientFault(f"the key would go to {parts.hostname} in the clear; use https")
        if not key.isascii() or not key.isprintable():
            raise ClientFault("the key holds a character that no key has")
        self._url = url.rstrip("/")
        self._key = key
        self._tenant = tenant
        self._opener = urllib.request.build_opener(_NoRedirects)

    def list(self) -> dict[str, Mapping[str, Any]]:
        """Return the prompts by name, as GET /manage/prompts shows each."""
        found: dict[str, Mapping[str, Any]] = {}
        after = ""
        while True:
            page = self._ask("GET", "", query={"limit": "100", "after": after})
            found |= {each["name"]: each for each in page["data"] if _NAME.fullmatch(each["name"])}  # they become names of files
            if not page["has_more"]:
                return found
            after = page["after"]

    def read(self, name: str, wanted: str) -> There:
        """Return a version: by number, by label, or the latest."""
        shape = self._ask("GET", f"/{quote(name)}/versions/{quote(wanted)}")
        members = {field: shape[field] for field in PromptText.__struct_fields__ if field in shape}
        try:
            text = msgspec.convert(members, PromptText)
            examples = tuple(shape.get("examples", ()))
            return There(shape["version"], PromptFile(name=name, text=text, description=shape.get("description", ""), examples=examples))
        except msgspec.ValidationError as exc:
            raise ClientFault(f"{name}: the gateway knows of prompts what this program does not; update it: {exc}") from exc

    def versions(self, name: str) -> tuple[Mapping[str, Any], ...]:
        """Return a prompt's versions without their texts, oldest first."""
        found: list[Mapping[str, Any]] = []
        after = ""
        while True:
            page = self._ask("GET", f"/{quote(name)}/versions", query={"limit": "100", "after": after})
            found += page["data"]
            if not page["has_more"]:
                return tuple(found)
            after = page["after"]

    def create(self, prompt: PromptFile, note: str) -> int:
        """Make a version, and return its number: the latest one's where that says the same already."""
        document = document_from(prompt) | ({"note": note} if note else {})
        del document["name"]
        version: int = self._ask("POST", f"/{quote(prompt.name)}/versions", document)["version"]
        return version

    def put_label(self, name: str, label: str, version: int) -> None:
        """Put a label on a version."""
        self._ask("PUT", f"/{quote(name)}/labels/{quote(label)}", {"version": version})

    def _ask(self, method: str, path: str, document: Any = None, query: Mapping[str, str] | None = None) -> Any:
        asked = {name: value for name, value in {"tenant": self._tenant, **(query or {})}.items() if value}
        url = f"{self._url}/manage/prompts{path}{'?' + urlencode(asked) if asked else ''}"
        headers = {"authorization": f"Bearer {self._key}", "accept": "application/json", "content-type": "application/json"}
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - http and https only, see above
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as reply:
                return json.loads(reply.read())
        except urllib.error.HTTPError as exc:
            with exc:
                raise ClientFault(_refusal(exc.code, exc.read())) from exc
        except (OSError, ValueError) as exc:
            reason = getattr(exc, "reason", exc)
            raise ClientFault(f"{self._url} does not answer as a gateway does: {reason}") from exc


def same(local: PromptFile, there: PromptFile) -> bool:
    """Tell whether a file says what a version at the gateway does."""
    return _plain(local) == _plain(adopted(local, there))


def adopted(local: PromptFile, there: PromptFile) -> PromptFile:
    """Return a version of the gateway as the file would say it: without partials that it leaves to the gateway."""
    if local.text.partials:
        return there
    return msgspec.structs.replace(there, text=msgspec.structs.replace(there.text, partials={}))


def _plain(prompt: PromptFile) -> PromptFile:
    return msgspec.structs.replace(prompt, left_out=())


def _refusal(status: int, body: bytes) -> str:
    """Return what a gateway said when it refused: a problem of RFC 9457."""
    try:
        problem = json.loads(body)
        return f"{problem['detail']} ({status} {problem['code']})"
    except (ValueError, KeyError, TypeError):
        return f"the answer was {status}, and not from a gateway"


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
