"""The versions of the gateway's own contract, by date: what clients may ask for with `x-gateway-api-version`.

Whoever says nothing gets the first, for ever in the same shapes; a newer one is asked for by its date. What differs is in
`routes/versions.py`, and what a version promises in docs/versions.md. Azure's `api-version` query is another thing, and stays as it is.
"""

from collections.abc import Mapping

from gateway.errors import RequestError

HEADER = "x-gateway-api-version"
FIRST = "2026-10-01"
NOVEMBER = "2026-11-22"
VERSIONS = (FIRST, NOVEMBER)


def refusal(headers: Mapping[str, str]) -> RequestError | None:
    """Return the error of a request for a version that does not exist; None where it does, or none is asked for.

    Args:
        headers: Of the request, names in lower case.
    """
    asked = headers.get(HEADER)
    if asked is None or asked in VERSIONS:
        return None
    message = f"there is no version {asked[:32]!r}; there are {', '.join(VERSIONS)}, and without the header you get {FIRST}"
    return RequestError(message, param=HEADER, code="unsupported_api_version")


def asked_of(headers: Mapping[str, str]) -> str:
    """Return the version that a request asks for by name; empty where it asks for none that exists."""
    asked = headers.get(HEADER, "")
    return asked if asked in VERSIONS else ""


def since(version: str, first: str) -> bool:
    """Tell whether a version has what came with `first`; dates of this form are ordered as their texts are. Empty is the first one."""
    return (version or FIRST) >= first
