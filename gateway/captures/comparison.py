"""What changed between a captured call and the same call run again: figures and outcomes, no texts. Pure."""

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gateway.captures.record import Outcome
from gateway.domain.call import Operation
from gateway.domain.sse import SseParser
from gateway.domain.verdict_text import read_line

COMPARED_WORDS = 400  # of each text: the time that it takes grows with its square
_FIGURES = ("cost_micro_usd", "prompt_tokens", "completion_tokens", "guard_s", "upstream_ttft_s", "total_s")
_SHOWN = ("status", "error_code", "model", "deployment", "attempts", "rule", "tier", "fallback", *_FIGURES)


def compared(request_id: str, before: Outcome, after: Outcome, texts: tuple[str | None, str | None]) -> dict[str, Any]:
    """Return one call's row of the report.

    Args:
        request_id: Of the captured call.
        before: How it ended then.
        after: How it ended now.
        texts: What the client was answered then and now; None where that is not known.
    """
    verdicts = _verdicts(before, after)
    same = None if None in texts else texts[0] == texts[1]
    changed = [name for name in ("status", "model", "deployment", "cost_micro_usd") if getattr(before, name) != getattr(after, name)]
    changed += ["verdicts"] * any(each["before"] != each["after"] for each in verdicts) + ["text"] * (same is False)
    return {
        "request_id": request_id,
        "changed": changed,
        "before": {name: getattr(before, name) for name in _SHOWN},
        "after": {name: getattr(after, name) for name in _SHOWN},
        "verdicts": verdicts,
        "text_similarity": _similarity(texts[0], texts[1]) if texts[0] is not None and texts[1] is not None else None,
    }


def summed(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the report's sums; a figure that is unknown in one of the calls is unknown in its sum."""
    sums: dict[str, Any] = {side: {name: _sum(row[side][name] for row in rows) for name in _FIGURES} for side in ("before", "after")}
    moved = Counter(
        (each["guard"], each["direction"], each["before"] and each["before"]["outcome"], each["after"] and each["after"]["outcome"])
        for row in rows
        for each in row["verdicts"]
        if each["before"] != each["after"]
    )
    verdicts = [
        {"guard": guard, "direction": direction, "before": before, "after": after, "calls": calls}
        for (guard, direction, before, after), calls in sorted(moved.items(), key=lambda each: (-each[1], str(each[0])))
    ]
    return {**sums, "changed": Counter(name for row in rows for name in row["changed"]), "verdicts": verdicts}


def text_of(operation: Operation, body: bytes, *, stream: bool) -> str | None:
    """Return the text that a client was answered; None where there is none to be read.

    Args:
        operation: Whose dialect it is in.
        body: As the client got it.
        stream: It is server-sent events.
    """
    try:
        if stream:
            return "".join(_text(operation, msgspec.json.decode(each.data)) for each in SseParser().feed(body) if each.data[:1] == b"{")
        return _text(operation, msgspec.json.decode(body))
    except (AttributeError, KeyError, TypeError, msgspec.MsgspecError):
        return None


def _text(operation: Operation, document: Any) -> str:
    if operation is Operation.CHAT:
        return "".join((each.get("message") or each.get("delta") or {}).get("content") or "" for each in document.get("choices") or ())
    if operation is Operation.COMPLETIONS:
        return "".join(each.get("text") or "" for each in document.get("choices") or ())
    if operation is Operation.MESSAGES:
        parts = [document["delta"]] if document.get("type") == "content_block_delta" else document.get("content") or []
        return "".join(part.get("text") or "" for part in parts)
    if operation is Operation.RESPONSES:
        if document.get("type") == "response.output_text.delta":
            return str(document["delta"])
        return "".join(part.get("text") or "" for item in document.get("output") or () for part in item.get("content") or ())
    return ""


def _verdicts(before: Outcome, after: Outcome) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for side, outcome in (("before", before), ("after", after)):
        for verdict in _read(outcome.guardrails):
            row = {"guard": verdict.guard, "direction": verdict.direction.value, "before": None, "after": None}
            said = {"outcome": verdict.outcome.value, "category": verdict.category, "count": verdict.count}
            found.setdefault((verdict.guard, verdict.direction.value), row)[side] = said
    return list(found.values())


def _read(line: str) -> Iterable[Any]:
    try:
        return read_line(line)
    except msgspec.MsgspecError:  # written by another version
        return ()


def _similarity(before: str, after: str) -> float:
    if before == after:
        return 1.0
    first, second = (text.split()[:COMPARED_WORDS] for text in (before, after))
    return round(float(difflib.SequenceMatcher(None, first, second, autojunk=False).ratio()), 4)


def _sum(values: Iterable[Any]) -> Any:
    known = list(values)
    return None if None in known else round(sum(known), 6)
