"""One lookup, asked of its source: a GET at a backend, a row of the table `lookups`, features of an entity. Nothing is remembered here.

Whatever goes wrong is `Unavailable` with the code `lookup_failed`, which names the lookup and never its URL, key or value.
"""

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.call import UpstreamRequest
from gateway.domain.deployment import Backend
from gateway.domain.lookups import FeatureLookup, HttpLookup, Lookup, TableLookup
from gateway.errors import GatewayError, Unavailable
from gateway.lookups.features import PATH, FeatureFault, read_features, request_body
from gateway.lookups.rows import TABLE, partition_of, row_of, value_of
from gateway.ports import Tables, Upstream

log = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 64 * 1024  # a longer one is no context but a mistake

type Key = str | int


class Sources:
    """Asks them.

    Args:
        upstream: The network.
        tables: Where table lookups' values are.
        backends: Those that lookups ask, by id.
    """

    def __init__(self, upstream: Upstream, tables: Tables, backends: Mapping[str, Backend]) -> None:
        self._upstream = upstream
        self._tables = tables
        self._backends = backends

    def check_zone(self, lookup: Lookup, data_zone: str) -> None:
        """Refuse to ask a backend outside the data zone to which a tenant is pinned."""
        if data_zone and not isinstance(lookup, TableLookup) and self._backends[lookup.backend].data_zone != data_zone:
            raise failed(lookup, "its backend lies outside the tenant's data zone")

    async def ask(self, lookup: Lookup, tenant: str, key: Key) -> Any:
        """Return what is found: any JSON value.

        Args:
            lookup: What is looked up.
            tenant: For whom.
            key: Its path or key, filled in.

        Raises:
            Unavailable: `lookup_failed`.
        """
        try:
            if isinstance(lookup, TableLookup):
                return await self._row(lookup, tenant, str(key))
            if isinstance(lookup, FeatureLookup):
                return read_features(lookup, (await self._send(lookup, "POST", PATH, request_body(lookup, key)))[0])
            return _picked(lookup, *await self._send(lookup, "GET", str(key), b""))
        except FeatureFault as exc:
            raise failed(lookup, str(exc)) from exc
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise failed(lookup, "its answer is not what the catalogue says of it") from exc
        except GatewayError as exc:
            if exc.code == "lookup_failed":
                raise
            log.warning("the lookup %s failed: %s", lookup.id, exc.code)
            raise failed(lookup, "its source did not answer") from exc

    async def _row(self, lookup: TableLookup, tenant: str, key: str) -> Any:
        row = row_of(key)
        for whose in (tenant, "") if row else ():
            entity = await self._tables.get(TABLE, partition_of(whose, lookup.id), str(row))
            if entity is not None:
                return value_of(entity)[0]
        raise failed(lookup, "there is no value for this key")

    async def _send(self, lookup: HttpLookup | FeatureLookup, method: str, path: str, body: bytes) -> tuple[bytes, str]:
        """Return the answer's body and its type."""
        backend = self._backends[lookup.backend]
        headers = {"accept": "application/json"} | ({"content-type": "application/json"} if body else {})
        url = f"{backend.endpoint}/{path.lstrip('/')}"
        response = await self._upstream.send(UpstreamRequest(backend, method, url, headers, body), lookup.timeout_s)
        pieces, size = [], 0
        try:
            if not 200 <= response.status < 300:
                raise failed(lookup, f"its source answered {response.status}")
            async for piece in response.chunks():
                pieces.append(piece)
                size += len(piece)
                if size > MAX_ANSWER_BYTES:
                    raise failed(lookup, f"its answer is over {MAX_ANSWER_BYTES // 1024} KB")
        finally:
            response.close()
        return b"".join(pieces), response.headers.get("content-type", "")


def failed(lookup: Lookup, why: str) -> Unavailable:
    """Return the error of a lookup that did not succeed."""
    return Unavailable(f"the lookup {lookup.id!r}, which the prompt needs, did not succeed: {why}; retry", code="lookup_failed")


def _picked(lookup: HttpLookup, body: bytes, kind: str) -> Any:
    """Return the whole answer, as JSON where it says that it is, or what is found going down its members."""
    if not lookup.pick:
        return msgspec.json.decode(body) if "json" in kind else body.decode()
    value: Any = msgspec.json.decode(body)
    for name in lookup.pick.split("."):
        if isinstance(value, list) and name.isascii() and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            raise failed(lookup, f"its answer has no {lookup.pick}")
    return value
