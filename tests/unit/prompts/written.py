"""Prompts for tests: texts, drafts, a library over a fake store, and who asks for what."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.access import Role
from gateway.domain.management import Asked
from gateway.domain.prompts import SHARED, PromptMessage, PromptText
from gateway.errors import PromptError
from gateway.prompts.documents import Templates
from gateway.prompts.library import Draft, Library
from tests.builders import make_principal
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

ADMIN = make_principal(tenant="default", key_id="the-admin", roles=frozenset({Role.ADMIN}))
_INCLUSION = re.compile(r"\{\{>\s*([^}\s]+)\s*\}\}")
_VARIABLE = re.compile(r"\{\{([a-z]+)\}\}")


def text(content: str = "You answer for {{company}}.", **over: Any) -> PromptText:
    fields: dict[str, Any] = {"model": "gpt-4o", "messages": (PromptMessage(role="system", content=content),)}
    return PromptText(**fields | over)


def draft(content: str = "You answer for {{company}}.", **over: Any) -> Draft:
    about = {name: over.pop(name) for name in ("description", "examples", "note") if name in over}
    return Draft(text(content, **over), **about)


def document(content: Any = "You answer for {{company}}.", **over: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "system", "content": content}]} | over


def asked(body: Mapping[str, Any] | None = None, *, query: Mapping[str, str] | None = None, tenant: str = "", if_match: str = "") -> Asked:
    """What the administrator of the gateway asks, or that of a tenant."""
    own = make_principal(tenant=tenant, key_id=f"admin-of-{tenant}", roles=frozenset({Role.TENANT_ADMIN}))
    return Asked(own if tenant else ADMIN, body or {}, query or {}, if_match, "req_1")


def _contents(said: PromptText) -> str:
    return msgspec.json.encode(said.messages).decode() + "".join(each.text for each in said.partials.values())


def _check(said: PromptText) -> None:
    if "{{}}" in _contents(said):
        raise PromptError("'messages[0].content' has a variable without a name", param="messages[0].content")
    if missing := [each for each in _INCLUSION.findall(_contents(said)) if each not in said.partials]:
        raise PromptError(f"nothing is pinned for {missing[0]}")


# In small, what rendering says of templates.
TEMPLATES = Templates(
    check=_check,
    partials_of=lambda said: set(_INCLUSION.findall(_contents(said))),
    variables_of=lambda said: set(_VARIABLE.findall(_contents(said))),
    conditions=frozenset({"role", "department"}),
)


class Shelf:
    """A library over a fake store."""

    def __init__(self) -> None:
        self.tables = FakeTables()
        self.clock = FakeClock()
        self.library = Library(self.tables, self.clock)

    async def published(self, name: str = "support", *contents: str, tenant: str = "contoso", label: str = "production") -> int:
        """Make versions, put a label on the last one and return its number."""
        number = 0
        for content in contents or ("You answer for {{company}}.",):
            number = (await self.library.create(tenant, name, draft(content))).version.version
        await self.library.set_label(tenant, name, label, number)
        return number


__all__ = ["ADMIN", "SHARED", "TEMPLATES", "Shelf", "asked", "document", "draft", "text"]
