"""Every way a call can be refused or fail, as one tree.

GatewayError
├── RequestError 400            the client's request is wrong; `param` names the field
│   ├── MethodNotAllowed 405
│   ├── UnsupportedMediaType 415
│   ├── PayloadTooLarge 413
│   ├── GuardrailBlocked 400    a guardrail of ours refused the request or its answer
│   └── PromptError 400         a prompt cannot be rendered with what the call gives it
├── AuthenticationError 401     no key, or one that does not exist, is revoked or has expired
├── PaymentRequired 402         the call may cost more than its product lets pass unasked
├── PermissionDenied 403        a known caller that may not do this
├── NotFound 404
│   └── ModelNotFound 404
├── Gone 410                    it was there, and will not come back
├── Conflict 409                it exists already, or it changed in between
├── PreconditionFailed 412      If-Match does not hold any more
├── LimitExceeded 429
│   ├── RateLimited 429         requests, tokens or money per minute, or calls at once
│   └── QuotaExhausted 403      a calendar quota or a budget is used up
├── UpstreamError 502           the model's backend failed us
│   ├── UpstreamThrottled 429   it is over its own limit
│   ├── UpstreamTimeout 504     no answer within the deadline
│   ├── UpstreamMisconfigured 502  it does not accept, or know, what our configuration says
│   ├── UpstreamRejected 4xx    it refused the client's request: its own error is passed on
│   └── ContentFiltered 400     its content filter refused the prompt
├── Unavailable 503             we cannot serve just now; try again
│   ├── NoCapacity 503          no deployment can take the call
│   ├── Stopping 503            the host stops before the call is done
│   ├── StoreUnavailable 503    Table Storage did not answer
│   └── GuardrailUnavailable 503  a guardrail that must not be left out could not run
└── ClientDisconnected 499      nobody is left to answer; exists for the usage record only

A leaf carries `status` (HTTP), `type` and `code` (OpenAI's vocabulary, low cardinality: safe as a metric's label),
`retryable` (may the same call succeed later?) and `retry_after_s`. Adapters translate foreign exceptions at the door
with `raise … from exc`. Rendering is `routes/http.py`'s job alone. A message never holds a backend's URL or a secret.
"""

from collections.abc import Mapping
from typing import Any


class GatewayError(Exception):
    """Anything the gateway refuses or fails, with what a client may know of it.

    Args:
        message: One sentence for the client: what is wrong and what to do next.
        param: The request field at fault, in the client's own notation (`messages[0].content`).
        code: Overrides the class's code where one class serves several.
        retry_after_s: Seconds after which the same call may succeed.
        details: More members of the error object, such as Azure's `innererror`.
        headers: Response headers beyond those that every error has, such as Allow or x-ratelimit-….
    """

    status: int = 500
    type: str = "server_error"
    code: str = "internal_error"
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.details = details or {}
        self.headers = headers or {}
        if code is not None:
            self.code = code


class RequestError(GatewayError):
    """The request itself is wrong; sending it again unchanged cannot help."""

    status, type, code = 400, "invalid_request_error", "invalid_request"


class MethodNotAllowed(RequestError):
    """The path exists, but not for this method; the Allow header says which."""

    status, code = 405, "method_not_allowed"


class UnsupportedMediaType(RequestError):
    """The body's media type or content coding is not one we read."""

    status, code = 415, "unsupported_media_type"


class PayloadTooLarge(RequestError):
    """The body is larger than the gateway takes, counted after decompression."""

    status, code = 413, "request_too_large"


class GuardrailBlocked(RequestError):
    """One of our guardrails refused what was asked, or what was answered; `details` hold its verdict."""

    code = "guardrail_blocked"


class PromptError(RequestError):
    """A prompt cannot be rendered with what the call gives it; `param` names the variable (`prompt.variables.city`)."""

    code = "prompt_invalid"


