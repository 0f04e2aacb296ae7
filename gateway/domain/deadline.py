"""How long a caller is willing to wait: `x-gateway-timeout-ms`."""

from collections.abc import Mapping

from gateway.errors import RequestError

HEADER = "x-gateway-timeout-ms"


def read_timeout_s(headers: Mapping[str, str], ceiling_s: float) -> float:
    """Return the seconds until an answer must have begun, at most `ceiling_s`; RequestError if the header is no such number."""
    text = headers.get(HEADER)
    if text is None:
        return ceiling_s
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text)):
        raise RequestError(f"{HEADER} must be a whole number of milliseconds from 1 to 999999999", param=HEADER, code="invalid_value")
    return min(int(text) / 1000, ceiling_s)
