"""One request to the app."""

from typing import Any, NamedTuple


class Ask(NamedTuple):
    """A request and the status it must be answered with; `key` is whose: user, admin or nobody's. Bytes are a form."""

    status: int
    method: str
    path: str
    body: dict[str, Any] | bytes | None = None
    key: str = "user"
