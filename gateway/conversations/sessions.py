"""What is kept of sessions is erased: by whoever speaks in them, and by administrators.

A caller erases its own session: its conversation, and the placeholders that guardrails keep for it. Administrators erase by tenant,
subscription, user and session, as far as they are given. Conversations are found by keyed hashes; the placeholders of a session only
where all four are named, since nothing that could be read back is in their keys: others end by themselves, and the answer says so.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gateway.conversations.history import Histories, Owner
from gateway.domain.access import Principal
from gateway.domain.call import Answer, Inbound
from gateway.domain.catalog import Catalog
from gateway.domain.labels import read_labels, session_key
from gateway.domain.management import Asked, tenant_of
from gateway.errors import RequestError

type ErasePlaceholders = Callable[[str, str], Awaitable[object]]
NAMES = ("subscription", "user", "session")


class Sessions:
    """Erases sessions.

    Args:
        histories: Conversations.
        erase_placeholders: Erases what guardrails keep of a tenant's session, by `labels.session_key`.
    """

    def __init__(self, histories: Histories, erase_placeholders: ErasePlaceholders) -> None:
        self._histories = histories
        self._erase_placeholders = erase_placeholders

    async def erase(
        self, inbound: Inbound, _receive_body: Callable[[], Awaitable[bytes]], principal: Principal, _catalog: Catalog
    ) -> Answer:
        """Do DELETE /v1/sessions/{session}: the caller's own, of the user that it names. Doing it again changes nothing.

        Raises:
            StoreUnavailable: Nobody knows what was erased; send it again.
        """
        session, user = inbound.path_model, read_labels(inbound.headers, principal.user).user
        owner = Owner(principal.tenant, principal.subscription, user, session)
        erased = await self._histories.erase(owner)
        await self._erase_placeholders(owner.tenant, session_key(owner.subscription, user, session))
        return Answer({}, msgspec.json.encode({"object": "session.erased", "session": session, "conversations": erased}))

    async def erase_many(self, asked: Asked) -> dict[str, Any]:
        """Do DELETE /manage/sessions?tenant=&subscription=&user=&session=.

        Raises:
            RequestError: Nobody's tenant is named, or something that is not known.
            PermissionDenied: It is another's.
        """
        if unknown := asked.query.keys() - {"tenant", *NAMES}:
            name = min(unknown)[:64]
            raise RequestError(f"{name!r} narrows nothing; there are tenant, {', '.join(NAMES)}", param=name, code="unknown_parameter")
        tenant = tenant_of(asked, asked.query.get("tenant"))
        if tenant is None:
            raise RequestError("'tenant' must say whose sessions are meant", param="tenant", code="missing_required_parameter")
        subscription, user, session = (asked.query.get(name, "") for name in NAMES)
        erased = await self._histories.erase_many(tenant, subscription=subscription, user=user, session=session)
        named = bool(subscription and session and "user" in asked.query)
        if named:
            await self._erase_placeholders(tenant, session_key(subscription, user, session))
        return {"object": "sessions.erased", "tenant": tenant, "conversations": erased, "placeholders": "erased" if named else "by expiry"}
