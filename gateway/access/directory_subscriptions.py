"""Subscriptions, their keys and their identities, in the Tables port: made and changed.

What must stand before the subscription's row names it is written first (a key's row, a claim on an identity), what is of no use
any more is removed after. A crash in between leaves rows that open nothing (`directory.py`).

An identity is one subscription's. A claim that its subscription does not name was left by a crash, or is about to be named;
after CLAIM_S it is the former, and another subscription may take it.
"""

import asyncio
import datetime
import logging
from collections.abc import Callable, Iterable

import msgspec

from gateway.access import keys
from gateway.access.directory import IDENTITIES, KEYS, SUBSCRIPTION_IDS, SUBSCRIPTIONS, Directory
from gateway.access.directory_changes import Changed, busy, product_not_found, rewrite, subscription_not_found, tenant_not_found
from gateway.access.directory_rows import SLOTS, Stored, values_of
from gateway.access.lifecycle import ENDED
from gateway.domain.access import KeySlot, Subscription, SubscriptionState
from gateway.domain.ids import uuid7_hex
from gateway.domain.management import check_match, etag_of
from gateway.domain.tables import EntityChanged, EntityExists, Value
from gateway.errors import Conflict, StoreUnavailable

log = logging.getLogger(__name__)

CLAIM_S = 60.0
MAX_KEYS = 8  # of a subscription at once: two that stay, and those that were replaced and still work for a while


