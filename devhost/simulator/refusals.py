"""The error answers of Azure OpenAI and OpenAI, as values.

A refusal is raised anywhere below `app.py` and rendered there alone. Two shapes exist on the wire: Azure's front door says
`{"error": {"code", "message"}}`, the model's API says `{"error": {"message", "type", "param", "code"}}`.
"""

from typing import Any

type Header = tuple[bytes, bytes]


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of the simulator
    """An HTTP error answer: status, payload (JSON value, or ready bytes with their content type) and extra headers."""

    def __init__(
        self, status: int, payload: dict[str, Any] | bytes, headers: tuple[Header, ...] = (), content_type: bytes = b"application/json"
    ) -> None:
        super().__init__(status)
        self.status = status
        self.payload = payload
        self.headers = headers
        self.content_type = content_type


def front_door(status: int, code: str, message: str, headers: tuple[Header, ...] = ()) -> Refusal:
    """Make an error as Azure's front door (API Management) words it."""
    return Refusal(status, {"error": {"code": code, "message": message}}, headers)


def api_error(status: int, message: str, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None) -> Refusal:
    """Make an error as the model's own API words it."""
    return Refusal(status, {"error": {"message": message, "type": kind, "param": param, "code": code}})


def not_found() -> Refusal:
    """Make Azure's answer to a path, method or missing api-version that it does not know."""
    return front_door(404, "404", "Resource not found")


def access_denied() -> Refusal:
    """Make Azure's answer to a missing or wrong key."""
    message = (
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active "
        "subscription and use a correct regional API endpoint for your resource."
    )
    return front_door(401, "401", message)


def wrong_openai_key(key: str) -> Refusal:
    """Make OpenAI's answer to a missing or wrong key; it shows the first letters only."""
    if not key:
        return api_error(
            401, "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth."
        )
    return api_error(401, f"Incorrect API key provided: {key[:3]}***.", code="invalid_api_key")


def server_error() -> Refusal:
    """Make the 500 that a model's API answers when it fails."""
    return api_error(500, "The server had an error while processing your request. Sorry about that!", "server_error")
