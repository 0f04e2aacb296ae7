"""What administrators do with subscriptions and their keys at /manage.

A tenant's administrator makes subscriptions of its own tenant, suspends, resumes and cancels them, and changes their keys. It
cannot approve, grant roles or bind identities, and cannot resume what an administrator of the gateway suspended. To `unlimited`
it subscribes as to a product that requires approval, because nothing else limits that one.
"""

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from gateway.access.administration_documents import Documents, check_id, is_id
from gateway.access.administration_shapes import subscription_shape
from gateway.access.directory import Directory
from gateway.access.directory_changes import Changed, subscription_not_found
from gateway.access.directory_rows import SLOTS
from gateway.access.directory_subscriptions import Subscriptions, without_keys
from gateway.access.lifecycle import SUBMITTED, SUSPENDED, follow
from gateway.access.memory import Memory
from gateway.domain.access import CALLER, UNLIMITED_PRODUCT, Subscription, SubscriptionState
from gateway.domain.documents import convert
from gateway.domain.management import MAX_PAGE, Asked, Told, etag_of, page_of, read_paging, tenant_of
from gateway.errors import NotFound, PermissionDenied, RequestError

MAX_OVERLAP_S = 7 * 24 * 3600
FILTERS = ("state", "product")


class _Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    overlap_s: int = 0


class SubscriptionAdministration:
    """The management operations on subscriptions.

    Args:
        directory: Who may ask.
        memory: What this worker remembers of it.
    """

    def __init__(self, directory: Directory, memory: Memory) -> None:
        self._directory = directory
        self._memory = memory
        self._subscriptions = Subscriptions(directory)
        self._documents = Documents(directory.catalog)

    async def list(self, asked: Asked) -> dict[str, Any]:
        """Return a page of subscriptions by `tenant`, `state` and `product`; never their keys."""
        tenant = tenant_of(asked, asked.query.get("tenant"))
        if tenant is not None:
            check_id(tenant, "tenant")
        wanted = {name: value for name in FILTERS if (value := asked.query.get(name))}
        if (state := wanted.get("state")) and state not in list(SubscriptionState):
            raise RequestError(f"'state' must be one of {', '.join(SubscriptionState)}", param="state", code="invalid_value")
        found, after = await self._directory.list_subscriptions(tenant, *read_paging(asked.query), wanted)
        return page_of([subscription_shape(subscription) for subscription in found], after)

    async def read(self, asked: Asked, subscription_id: str) -> Told:
        """Return a subscription."""
        tenant = self._tenant(asked, subscription_id)
        stored = await self._directory.subscription(tenant, subscription_id)
        if stored is None:
            raise subscription_not_found(subscription_id)
        return Told(subscription_shape(stored.value), etag_of(stored.etag))

    async def names(self, tenant: str | None, ids: Collection[str]) -> dict[str, str]:
        """Return what subscriptions are called today, by id; one that is not there, or another tenant's, is left out.

        Args:
            tenant: Whose; None for all.
            ids: Of which.
        """
        names: dict[str, str] = {}
        after: str | None = None
        while len(names) < len(ids):
            found, after = await self._directory.list_subscriptions(tenant, MAX_PAGE, after)
            names |= {one.id: one.name for one in found if one.id in ids}
            if after is None:
                break
        return names

    async def create(self, asked: Asked) -> Told:
        """Create a subscription; the only time its keys are shown. They work once it is active."""
        document = asked.document
        if not asked.everywhere:
            document = {"tenant": tenant_of(asked, document.get("tenant")), **document}
        wanted = self._documents.new_subscription(document)
        if not asked.everywhere:
            _refuse_grants(wanted)
            if wanted.product == UNLIMITED_PRODUCT.id:
                wanted = msgspec.structs.replace(wanted, state=SUBMITTED)
        stored, keys = await self._subscriptions.create(wanted)
        self._memory.forget_subscription(stored.value.id, stored.value.identities)
        return Told({**subscription_shape(stored.value), "keys": keys}, etag_of(stored.etag))

    async def change(self, asked: Asked, subscription_id: str) -> Told:
        """Change a subscription's name, limits, roles, rights, network and identities."""
        documents, document = self._documents, asked.document
        return self._told(await self._change(asked, subscription_id, lambda now: documents.changed_subscription(now, document)))

    async def transition(self, asked: Asked, subscription_id: str, action: str) -> Told:
        """Approve, reject, suspend, resume or cancel it; Conflict says what is possible where that is not."""

        def change(now: Subscription) -> Subscription:
            if action == "suspend" and now.state is SUSPENDED and asked.everywhere and not now.held:
                return msgspec.structs.replace(now, held=True)
            if action == "resume" and now.held and not asked.everywhere:
                raise PermissionDenied("an administrator of the gateway suspended this subscription; ask them to resume it")
            state = follow(now.state, action)
            return msgspec.structs.replace(now, state=state, held=state is SUSPENDED and asked.everywhere)

        return self._told(await self._change(asked, subscription_id, change))

    async def regenerate(self, asked: Asked, subscription_id: str, slot: str) -> Told:
        """Put a new key into a slot and show it, once; the old one works for `{"overlap_s"?: seconds}` more."""
        tenant, overlap_s = self._tenant(asked, subscription_id), convert(asked.document, _Rotation).overlap_s
        _check_slot(slot)
        if not 0 <= overlap_s <= MAX_OVERLAP_S:
            message = f"'overlap_s' must be from 0 to {MAX_OVERLAP_S}, which is a week"
            raise RequestError(message, param="overlap_s", code="invalid_value")
        changed, text = await self._subscriptions.regenerate(tenant, subscription_id, slot, overlap_s, asked.if_match)
        self._forget(changed)
        return self._told(changed, keys={slot: text})

    async def revoke(self, asked: Asked, subscription_id: str, slot: str) -> Told:
        """Let no key of a slot work any more."""
        _check_slot(slot)
        return self._told(await self._change(asked, subscription_id, lambda now: without_keys(now, slot)))

    async def _change(self, asked: Asked, subscription_id: str, change: Callable[[Subscription], Subscription]) -> Changed[Subscription]:
        tenant = self._tenant(asked, subscription_id)
        changed = await self._subscriptions.change(tenant, subscription_id, asked.if_match, change)
        self._forget(changed)
        return changed

    def _tenant(self, asked: Asked, subscription_id: str) -> str | None:
        if not is_id(subscription_id):
            raise subscription_not_found(subscription_id)
        return tenant_of(asked, None)

    def _forget(self, changed: Changed[Subscription]) -> None:
        self._memory.forget_subscription(changed.after.id, changed.after.identities)

    def _told(self, changed: Changed[Subscription], **more: Any) -> Told:
        before = subscription_shape(changed.before)
        return Told(subscription_shape(changed.after) | more, etag_of(changed.etag), before=before)


def _check_slot(slot: str) -> None:
    if slot not in SLOTS:
        raise NotFound(f"there is no key {slot[:64]!r}; a subscription has {' and '.join(SLOTS)}", code="key_not_found")


def _refuse_grants(wanted: Subscription) -> None:
    if wanted.roles != CALLER:
        raise PermissionDenied("only an administrator of the gateway grants roles; leave 'roles' out", param="roles")
    if wanted.identities:
        raise PermissionDenied("only an administrator of the gateway binds identities; leave 'identities' out", param="identities")
