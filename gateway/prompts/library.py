"""The library of prompts in the Tables port: versions are made and never changed, labels are moved, prompts are retired.

- **A version is one transaction**: its row is inserted, and the head that counts it is written under the ETag that was read. So
  numbers have no gaps, none is written twice, and a head never counts a version that is not there.
- **What says the same is the same**: a version with the text, description and examples of the latest one is that one.
- Whoever sends no If-Match is tried TRIES times when somebody else writes the head in between, and then told (409).
- **A prompt that was deleted is retired**: no call finds it, its versions stay for whoever rebuilds a request, and a new version
  of that name goes on counting.

The rows are in `rows.py`.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain.management import check_match, etag_of
from gateway.domain.prompts import Move, Prompt, PromptText, PromptVersion
from gateway.domain.tables import Action, EntityChanged, EntityExists, Write
from gateway.errors import Conflict, PreconditionFailed
from gateway.ports import Clock, Tables
from gateway.prompts import rows
from gateway.prompts.library_labels import busy, prompt_not_found, put, put_back, retire, without
from gateway.prompts.rows import PROMPTS, head_row, partition_of, version_row

TRIES = 8
WAIT_S = 0.02  # at most, before the second try; each further one doubles it
VERSIONS_AT_ONCE = 50  # of one page, since a version may be large


class Draft(msgspec.Struct, frozen=True):
    """A version that is to be made: what it says, and what is said about it."""

    text: PromptText
    description: str = ""
    examples: tuple[Mapping[str, Any], ...] = ()
    note: str = ""


class Made(msgspec.Struct, frozen=True):
    """A version, whether it is new, and the prompt's ETag."""

    version: PromptVersion
    new: bool
    etag: str


class Head(msgspec.Struct, frozen=True):
    """A prompt as it is stored, and what it was before a change.

    Attributes:
        stored: The store's ETag.
    """

    prompt: Prompt
    stored: str
    before: Prompt | None = None

    @property
    def etag(self) -> str:
        """What is shown of it."""
        return etag_of(self.stored)


