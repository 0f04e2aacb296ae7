"""Whether a backend's own content filter looked at what it answered.

    {"choices": [{"content_filter_results": {"error": {"code": "content_filter_error", "message"}}}]}

Azure OpenAI answers 200 when its filter cannot run in time: the text is there, unchecked, and only its annotations say so. They
stand beside a choice, beside a prompt (`prompt_filter_results`), in a response's `content_filters`, and in a stream's chunks and
events alike; one category may have failed by itself (`custom_blocklists`). An answer without annotations says nothing: it is
not unchecked, because most backends have none.

Source: Azure OpenAI, "Content filtering", "Content filtering annotations" (read 2026-11-22).
"""

from collections.abc import Iterator
from typing import Any

from gateway.domain.call import Operation
from gateway.errors import GuardrailUnavailable

FILTERED = frozenset({Operation.CHAT, Operation.COMPLETIONS, Operation.RESPONSES, Operation.RESPONSE_ITEM})

RESULTS = ("content_filter_results", "content_filter_result")
NOT_RUN = "the backend's content filter could not run"  # the verdict's reason

_HOLDERS = ("choices", "prompt_filter_results", "content_filters")


def unchecked(operation: Operation, document: Any) -> bool:
    """Tell whether the backend's filter says that it could not check something of an answer.

    Args:
        operation: What was asked for.
        document: A whole answer, or one chunk or event of a stream.
    """
    if operation not in FILTERED or type(document) is not dict:
        return False
    return any(_failed(results) for results in _results_of(document))


def filter_unavailable(guard: str) -> GuardrailUnavailable:
    """Make the refusal of an answer that the backend's own content filter could not check; `guard` is who asks for that."""
    message = f"the backend's content filter could not check its answer, and the guardrail {guard!r} lets nothing unchecked pass; retry"
    return GuardrailUnavailable(message, code="content_filter_unavailable", retry_after_s=1.0)


def _results_of(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    whole = document.get("response")  # of a stream's last event
    for top in (document, whole if type(whole) is dict else {}):
        for holder in _HOLDERS:
            entries = top.get(holder)
            for entry in entries if type(entries) is list else ():
                if type(entry) is dict:
                    yield from (entry[name] for name in RESULTS if type(entry.get(name)) is dict)


def _failed(results: dict[str, Any]) -> bool:
    if results.get("error"):
        return True
    return any(type(each) is dict and each.get("error") for each in results.values())
