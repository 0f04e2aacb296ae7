"""One management request: may who asks do this? Then do it, and whatever is no read with an entry in the audit trail.

The entry is written before the right is checked, so that a refused attempt is in the trail too; so is one whose body cannot be
read.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from gateway.access.audit import Deed
from gateway.container import Gateway
from gateway.domain.call import Inbound
from gateway.domain.management import Asked, Told
from gateway.errors import GatewayError
from gateway.routes.rights import Right, check_right, right_of

type Act = Callable[[Gateway, Asked], Awaitable[Any]]
type Read = Callable[[], Awaitable[Mapping[str, Any]]]


async def audited(gateway: Gateway, inbound: Inbound, asked: Asked, act: Act, read: Read | None = None) -> Told:
    """Return what `act` tells.

    Args:
        gateway: Whose trail it is.
        inbound: The request.
        asked: What is asked for, without its document.
        act: Does it.
        read: Reads the document; None where there is none.

    Raises:
        PermissionDenied: The route is not for who asks.
        StoreUnavailable: The trail cannot be written; nothing was done.
    """
    right, names = right_of(inbound.method, inbound.path)
    if right.method == "GET":
        check_right(right, asked.principal)
        return _told(await act(gateway, asked))
    fault = None
    try:
        asked = msgspec.structs.replace(asked, document=await read()) if read else asked
    except GatewayError as exc:
        fault = exc
    target = inbound.path.strip("/").partition("/")[2]
    tenant = await gateway.administration.concerned(asked, right.route, names)
    deed = Deed(right.action, target, tenant, asked.principal, inbound.client_ip, inbound.request_id, _seen(right, asked.document))
    entry = await gateway.audit.begin(deed)
    try:
        check_right(right, asked.principal)
        _refuse(fault)
        told = _told(await act(gateway, asked))
    except Exception as exc:
        await gateway.audit.end(entry, error=exc.code if isinstance(exc, GatewayError) else "internal_error")
        raise
    await gateway.audit.end(entry, target=_made(target, right, told.value), before=told.before, after=_seen(right, told.value))
    return told


def _seen(right: Right, value: Any) -> Any:
    """Return what the trail may see of a document or an answer."""
    if not right.shown or not isinstance(value, dict):
        return value
    return {name: member for name, member in value.items() if name in right.shown}


def _refuse(fault: GatewayError | None) -> None:
    if fault is not None:
        raise fault


def _told(value: Any) -> Told:
    return value if isinstance(value, Told) else Told(value)


def _made(target: str, right: Right, value: Any) -> str:
    """Return the target with the id of what was created, which nobody knew before."""
    made = value.get("id") if isinstance(value, dict) and right.action.endswith(".create") else None
    return f"{target}/{made}" if made else target
