"""An answer that no backend gave: the operator's own words, when no model could be asked.

It takes the place of an upstream's answer in OpenAI's wire format, so that it goes to the client through the same providers
and dialects, streamed or whole, as every other.
"""

from collections.abc import AsyncIterator, Mapping

import msgspec

from gateway.attempts import ProviderFor
from gateway.domain.call import Call, Candidate
from gateway.domain.deployment import Auth, AuthType, Backend, Deployment, Price, Protocol
from gateway.domain.policy import StaticAnswer
from gateway.opening import Opened
from gateway.settlement import Flight

STATIC = Deployment("static", Backend("static", Protocol.OPENAI, "", Auth(type=AuthType.NONE)), "static", price=Price(input=0, output=0))
_HEADERS: Mapping[str, str] = {}


class CannedResponse:
    """See `ports.UpstreamResponse`."""

    status = 200
    headers = _HEADERS

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def read(self) -> bytes:
        """Return the body."""
        return self.body

    async def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the body, in one piece."""
        yield self.body

    def close(self) -> None:
        """Nothing is held."""


def canned(call: Call, content: str, answer_id: str, created: int) -> CannedResponse:
    """Return a chat answer with this content, as a stream where the call wants one.

    Args:
        call: The client's.
        content: What the assistant says.
        answer_id: Of the answer.
        created: Unix seconds.
    """
    common = {"id": answer_id, "created": created, "model": call.model}
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    message = {"role": "assistant", "content": content}
    if not call.stream:
        choice = {"index": 0, "message": {**message, "refusal": None}, "logprobs": None, "finish_reason": "stop"}
        return CannedResponse(msgspec.json.encode({**common, "object": "chat.completion", "choices": [choice], "usage": usage}))
    common["object"] = "chat.completion.chunk"
    chunks = [
        {**common, "choices": [{"index": 0, "delta": message, "logprobs": None, "finish_reason": None}]},
        {**common, "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]},
        {**common, "choices": [], "usage": usage},
    ]
    return CannedResponse(b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n")


def open_canned(flight: Flight, call: Call, answer: StaticAnswer, providers: ProviderFor, created: int) -> Opened:
    """Answer a call with the operator's words.

    Args:
        flight: The call's.
        call: Its answer is text (`domain/output_limit.py`).
        answer: The words.
        providers: Turns the answer into the client's dialect.
        created: Unix seconds.
    """
    draft = flight.draft
    provider = providers(Protocol.OPENAI, call.operation, ())
    assert provider is not None  # OpenAI's protocol serves every operation that answers in text
    response = canned(call, answer.content, f"chatcmpl-{draft.inbound.request_id}", created)
    candidate = Candidate(STATIC, "every model failed")
    draft.deployment, draft.backend, draft.fallback, draft.reason = STATIC.id, "", "static", candidate.reason
    flight.answered_by_us(STATIC.price)
    if call.stream:
        return Opened(response, candidate, None, provider.decoder(call), response.chunks(), [])
    return Opened(response, candidate, provider.decode(call, response.body, response.headers))
