"""Simulated Azure AI Content Safety: `text:analyze`, `text:shieldPrompt`, `text:detectProtectedMaterial`, `text:detectGroundedness`.

The text decides; everything else is safe:

| word | does |
| --- | --- |
| `sim-hate-4`, `sim-sexual-`, `sim-violence-`, `sim-selfharm-` | raises that category to that severity |
| `sim-blocked` | is an item of every blocklist that is named |
| `sim-attack` | is an attack, in a prompt or a document |
| `sim-lyrics` | is protected, in a text of more than 110 characters |
| `sim-ungrounded` | makes its sentence an unfounded one |
| `sim-safety-<fault>` | misbehaves as a model `mock-<fault>` does (`faults.py`): `sim-safety-429`, `sim-safety-slow-500` … |
| `sim-safety-once-<fault>` | the same for every other request with that text |

Latency, error rate and requests per minute are the simulator's (`config.py`).

Source: Azure AI Content Safety REST reference 2024-09-01 and, for groundedness, 2024-02-15-preview; "Input requirements" (read
2026-11-22).
"""

import re
from typing import Any

import orjson

from devhost.simulator.engine import Engine
from devhost.simulator.exchange import Exchange
from devhost.simulator.inspection import next_ids
from devhost.simulator.refusals import Refusal, access_denied, front_door, not_found, too_many_requests

_CATEGORIES = ("Hate", "SelfHarm", "Sexual", "Violence")
_MARK = re.compile(r"sim-(hate|selfharm|sexual|violence)-([0-7])", re.IGNORECASE)
_FAULT = re.compile(rb"sim-safety-(once-)?([a-z0-9]+(?:-\d+)?)")
_ATTACK, _BLOCKED, _LYRICS, _UNGROUNDED = "sim-attack", "sim-blocked", "sim-lyrics", "sim-ungrounded"
_SENTENCE = re.compile(r"[^.!?]+[.!?]*")
_MAX_CHARACTERS = 10_000
_MAX_DOCUMENTS = 5
_UP_TO_HERE_SAFE = 110
_MAX_GROUNDED, _MAX_SOURCES, _MIN_QUERY_WORDS = 7_500, 55_000, 3


class ContentSafety:
    """The service at /contentsafety; remembers which requests failed once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._failed: set[bytes] = set()

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request; raises refusals."""
        started_s = exchange.now_s()
        operation = _OPERATIONS.get(exchange.route.removeprefix("/contentsafety/"))
        if operation is None or exchange.method != "POST" or b"api-version=" not in exchange.query:
            raise not_found()
        if operation is _groundedness and b"-preview" not in exchange.query:
            raise not_found()
        check_key(exchange)
        try:
            body = orjson.loads(exchange.body)
        except orjson.JSONDecodeError:
            raise _invalid("The request body is not valid JSON.") from None
        if not isinstance(body, dict):
            raise _invalid("The request body must be an object.")
        shape = self._engine.meet(self._fault(exchange.body))
        answer = orjson.dumps(operation(body))
        headers = self._engine.limits.admit("contentsafety", 0, too_many_requests)
        await self._engine.send_whole(exchange, [*next_ids(), *headers], answer, shape, self._engine.first_byte_s(started_s, shape))

    def _fault(self, raw: bytes) -> str:
        """Return the name of the model that misbehaves as this request should; empty for none."""
        match = _FAULT.search(raw)
        if match is None:
            return ""
        if match[1]:
            if raw in self._failed:
                self._failed.discard(raw)
                return ""
            self._failed.add(raw)
        return f"mock-{match[2].decode()}"


def check_key(exchange: Exchange) -> None:
    """Raise Azure AI services' 401 unless a key is shown that does not start with `bad`."""
    subscription = exchange.header(b"ocp-apim-subscription-key")
    key = subscription or exchange.header(b"authorization").removeprefix("Bearer ").strip()
    if not key or key.startswith("bad"):
        raise access_denied()
    exchange.auth = "ocp-apim-subscription-key" if subscription else "authorization"


