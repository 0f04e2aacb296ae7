"""Admits calls within all their scopes' limits: reserve before a call, settle after it."""

import datetime
import random
from collections.abc import Mapping

from gateway.domain.amounts import NOTHING, Amounts
from gateway.limits.scopes import Scope
from gateway.ports import Clock, Tables


class Reservation:
    """What a call holds until it is settled."""

    __slots__ = ("admitted_at", "asked", "headers")

    def __init__(self, asked: Amounts, headers: Mapping[str, str], admitted_at: datetime.datetime | None) -> None:
        self.asked = asked
        self.headers = headers
        self.admitted_at = admitted_at


NOTHING_RESERVED = Reservation(NOTHING, {}, None)


class Limiter:
    """Admits calls within limits that all workers share."""

    def __init__(self, tables: Tables, clock: Clock, worker: str, rng: random.Random, *, outage_percent: int = 5) -> None:
        self._tables = tables
        self._clock = clock
        self.worker = worker
        self._rng = rng
        self._outage_percent = outage_percent

    async def reserve(self, scopes: tuple[Scope, ...], asked: Amounts) -> Reservation:
        """Count the call at every scope, or refuse it and count nothing."""
        return NOTHING_RESERVED

    def settle(self, reservation: Reservation, used: Amounts) -> None:
        """Replace what was reserved by what was used."""

    async def tick(self) -> None:
        """Give back what lies idle, renew what is held. Called once a second by itself while anything is held."""

    async def close(self) -> None:
        """Return all slices."""
