"""What is wrong with a request's headers before anybody looks at what it asks for."""

from collections.abc import Sequence

from gateway.domain.call import Inbound
from gateway.domain.contract_versions import refusal
from gateway.errors import RequestError

DECIDING_HEADERS = (
    *(
        b"authorization",
        b"api-key",
        b"x-api-key",
        b"ocp-apim-subscription-key",
        b"x-azure-fdid",
        b"x-azure-socketip",
        b"content-type",
        b"content-encoding",
        b"content-length",
        b"host",
    ),
    *(b"x-gateway-tags", b"x-gateway-user", b"x-gateway-session", b"x-gateway-priority", b"x-gateway-timeout-ms", b"x-gateway-explain"),
    b"x-gateway-api-version",
)


def header_fault(sent: Sequence[tuple[bytes, bytes]], inbound: Inbound, country_header: str) -> RequestError | None:
    """Return the error of a header that decides something and is there twice, or of a contract's version that does not exist.

    Args:
        sent: The headers one by one, as they came.
        inbound: The request; of a header that is there twice it has the last.
        country_header: The one that says the caller's country; empty for none.
    """
    return _doubled(sent, inbound, country_header) or refusal(inbound.headers)


def _doubled(sent: Sequence[tuple[bytes, bytes]], inbound: Inbound, country_header: str) -> RequestError | None:
    """What stands before us may have read the other one."""
    if len(sent) == len(inbound.headers):
        return None
    names = [name for name, _ in sent]
    for name in (*DECIDING_HEADERS, country_header.encode()):
        if names.count(name) > 1:
            shown = name.decode()
            return RequestError(f"the header {shown} is there more than once", param=shown, code="duplicate_header")
    return None