class Subscriptions:
    """Makes and changes subscriptions."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._tables = directory.tables
        self._clock = directory.clock

    async def create(self, wanted: Subscription, *, approved: bool = False) -> tuple[Stored[Subscription], dict[str, str]]:
        """Make a subscription and its two keys, which nobody can read again.

        Args:
            wanted: What it shall be; its id, state and keys are given here.
            approved: Whether it is active though its product requires approval.

        Returns:
            The subscription, and the keys' whole texts by slot.

        Raises:
            NotFound: There is no such tenant or product; `param` names which.
            Conflict: One of its identities is bound to another subscription.
        """
        if await self._directory.tenant(wanted.tenant) is None:
            raise tenant_not_found(wanted.tenant, "tenant")
        product = await self._directory.product(wanted.product)
        if product is None:
            raise product_not_found(wanted.product, "product")
        state = SubscriptionState.SUBMITTED if product.requires_approval and not approved else wanted.state
        minted = {slot: keys.mint() for slot in SLOTS}
        named = f"sub_{uuid7_hex(self._clock.utc().timestamp())}"
        slots = tuple(KeySlot(slot, key.id) for slot, key in minted.items())
        made = msgspec.structs.replace(wanted, id=named, state=state, keys=slots)
        await self._tables.insert(SUBSCRIPTION_IDS, named, "subscription", {"tenant": made.tenant})
        for slot, key in minted.items():
            await self._insert_key(made, slot, key)
        await self._claim(made, made.identities)
        etag = await self._tables.insert(SUBSCRIPTIONS, made.tenant, named, values_of(made))
        return Stored(made, etag), {slot: key.text for slot, key in minted.items()}

    async def change(
        self, tenant: str | None, subscription_id: str, if_match: str, change: Callable[[Subscription], Subscription]
    ) -> Changed[Subscription]:
        """Change a subscription, of one tenant or, with None, of whichever has it."""
        owner = tenant or await self._directory.tenant_of_subscription(subscription_id)

        async def find() -> Stored[Subscription]:
            stored = await self._directory.subscription(owner, subscription_id) if owner else None
            if stored is None:
                raise subscription_not_found(subscription_id)
            return stored

        async def prepare(before: Subscription, after: Subscription) -> None:
            await self._claim(after, set(after.identities) - set(before.identities))

        place = (SUBSCRIPTIONS, owner or "-", subscription_id)
        changed = await rewrite(self._tables, place, find, if_match, lambda now: _tidy(change(now), self._clock.utc()), prepare)
        await self._remove(changed)
        return changed

    async def regenerate(
        self, tenant: str | None, subscription_id: str, slot: str, overlap_s: int, if_match: str
    ) -> tuple[Changed[Subscription], str]:
        """Put a new key into a slot.

        Args:
            tenant: Whose subscription; None for whichever has it.
            subscription_id: Which.
            slot: primary or secondary.
            overlap_s: How long what the slot held still works.
            if_match: The version that it must have, as sent.

        Returns:
            The change, and the key's whole text.
        """
        stored = await self._directory.subscription(tenant, subscription_id)
        if stored is None:
            raise subscription_not_found(subscription_id)
        key = keys.mint()
        end = self._clock.utc() + datetime.timedelta(seconds=overlap_s)

        def change(now: Subscription) -> Subscription:
            return _with_key(now, KeySlot(slot, key.id), end if overlap_s else None)

        check_match(if_match, etag_of(stored.etag))
        change(stored.value)  # a refusal leaves no row
        await self._insert_key(stored.value, slot, key)
        return await self.change(stored.value.tenant, subscription_id, if_match, change), key.text

    async def _insert_key(self, subscription: Subscription, slot: str, key: keys.VirtualKey) -> None:
        values = {"tenant": subscription.tenant, "subscription": subscription.id, "slot": slot, "state": "active"}
        await self._tables.insert(KEYS, key.id, "key", {**values, "hash": keys.hash_key(self._directory.pepper, key)})

    async def _claim(self, subscription: Subscription, identities: Iterable[str]) -> None:
        for identity in identities:
            now = self._clock.utc()
            values: dict[str, Value] = {"tenant": subscription.tenant, "subscription": subscription.id, "at": now}
            try:
                await self._tables.insert(IDENTITIES, identity, "identity", values)
            except EntityExists:
                await self._take_over(subscription.id, identity, values, now)

    async def _take_over(self, subscription_id: str, identity: str, values: dict[str, Value], now: datetime.datetime) -> None:
        found = await self._tables.get(IDENTITIES, identity, "identity")
        if found is None:
            raise busy(identity)
        claimed = found.values["at"]
        if found.values["subscription"] != subscription_id:
            record = await self._directory.identity_record(identity)
            if record is not None and record.active:
                raise Conflict(f"the identity {identity} is bound to another subscription; remove it there first", param="identities")
            if isinstance(claimed, datetime.datetime) and (now - claimed).total_seconds() < CLAIM_S:
                raise Conflict(f"the identity {identity} is being bound just now; try again in a minute", param="identities")
        try:
            await self._tables.replace(IDENTITIES, identity, "identity", values, found.etag)
        except EntityChanged as exc:
            raise busy(identity) from exc

    async def _remove(self, changed: Changed[Subscription]) -> None:
        """Remove the rows that the subscription no longer names. They open nothing, so a failure is told to the log alone."""
        old = {each.id for each in changed.before.keys} - {each.id for each in changed.after.keys}
        free = set(changed.before.identities) - set(changed.after.identities)
        ends = [self._tables.delete(KEYS, each, "key") for each in old] + [self._release(changed.after.id, each) for each in free]
        try:
            await asyncio.gather(*ends)
        except (EntityChanged, StoreUnavailable) as exc:
            log.warning("rows that the subscription %s no longer names stay behind: %s", changed.after.id, exc.code)

    async def _release(self, subscription_id: str, identity: str) -> None:
        found = await self._tables.get(IDENTITIES, identity, "identity")
        if found is not None and found.values["subscription"] == subscription_id:
            await self._tables.delete(IDENTITIES, identity, "identity", found.etag)


def without_keys(subscription: Subscription, slot: str) -> Subscription:
    """Return the subscription with nothing in a slot."""
    return msgspec.structs.replace(subscription, keys=tuple(each for each in subscription.keys if each.slot != slot))


def _with_key(subscription: Subscription, key: KeySlot, end: datetime.datetime | None) -> Subscription:
    """Return the subscription with a new key in its slot; what was there works until `end`, with None no longer."""
    if subscription.state in ENDED:
        raise Conflict(f"a subscription that is {subscription.state.value} gets no new keys; create another one", code="wrong_state")
    others = [each for each in subscription.keys if each.slot != key.slot]
    if end is not None:
        own = [each for each in subscription.keys if each.slot == key.slot and each.id != key.id]
        others += [msgspec.structs.replace(each, expires_at=min(each.expires_at or end, end)) for each in own]
    if len(others) >= MAX_KEYS:
        raise Conflict(
            f"{len(others)} keys of the subscription still work; regenerate without 'overlap_s', or revoke", code="too_many_keys"
        )
    return msgspec.structs.replace(subscription, keys=(*others, key))


def _tidy(subscription: Subscription, utc: datetime.datetime) -> Subscription:
    """Return the subscription without expired keys and, where it has ended, without identities, which others may bind then."""
    living = tuple(each for each in subscription.keys if each.works_at(utc))
    identities = () if subscription.state in ENDED else subscription.identities
    if living == subscription.keys and identities == subscription.identities:
        return subscription
    return msgspec.structs.replace(subscription, keys=living, identities=identities)