class AuthenticationError(GatewayError):
    """We do not know who is calling; the answer says, as HTTP wants it, how to tell."""

    status, type, code = 401, "authentication_error", "invalid_api_key"

    def __init__(self, message: str, **rest: Any) -> None:
        super().__init__(message, **rest)
        self.headers = {"www-authenticate": "Bearer", **self.headers}


class PermissionDenied(GatewayError):
    """We know who is calling, and they may not do this."""

    status, type, code = 403, "permission_error", "permission_denied"


class PaymentRequired(GatewayError):
    """The call's estimated cost is over what its product lets pass; `details` name what can be done."""

    status, type, code = 402, "invalid_request_error", "cost_confirmation_required"


class NotFound(GatewayError):
    """Nothing of that name exists, or the caller may not see it."""

    status, type, code = 404, "not_found_error", "not_found"


class ModelNotFound(NotFound):
    """No model of that name is in the catalogue for this caller."""

    type, code = "invalid_request_error", "model_not_found"


class Gone(GatewayError):
    """It has been retired; the message says what to use in its place."""

    status, type, code = 410, "invalid_request_error", "model_retired"


class Conflict(GatewayError):
    """The thing exists already, or someone else changed it first."""

    status, type, code = 409, "invalid_request_error", "conflict"


class PreconditionFailed(GatewayError):
    """The ETag in If-Match is not the current one: read again, then write."""

    status, type, code = 412, "invalid_request_error", "precondition_failed"


class LimitExceeded(GatewayError):
    """A limit of the caller's subscription or product would be passed."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"
    retryable = True


class RateLimited(LimitExceeded):
    """A rate is used up until `retry_after_s`, or as many calls as allowed are under way."""


class QuotaExhausted(LimitExceeded):
    """A calendar quota or a budget is used up until its period ends; 403, so that no client library tries again by itself."""

    status, type, code = 403, "insufficient_quota", "insufficient_quota"
    retryable = False


class UpstreamError(GatewayError):
    """The backend failed; another deployment, or a later try, may do better."""

    status, type, code = 502, "server_error", "upstream_error"
    retryable = True


class UpstreamThrottled(UpstreamError):
    """The backend is over its own limit; `retry_after_s` is its word, where it gave one."""

    status, type, code = 429, "rate_limit_error", "upstream_throttled"


class UpstreamTimeout(UpstreamError):
    """No answer within the call's deadline."""

    status, type, code = 504, "server_error", "upstream_timeout"


class UpstreamMisconfigured(UpstreamError):
    """The backend does not accept our credential, or does not know the deployment: another one may, this one will not."""

    code = "upstream_misconfigured"


class UpstreamRejected(UpstreamError):
    """The backend refused the client's own request; its listed error members are passed on."""

    type, code = "invalid_request_error", "upstream_rejected"
    retryable = False

    def __init__(self, message: str, *, status: int = 400, **rest: Any) -> None:
        super().__init__(message, **rest)
        self.status = status


class ContentFiltered(UpstreamError):
    """The backend's content filter refused the prompt; `details` keeps its annotations."""

    status, type, code = 400, "invalid_request_error", "content_filter"
    retryable = False


class Unavailable(GatewayError):
    """We cannot serve at the moment."""

    status, type, code = 503, "server_error", "unavailable"
    retryable = True


class NoCapacity(Unavailable):
    """No deployment of the pool can take the call."""

    code = "no_capacity"


class Stopping(Unavailable):
    """The host stops, and the call did not end in the time it was given."""

    code = "stopping"

    def __init__(self) -> None:
        super().__init__("the gateway is being stopped; send the request again")


class StoreUnavailable(Unavailable):
    """The table or blob store did not answer, so what depends on it is refused."""

    code = "store_unavailable"


class GuardrailUnavailable(Unavailable):
    """A guardrail that fails closed could not run; what it should have checked goes nowhere."""

    code = "guardrail_unavailable"


class ClientDisconnected(GatewayError):
    """The client went away before its answer was complete."""

    status, type, code = 499, "client_error", "client_disconnected"