class Library:
    """Reads and writes prompts. In the place of a tenant, "" stands for the shared ones.

    Args:
        tables: Where they are.
        clock: Stamps what is made and moved.
    """

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock

    async def create(self, tenant: str, name: str, draft: Draft, *, author: str = "", if_match: str = "") -> Made:
        """Make the next version of a prompt, or the first one of a new prompt; return the latest one where it says the same.

        Args:
            tenant: Whose prompt it is.
            name: The prompt's.
            draft: The version.
            author: Who makes it.
            if_match: The ETag that the prompt must have, as sent; empty for whichever it has.

        Raises:
            PreconditionFailed: The prompt has another ETag, or there is none yet.
            Conflict: Somebody else wrote the prompt in between, each of TRIES times.
        """
        for attempt in range(TRIES):
            await self._wait(attempt)
            head = await self.head(tenant, name)
            if head is None and if_match:
                raise PreconditionFailed(f"there is no prompt {name!r} yet; leave out If-Match to make its first version")
            check_match(if_match, head.etag if head else "")
            if head is not None and (latest := await self._same(head.prompt, draft)) is not None:
                return Made(latest, new=False, etag=head.etag)
            number = head.prompt.latest + 1 if head else 1
            about = {"description": draft.description, "examples": draft.examples, "note": draft.note}
            version = rows.numbered(draft.text, tenant, name, number, author, self._clock.utc(), **about)
            if (etag := await self._write(head, version)) is not None:
                return Made(version, new=True, etag=etag)
        raise busy(name)

    async def head(self, tenant: str, name: str) -> Head | None:
        """Read a prompt, a retired one too; None where there was never one of this name."""
        entity = await self._tables.get(PROMPTS, partition_of(tenant), head_row(name))
        return Head(rows.head_of(entity), entity.etag) if entity else None

    async def version(self, tenant: str, name: str, number: int) -> PromptVersion | None:
        """Read a version, of a retired prompt too; None where there is none."""
        if not 1 <= number <= rows.MAX_NUMBER:
            return None
        entity = await self._tables.get(PROMPTS, partition_of(tenant), version_row(name, number))
        return rows.version_of(entity) if entity else None

    async def list(
        self, tenant: str, limit: int, after: str | None = None, *, retired: bool = False
    ) -> tuple[Sequence[Prompt], str | None]:
        """Return a page of a tenant's prompts by name, and what continues it; a page may hold fewer than `limit` though more follow.

        Args:
            tenant: Whose.
            limit: The most that are returned.
            after: What the page before returned.
            retired: Those that were deleted, in place of those in use.
        """
        page = await self._tables.query(
            PROMPTS,
            partition=partition_of(tenant),
            row_from=rows.HEADS_FROM,
            row_below=rows.HEADS_BELOW,
            limit=limit,
            continuation=after,
        )
        found = [rows.head_of(entity) for entity in page.entities]
        return [each for each in found if (each.retired is not None) == retired], page.continuation

    async def versions(self, tenant: str, name: str, limit: int, after: str | None = None) -> tuple[Sequence[PromptVersion], str | None]:
        """Return a page of a prompt's versions, oldest first and at most VERSIONS_AT_ONCE, and what continues it."""
        row_from, row_below = rows.versions_range(name)
        page = await self._tables.query(
            PROMPTS,
            partition=partition_of(tenant),
            row_from=row_from,
            row_below=row_below,
            limit=min(limit, VERSIONS_AT_ONCE),
            continuation=after,
        )
        return [rows.version_of(entity) for entity in page.entities], page.continuation

    async def set_label(self, tenant: str, name: str, label: str, version: int, *, by: str = "", if_match: str = "") -> Head:
        """Put a label on a version; it leaves the one where it was.

        Raises:
            NotFound: There is no such prompt or version.
            Conflict: It has as many labels as a prompt can have, or somebody else wrote it in between, each of TRIES times.
        """
        return await self._change(tenant, name, if_match, lambda prompt: put(prompt, label, Move(version, self._clock.utc(), by)))

    async def roll_back(self, tenant: str, name: str, label: str, *, by: str = "", if_match: str = "") -> Head:
        """Put a label back to where it was before its last move, which is forgotten: once more goes one step further back.

        Raises:
            NotFound: There is no such prompt or label.
            Conflict: The label remembers no other place, or somebody else wrote the prompt in between: it is tried once, since a second
                time could go back two steps.
        """
        return await self._change(tenant, name, if_match, lambda prompt: put_back(prompt, label, self._clock.utc(), by), tries=1)

    async def delete_label(self, tenant: str, name: str, label: str, *, if_match: str = "") -> Head:
        """Take a label away, with what it remembers; NotFound where there is no such prompt or label."""
        return await self._change(tenant, name, if_match, lambda prompt: without(prompt, label))

    async def delete(self, tenant: str, name: str, *, if_match: str = "") -> Head:
        """Retire a prompt; NotFound where there is none in use, Conflict where it has labels, so that calls use it."""
        return await self._change(tenant, name, if_match, lambda prompt: retire(prompt, self._clock.utc()))

    async def _wait(self, attempt: int) -> None:
        """Let others go first, each for another time: who tries again at once meets the same ones again."""
        if attempt:
            await self._clock.sleep(random.uniform(0, WAIT_S * 2 ** (attempt - 1)))  # noqa: S311 - spreads load, hides nothing

    async def _same(self, prompt: Prompt, draft: Draft) -> PromptVersion | None:
        """Return the latest version of a prompt in use where it says what the draft says."""
        latest = await self.version(prompt.tenant, prompt.name, prompt.latest) if prompt.retired is None else None
        if latest is None or latest.hash != rows.hash_of(draft.text):
            return None
        return latest if (latest.description, latest.examples) == (draft.description, draft.examples) else None

    async def _write(self, head: Head | None, version: PromptVersion) -> str | None:
        """Write a version and its head together; return the head's ETag, None where somebody else was quicker."""
        if version.version > rows.MAX_NUMBER:
            raise Conflict(f"the prompt {version.name!r} has as many versions as a prompt can have; make one of another name")
        row = head_row(version.name)
        if head is None:
            first = rows.values_of(Prompt(version.tenant, version.name, 1))
            write = Write(Action.INSERT, row, first)
        else:
            counted = msgspec.structs.replace(head.prompt, latest=version.version, retired=None)
            write = Write(Action.REPLACE, row, rows.values_of(counted), head.stored)
        insert = Write(Action.INSERT, version_row(version.name, version.version), rows.values_of(version))
        try:
            etags = await self._tables.transact(PROMPTS, partition_of(version.tenant), [write, insert])
        except (EntityChanged, EntityExists):
            return None
        return etag_of(etags[0] or "")

    async def _change(self, tenant: str, name: str, if_match: str, change: Callable[[Prompt], Prompt], tries: int = TRIES) -> Head:
        """Change the head of a prompt in use, conditionally on what was read."""
        for attempt in range(tries):
            await self._wait(attempt)
            head = await self.head(tenant, name)
            if head is None or head.prompt.retired is not None:
                raise prompt_not_found(name)
            check_match(if_match, head.etag)
            prompt = change(head.prompt)
            if prompt == head.prompt:
                return Head(prompt, head.stored, head.prompt)
            try:
                values = rows.values_of(prompt)
                etag = await self._tables.replace(PROMPTS, partition_of(tenant), head_row(name), values, head.stored)
            except EntityChanged:
                continue
            return Head(prompt, etag, head.prompt)
        raise busy(name)
