"""Azure OpenAI: OpenAI's wire format under Azure's paths.

| `backend.api_version` | URL | deployment is named by |
| --- | --- | --- |
| a date | `{endpoint}/openai/deployments/{name}/chat/completions?api-version=…` | the path; `model` stays as the client sent it |
| `v1` | `{endpoint}/openai/v1/chat/completions` | `model` in the body |

The client's own `api-version` goes upstream if it is a date: the preview features it asked for hang on it. Anything else
(`preview` of the v1 paths, a slip of the pen) would be a 404 that looks like our deployment's fault, so ours is used.
"""

import functools
import re
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from gateway.domain.call import Call, Completion, UpstreamRequest
from gateway.domain.catalog import Deployment
from gateway.errors import UpstreamError
from gateway.providers import failures, openai_answer
from gateway.providers.openai_request import body_of, headers_of, path_of
from gateway.providers.openai_stream import OpenAIStream

_V1 = "v1"
_DATED = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}(-preview)?")


# Keyed by strings, whose hashes Python keeps; a Deployment would be hashed member by member on every call.
@functools.lru_cache(maxsize=1024)
def _dated_url(endpoint: str, name: str, path: str, ours: str, asked: str | None) -> str:
    version = asked if asked and _DATED.fullmatch(asked) else ours
    return f"{endpoint}/openai/deployments/{quote(name, safe='')}/{path}?api-version={quote(version, safe='')}"


class AzureOpenAI:
    """The Provider of `protocol: azure-openai`."""

    def encode(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        """Build the upstream request; `stream_options` changes on streams, `model` only under the v1 paths."""
        backend = deployment.backend
        path = path_of(call.operation)
        if backend.api_version == _V1:
            url = f"{backend.endpoint}/openai/v1/{path}"
            body = body_of(call, msgspec.json.encode(deployment.name))
        else:
            url = _dated_url(backend.endpoint, deployment.name, path, backend.api_version, call.api_version)
            body = body_of(call)
        return UpstreamRequest(backend, "POST", url, headers_of(call), body)

    def decode(self, call: Call, body: bytes) -> Completion:
        """Read a complete answer; `text` is filled only where the upstream gave no usage."""
        return openai_answer.decode(call, body)

    def decoder(self, call: Call) -> OpenAIStream:
        """Make the decoder of one stream."""
        return OpenAIStream(include_usage=call.include_usage)

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """Say what an answer outside 2xx means."""
        return failures.classify(status, headers, body)
