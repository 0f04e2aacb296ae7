"""What administrators do with prompts at /manage. JSON documents in, JSON-ready values with their ETags out.

Whose prompts they are: a `Gateway.TenantAdmin`'s its own tenant's; `Gateway.Admin` names a tenant with `?tenant=` and means the shared
ones without it. A tenant's administrator reads shared prompts too, with `?shared=true` or where its tenant has none of that name,
and changes none of them. What is another's is refused.

The ETag is the prompt's: of its labels and of how many versions it has. A version itself never changes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.domain.management import Asked, Told, page_of, read_paging, tenant_of
from gateway.domain.prompts import PRODUCTION, SHARED, Prompt, PromptVersion
from gateway.errors import NotFound, PermissionDenied
from gateway.prompts.administration_shapes import label_shape, labels_shape, prompt_shape, summary_shape, version_shape
from gateway.prompts.difference import difference
from gateway.prompts.documents import LATEST, Documents, check_label, check_name, label_version
from gateway.prompts.documents_checks import fault
from gateway.prompts.library import Head, Library
from gateway.prompts.library_labels import label_not_found, prompt_not_found, version_not_found
from gateway.prompts.memory import PromptMemory
from gateway.prompts.rows import is_name, is_tenant

CREATED, OK, NO_CONTENT = 201, 200, 204
MAX_DIGITS = 8
STATES = ("active", "retired")


class PromptAdministration:
    """The management operations on prompts.

    Args:
        library: Where they are.
        memory: What this worker remembers of them.
        documents: Reads new versions.
        find_tenant: Reads a tenant; None where there is none of that id.
    """

    def __init__(
        self, library: Library, memory: PromptMemory, documents: Documents, find_tenant: Callable[[str], Awaitable[object | None]]
    ) -> None:
        self._library = library
        self._memory = memory
        self._documents = documents
        self._find_tenant = find_tenant

    async def list(self, asked: Asked) -> dict[str, Any]:
        """Return a page of prompts by name; those that were deleted with `state=retired`."""
        limit, after = read_paging(asked.query)
        state = asked.query.get("state", STATES[0])
        if state not in STATES:
            raise fault("state", f"must be one of {', '.join(STATES)}")
        found, after = await self._library.list(_owners(asked)[0], limit, after, retired=state == "retired")
        return page_of([prompt_shape(each) for each in found], after)

    async def read(self, asked: Asked, name: str) -> Told:
        """Return a prompt, a retired one too."""
        head = await self._head(asked, name)
        return Told(prompt_shape(head.prompt), head.etag)

    async def delete(self, asked: Asked, name: str) -> Told:
        """Retire a prompt that has no labels: its versions stay readable here, and a new one goes on counting."""
        owner = _owner(asked)
        head = await self._library.delete(owner, _known(name), if_match=asked.if_match)
        return Told(None, status=NO_CONTENT, before=self._before(head))

    async def create(self, asked: Asked, name: str) -> Told:
        """Make the next version, or the first one of a new prompt; 200 and the latest one where it says the same."""
        owner = _owner(asked)
        if owner != SHARED and await self._find_tenant(owner) is None:
            raise NotFound(f"there is no tenant {owner[:64]!r}; create it at /manage/tenants", param="tenant", code="tenant_not_found")
        draft = await self._documents.version(owner, name, asked.document)
        made = await self._library.create(owner, name, draft, author=asked.principal.key_id, if_match=asked.if_match)
        self._memory.forget(owner, name)
        head = await self._library.head(owner, name)
        prompt = head.prompt if head else Prompt(owner, name, made.version.version)
        return Told(version_shape(made.version, prompt), made.etag, CREATED if made.new else OK)

    async def versions(self, asked: Asked, name: str) -> Told:
        """Return a page of a prompt's versions, oldest first and without their texts."""
        head = await self._head(asked, name)
        limit, after = read_paging(asked.query)
        found, after = await self._library.versions(head.prompt.tenant, name, limit, after)
        return Told(page_of([summary_shape(each, head.prompt) for each in found], after), head.etag)

    async def version(self, asked: Asked, name: str, wanted: str) -> Told:
        """Return a version by its number, by a label, or the `latest`."""
        head = await self._head(asked, name)
        return Told(version_shape(await self._version(head.prompt, wanted), head.prompt), head.etag)

    async def labels(self, asked: Asked, name: str) -> Told:
        """Return where a prompt's labels are."""
        head = await self._head(asked, name)
        return Told(labels_shape(head.prompt), head.etag)

    async def set_label(self, asked: Asked, name: str, label: str) -> Told:
        """Put a label on a version: `{"version"}`. The next calls that ask for the label get it."""
        owner = _owner(asked)
        check_label(label)
        version = label_version(asked.document)
        by = asked.principal.key_id
        head = await self._library.set_label(owner, _known(name), label, version, by=by, if_match=asked.if_match)
        return Told(label_shape(head.prompt, label), head.etag, before=self._before(head))

    async def delete_label(self, asked: Asked, name: str, label: str) -> Told:
        """Take a label away."""
        head = await self._library.delete_label(_owner(asked), _known(name), label, if_match=asked.if_match)
        return Told(None, status=NO_CONTENT, before=self._before(head))

    async def roll_back(self, asked: Asked, name: str, label: str) -> Told:
        """Put a label back to where it was before its last move."""
        owner, by = _owner(asked), asked.principal.key_id
        head = await self._library.roll_back(owner, _known(name), label, by=by, if_match=asked.if_match)
        return Told(label_shape(head.prompt, label), head.etag, before=self._before(head))

    async def diff(self, asked: Asked, name: str) -> dict[str, Any]:
        """Return what is different between two versions: `from` (by default `production`) and `to` (by default the latest)."""
        head = await self._head(asked, name)
        places = (asked.query.get("from", PRODUCTION), asked.query.get("to", LATEST))
        sides = zip(("from", "to"), places, strict=True)
        before, after = [await self._version(head.prompt, wanted, param) for param, wanted in sides]
        found = await asyncio.to_thread(difference, before, after)
        return {"object": "prompt.diff", "prompt": name, "from": before.version, "to": after.version} | found

    async def _head(self, asked: Asked, name: str) -> Head:
        """Return a prompt that may be read; one that is in use before one that was deleted."""
        heads = [await self._library.head(owner, name) for owner in (_owners(asked) if is_name(name) else ())]
        found = [head for head in heads if head is not None]
        if not found:
            raise prompt_not_found(name)
        return next((head for head in found if head.prompt.retired is None), found[0])

    async def _version(self, prompt: Prompt, wanted: str, param: str | None = None) -> PromptVersion:
        if wanted.isascii() and wanted.isdigit():
            number = int(wanted[: MAX_DIGITS + 1])
        elif wanted == LATEST:
            number = prompt.latest
        elif wanted in prompt.labels:
            number = prompt.labels[wanted]
        else:
            raise label_not_found(prompt, wanted, param=param)
        version = await self._library.version(prompt.tenant, prompt.name, number)
        if version is None:
            raise version_not_found(prompt.name, number, prompt.latest, param=param)
        return version

    def _before(self, head: Head) -> dict[str, Any] | None:
        """Forget what was changed, and return what it was for the audit trail."""
        self._memory.forget(head.prompt.tenant, head.prompt.name)
        return prompt_shape(head.before) if head.before else None


def _owners(asked: Asked) -> tuple[str, ...]:
    """Return whose prompts are read, in the order in which a name is looked for."""
    if asked.everywhere:
        return (_owner(asked),)
    own = tenant_of(asked, asked.query.get("tenant")) or asked.principal.tenant
    shared = asked.query.get("shared", "false")
    if shared not in ("true", "false"):
        raise fault("shared", "must be true or false")
    return (SHARED,) if shared == "true" else (own, SHARED)


def _owner(asked: Asked) -> str:
    """Return whose prompt is changed: "" for a shared one."""
    tenant = tenant_of(asked, asked.query.get("tenant")) or SHARED
    if not is_tenant(tenant):
        raise fault("tenant", "must be a tenant's id")
    if not asked.everywhere and asked.query.get("shared") == "true":
        raise PermissionDenied("shared prompts are changed by the gateway's administrator; make one of your own: it hides the shared one")
    return tenant


def _known(name: str) -> str:
    check_name(name)
    return name
