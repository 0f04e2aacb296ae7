"""The texts that stand beside what is said: what a request says of its user, labels, stops, and members that are new to us.

What we do not know goes on to the backend byte by byte, so it is read as well: every string in it. Left out are settings, which are
numbers, words of the API's own, ids and keys to other services, and what the operation reads itself.

| members | whose words |
| --- | --- |
| `user`, `safety_identifier`, `prompt_cache_key`, `metadata`, `stop`, `stop_sequences`, `web_search_options` | system: the application's |
| what `data_sources` say of themselves; their keys and filters are not told to the model | system |
| `documents` | document |
| any other | user |

Of an answer, members that are new to us are the model's words (`read_more`), and what a stored response repeats of its request is
nobody's: it only gets its originals back (`read_echoes`).

Source: OpenAI API reference, "Create chat completion", "Create a model response"; Claude API reference, "Create a Message"; Azure
OpenAI, "Data source options" (read 2026-11-22).
"""

from collections.abc import Mapping
from typing import Any

from gateway.domain.call import Operation
from gateway.domain.verdicts import Role
from gateway.guardrails.texts.reader import Reader

_SETTINGS = frozenset(
    {"model", "stream", "stream_options", "temperature", "top_p", "top_k", "n", "seed", "best_of", "echo", "store", "background"}
    | {"max_tokens", "max_completion_tokens", "max_output_tokens", "max_tool_calls", "logprobs", "top_logprobs", "logit_bias"}
    | {"presence_penalty", "frequency_penalty", "tool_choice", "function_call", "parallel_tool_calls", "modalities", "audio"}
    | {"reasoning", "reasoning_effort", "thinking", "verbosity", "service_tier", "truncation", "include", "cache_control"}
    | {"previous_response_id", "conversation", "container", "mcp_servers", "prompt_cache_retention", "context_management"}
    | {"encoding_format", "dimensions", "voice", "speed", "stream_format", "size", "quality", "style", "moderation", "partial_images"}
    | {"output_compression", "input_fidelity"}
)
_FORMATS = frozenset({"response_format", "output_format"})  # mere words there
_READ_ELSEWHERE: Mapping[Operation, frozenset[str]] = {
    Operation.CHAT: frozenset({"messages", "tools", "functions", "response_format", "prediction"}),
    Operation.RESPONSES: frozenset({"instructions", "tools", "text", "prompt", "input"}),
    Operation.MESSAGES: frozenset({"system", "tools", "output_config", "output_format", "messages"}),
    Operation.COMPLETIONS: frozenset({"prompt", "suffix"}),
    Operation.EMBEDDINGS: frozenset({"input"}),
    Operation.IMAGES: _FORMATS | {"prompt"},
    Operation.SPEECH: _FORMATS | {"instructions", "input"},
    Operation.MODERATIONS: frozenset({"input"}),
}
_KNOWN: Mapping[Operation, frozenset[str]] = {operation: names | _SETTINGS for operation, names in _READ_ELSEWHERE.items()}
# Responses repeat them.
_LABELS = ("user", "safety_identifier", "prompt_cache_key", "metadata")
_APPLICATION = frozenset({*_LABELS, "stop", "stop_sequences", "web_search_options"})
_DATA_SOURCES = "data_sources"


def read_besides(reader: Reader, operation: Operation, document: Mapping[str, Any]) -> None:
    """Take the texts of a request's members that its operation does not read itself."""
    known = _KNOWN.get(operation)
    if known is None or document.keys() <= known:
        return
    for name, value in document.items():
        if name == _DATA_SOURCES:
            reader.described((name,), value)
        elif name not in known:
            reader.data((name,), value, Role.SYSTEM if name in _APPLICATION else Role.DOCUMENT if name == "documents" else Role.USER)


# Of answers: ids, numbers, the API's own words, verdicts of filters, and what is read by itself.
OF_ANSWERS = frozenset(
    {"id", "object", "created", "model", "usage", "system_fingerprint", "service_tier", "prompt_filter_results", "content_filters"}
    | {"choices", "output", "data", "content", "type", "role", "stop_reason", "status", "container", "context_management"}
    | {"created_at", "completed_at", "expires_at", "incomplete_details", "previous_response_id", "conversation", "deleted"}
    | {"first_id", "last_id", "has_more", "billing", "max_tool_calls", "top_logprobs", "moderation", "obfuscation"}
)
_ECHOES = frozenset({"instructions", "prompt", "input", "tools", "text", *_LABELS})
_NOT_ECHOED = _SETTINGS | OF_ANSWERS | _ECHOES
OF_CHOICES = frozenset(
    {"index", "message", "delta", "text", "finish_reason", "stop_reason", "logprobs", "content_filter_results", "content_filter_result"}
)


def read_more(reader: Reader, document: Mapping[str, Any], *, echoes: bool = False) -> None:
    """Take the texts of an answer's members that are new to us, and of its choices.

    Args:
        reader: Takes them.
        document: The answer.
        echoes: It is a response, which repeats its request.
    """
    known = _NOT_ECHOED if echoes else OF_ANSWERS
    for name, value in document.items():
        if name not in known:
            reader.said((name,), value, Role.ASSISTANT)
    choices = document.get("choices")
    for index, choice in enumerate(choices if type(choices) is list else ()):
        for name, value in choice.items() if type(choice) is dict else ():
            if name not in OF_CHOICES:
                reader.said(("choices", index, name), value, Role.ASSISTANT)


def read_echoes(reader: Reader, document: Mapping[str, Any]) -> None:
    """Take what a response repeats of its request."""
    for name in ("instructions", "prompt", "input"):
        reader.said((name,), document.get(name), Role.SYSTEM)
    for name in ("tools", "text"):
        reader.described((name,), document.get(name))
    for name in _LABELS:
        reader.data((name,), document.get(name), Role.SYSTEM)