def _analyze(body: dict[str, Any]) -> dict[str, Any]:
    text = _text(body, "text")
    categories = body.get("categories") or list(_CATEGORIES)
    if not isinstance(categories, list) or not all(each in _CATEGORIES for each in categories):
        raise _invalid(f"Invalid categories: expected some of {', '.join(_CATEGORIES)}.")
    steps = {"FourSeverityLevels": 2, "EightSeverityLevels": 1}.get(str(body.get("outputType") or "FourSeverityLevels"))
    if steps is None:
        raise _invalid("Invalid outputType: expected FourSeverityLevels or EightSeverityLevels.")
    matches = _blocked(text, _texts(body, "blocklistNames"))
    if matches and body.get("haltOnBlocklistHit") is True:
        return {"blocklistsMatch": matches, "categoriesAnalysis": []}
    found = dict.fromkeys(_CATEGORIES, 0)
    for name, severity in _MARK.findall(text):
        category = next(each for each in _CATEGORIES if each.lower() == name.lower())
        found[category] = max(found[category], int(severity) // steps * steps)
    return {"blocklistsMatch": matches, "categoriesAnalysis": [{"category": name, "severity": found[name]} for name in categories]}


def _blocked(text: str, names: list[str]) -> list[dict[str, str]]:
    if _BLOCKED not in text:
        return []
    return [{"blocklistName": name, "blocklistItemId": f"{name}-1", "blocklistItemText": _BLOCKED} for name in names]


def _shield(body: dict[str, Any]) -> dict[str, Any]:
    prompt = _text(body, "userPrompt", required=False)
    documents = _texts(body, "documents")
    if len(documents) > _MAX_DOCUMENTS:
        raise _invalid(f"Invalid documents: expected at most {_MAX_DOCUMENTS} strings.")
    if sum(map(len, documents)) > _MAX_CHARACTERS:
        raise _invalid(f"The length of the documents exceeds {_MAX_CHARACTERS} characters.")
    if not prompt and not documents:
        raise _invalid("Either userPrompt or documents must be given.")
    return {
        "userPromptAnalysis": {"attackDetected": _ATTACK in prompt},
        "documentsAnalysis": [{"attackDetected": _ATTACK in each} for each in documents],
    }


def _material(body: dict[str, Any]) -> dict[str, Any]:
    text = _text(body, "text")
    return {"protectedMaterialAnalysis": {"detected": _LYRICS in text and len(text) > _UP_TO_HERE_SAFE}}


def _groundedness(body: dict[str, Any]) -> dict[str, Any]:
    text, sources = _text(body, "text", most=_MAX_GROUNDED), _texts(body, "groundingSources")
    if not sources or sum(map(len, sources)) > _MAX_SOURCES:
        raise _invalid(f"Invalid groundingSources: expected texts of at most {_MAX_SOURCES} characters together.")
    if body.get("domain", "Generic") not in ("Generic", "Medical"):
        raise _invalid("Invalid domain: expected Generic or Medical.")
    task = body.get("task", "Summarization")
    if task not in ("QnA", "Summarization"):
        raise _invalid("Invalid task: expected QnA or Summarization.")
    if task == "QnA":
        asked = body.get("qna")
        query = _text(asked if isinstance(asked, dict) else {}, "query", most=_MAX_GROUNDED)
        if len(query.split()) < _MIN_QUERY_WORDS:
            raise _invalid(f"Invalid query: expected at least {_MIN_QUERY_WORDS} words.")
    found = [sentence for sentence in _SENTENCE.findall(text) if _UNGROUNDED in sentence]
    share = sum(map(len, found)) / len(text)
    return {
        "ungroundedDetected": bool(found),
        "ungroundedPercentage": share,
        "ungroundedDetails": [{"text": sentence.strip()} for sentence in found],
    }


_OPERATIONS = {
    "text:analyze": _analyze,
    "text:shieldPrompt": _shield,
    "text:detectProtectedMaterial": _material,
    "text:detectGroundedness": _groundedness,
}


def _text(body: dict[str, Any], field: str, *, required: bool = True, most: int = _MAX_CHARACTERS) -> str:
    text = body.get(field)
    if text is None and not required:
        return ""
    if not isinstance(text, str) or (required and not text):
        raise _invalid(f"The {field} is required and must be a string.")
    if len(text) > most:
        raise _invalid(f"The length of {field} exceeds the limit of {most} characters.")
    return text


def _texts(body: dict[str, Any], field: str) -> list[str]:
    texts = body.get(field) or []
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise _invalid(f"Invalid {field}: expected a list of strings.")
    return texts


def _invalid(message: str) -> Refusal:
    return front_door(400, "InvalidRequestBody", message)
