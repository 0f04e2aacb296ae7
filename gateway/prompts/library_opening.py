"""The library of prompts with what reads and manages it, put together once per worker."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from gateway.domain.lookups import Lookup
from gateway.ports import Clock, Tables
from gateway.prompts import render
from gateway.prompts.administration import PromptAdministration
from gateway.prompts.documents import Documents, Templates, lookup_check
from gateway.prompts.library import Library
from gateway.prompts.memory import PromptMemory


class Prompts(msgspec.Struct, frozen=True):
    """`memory` is for calls, `administration` for /manage, `library` for whoever rebuilds a request from an old version."""

    library: Library
    memory: PromptMemory
    administration: PromptAdministration


def open_prompts(
    tables: Tables, clock: Clock, lookups: Mapping[str, Lookup], find_tenant: Callable[[str], Awaitable[object | None]]
) -> Prompts:
    """Return it.

    Args:
        tables: Where prompts are.
        clock: The time.
        lookups: The catalogue's, by name.
        find_tenant: Reads a tenant; None where there is none of that id.
    """
    library = Library(tables, clock)
    memory = PromptMemory(library, clock)
    templates = Templates(render.check, render.partials_of, render.variables_of)
    documents = Documents(library, templates, lookup_check(lookups))
    return Prompts(library, memory, PromptAdministration(library, memory, documents, find_tenant))
