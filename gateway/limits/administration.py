"""What administrators see and do of counters: list scopes, show one beside the ledger, take back what the dead hold."""

import datetime
import re
from typing import Any

import msgspec

from gateway.domain.documents import convert
from gateway.domain.management import Asked, page_of, read_paging, tenant_of
from gateway.domain.tables import pack_continuation, unpack_continuation
from gateway.errors import NotFound, RequestError
from gateway.limits.proof import Prover
from gateway.limits.reconcile import Reconciler, Returned
from gateway.limits.rows import COUNTER
from gateway.limits.scopes import tenant_of_partition

_SCOPE = re.compile(r"[A-Za-z0-9._:@~|-]{1,400}")


class _Reconcile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    scope: str = ""


class LimitsAdministration:
    """The management operations.

    Args:
        prover: Shows.
        reconciler: Takes back.
    """

    def __init__(self, prover: Prover, reconciler: Reconciler) -> None:
        self._prover = prover
        self._reconciler = reconciler

    async def get(self, asked: Asked) -> dict[str, Any]:
        """Return one scope (`scope`, its windows those of `at` or now), or a page of the scopes that are counted.

        Raises:
            NotFound: Nothing is counted for the scope, or who asks may not know.
            RequestError: A parameter is not understood; `param` names it.
        """
        scope = asked.query.get("scope", "")
        tenant = tenant_of(asked, asked.query.get("tenant"))
        if not scope:
            limit, after = read_paging(asked.query)
            found, last = await self._prover.scopes(tenant, limit, (after and unpack_continuation(after)[0]) or "")
            data = [{"object": "limits.scope", "scope": name, "tenant": tenant_of_partition(name)} for name in found]
            return page_of(data, None if last is None else pack_continuation(last, None))
        _check_scope(scope)
        if tenant is not None and tenant_of_partition(scope) != tenant:
            raise NotFound(f"nothing is counted for {scope!r}; GET /manage/limits lists the scopes", code="unknown_scope")
        return await self._prover.show(scope, _moment(asked.query.get("at", "")))

    async def reconcile(self, asked: Asked) -> dict[str, Any]:
        """Take back what the dead hold of one scope (`{"scope": …}`), or of all as far as one run comes.

        Raises:
            RequestError: The document is not understood; `param` names the field.
            StoreUnavailable: Whatever was done is whole.
        """
        scope = convert(asked.document, _Reconcile).scope
        if scope:
            _check_scope(scope)
            returned, more = await self._reconciler.reconcile(scope), False
        else:
            summary = await self._reconciler.reconcile_all()
            returned, more = list(summary.returned), summary.more
        return {"object": "limits.reconciled", "returned": [_returned(each) for each in returned], "more": more}


def _returned(told: Returned) -> dict[str, Any]:
    given_back = {row.removeprefix(COUNTER): amount for row, amount in told.given_back.items()}
    return {"scope": told.partition, "worker": told.worker, "given_back": given_back}


def _check_scope(scope: str) -> None:
    if not _SCOPE.fullmatch(scope):
        message = "'scope' must be the name of one, such as subscription|contoso|sub_1 (%7C for | in a URL); GET /manage/limits lists them"
        raise RequestError(message, param="scope", code="invalid_value")


def _moment(text: str) -> datetime.datetime | None:
    if not text:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text.replace(" ", "+"))  # the "+" of an offset, where the client did not encode it
        return moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment.astimezone(datetime.UTC)
    except (ValueError, OverflowError) as exc:
        raise RequestError("'at' must be an ISO 8601 date or time, such as 2026-01-31T12:00:00Z", param="at", code="invalid_value") from exc
