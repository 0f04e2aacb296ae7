"""Simulated Azure AI Language: `language/:analyze-text`, by simple rules over the words.

Personal data is e-mail addresses, the names below, organisations that end in `Ltd`, `GmbH`, `Inc` or `AG`, and addresses such
as `12 Main Street` or `Bahnhofstrasse 7`; a name in lower case is seen with little confidence. A text with `sim-language-<fault>`
in it misbehaves as a model `mock-<fault>` does.

Source: Azure AI Language REST reference 2023-04-01 and 2024-11-01, "Analyze Text", and "Service limits" (read 2026-11-22).
"""

import re
from typing import Any

from devhost.simulator.refusals import front_door

_GOOD, _BAD = (
    re.compile(r"\b(good|great|love|happy|excellent)\b", re.IGNORECASE),
    re.compile(r"\b(bad|poor|hate|sad|terrible)\b", re.IGNORECASE),
)
_NAME = re.compile(r"(?<!^)\b[A-Z][a-z]{2,}\b")
_WORD = re.compile(r"\w{5,}")
_FAULT = re.compile(rb"sim-language-([a-z0-9]+(?:-\d+)?)")
_FIRST = "Ada|Amara|Anna|Carlos|Jane|John|Jürgen|Kenji|Maria|Olga|Priya|Wei"
_LAST = "Doe|Fischer|Garcia|Ivanova|Lovelace|Müller|Okafor|Schmidt|Sharma|Smith|Tanaka|Zhang"
_PERSONAL = (
    ("Email", re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")),
    ("Address", re.compile(r"\b\d{1,5} (?:[A-Z][a-z]+ ){1,3}(?:Street|St|Road|Rd|Avenue|Ave|Lane)\b")),
    ("Address", re.compile(r"\b[A-ZÄÖÜ]\w*(?:strasse|straße|weg|platz) \d{1,4}\b(?:, \d{4,5} [A-ZÄÖÜ]\w+)?")),
    ("Organization", re.compile(r"\b(?:[A-Z]\w+ ){1,3}(?:Ltd|GmbH|Inc|AG)\b")),
    ("Person", re.compile(rf"\b(?:{_FIRST})(?: (?:{_LAST}))?\b|\b(?:{_LAST})\b", re.IGNORECASE)),
)
_SURE, _UNSURE = 0.95, 0.5
_MAX_CHARACTERS = 5120
_MAX_DOCUMENTS = {"PiiEntityRecognition": 5, "EntityRecognition": 5, "EntityLinking": 5}
_MAX_OTHERS = 25


def fault_of(raw: bytes) -> str:
    """Return the name of the model that misbehaves as this request should; empty for none."""
    match = _FAULT.search(raw)
    return f"mock-{match[1].decode()}" if match else ""


def analyze(body: dict[str, Any]) -> dict[str, Any]:
    """Answer a request's body; raises refusals, and what `shaped` takes for a wrong shape."""
    kind = body.get("kind")
    if kind not in _KINDS:
        raise front_door(400, "InvalidRequest", f"Invalid Request: the kind '{kind}' is not supported.")
    documents = (body.get("analysisInput") or {}).get("documents") or []
    if not documents:
        raise front_door(400, "InvalidRequest", "Invalid Request: analysisInput.documents must not be empty.")
    if len(documents) > _MAX_DOCUMENTS.get(kind, _MAX_OTHERS):
        raise front_door(400, "InvalidRequest", "Invalid Request: batch request contains too many records.")
    parameters = body.get("parameters") or {}
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for document in documents:
        text = str(document.get("text") or "")
        if fault := _fault(text):
            inner = {"code": "InvalidDocument", "message": fault}
            errors.append(
                {"id": document.get("id"), "error": {"code": "InvalidArgument", "message": "Invalid document", "innererror": inner}}
            )
            continue
        results.append({"id": document.get("id"), "warnings": [], **_KINDS[kind](text, parameters)})
    return {"kind": f"{kind}Results", "results": {"documents": results, "errors": errors, "modelVersion": "2025-01-01"}}


def _fault(text: str) -> str:
    if not text.strip():
        return "Document text is empty."
    return f"A document has more than {_MAX_CHARACTERS} text elements." if len(text) > _MAX_CHARACTERS else ""


def _sentiment(text: str, _: Any) -> dict[str, Any]:
    good, bad = len(_GOOD.findall(text)), len(_BAD.findall(text))
    word = "mixed" if good and bad else "positive" if good else "negative" if bad else "neutral"
    scores = {"positive": 0.98 if good else 0.01, "neutral": 0.98 if not good and not bad else 0.01, "negative": 0.98 if bad else 0.01}
    return {"sentiment": word, "confidenceScores": scores, "sentences": []}


def _entities(text: str, _: Any) -> dict[str, Any]:
    return {"entities": [_entity(match, "Location", 0.9) for match in _NAME.finditer(text)]}


def _entity(match: re.Match[str], category: str, score: float) -> dict[str, Any]:
    return {"text": match[0], "category": category, "offset": match.start(), "length": len(match[0]), "confidenceScore": score}


def _linked(text: str, _: Any) -> dict[str, Any]:
    return {"entities": [{"name": name[0], "url": f"https://example.com/{name[0]}", "matches": []} for name in _NAME.finditer(text)]}


def _personal(text: str, parameters: dict[str, Any]) -> dict[str, Any]:
    wanted = parameters.get("piiCategories") or [category for category, _ in _PERSONAL]
    units = parameters.get("stringIndexType") == "Utf16CodeUnit"
    found: list[dict[str, Any]] = []
    hidden = list(text)
    for category, pattern in _PERSONAL:
        for match in pattern.finditer(text):
            if category not in wanted or "*" in hidden[match.start() : match.end()]:
                continue
            found.append(_entity(match, category, _SURE if category != "Person" or match[0][0].isupper() else _UNSURE))
            hidden[match.start() : match.end()] = "*" * len(match[0])
            if units:
                found[-1] |= {"offset": _units(text[: match.start()]), "length": _units(match[0])}
    return {"redactedText": "".join(hidden), "entities": sorted(found, key=lambda each: int(each["offset"]))}


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


_KINDS = {
    "SentimentAnalysis": _sentiment,
    "KeyPhraseExtraction": lambda text, _: {"keyPhrases": _WORD.findall(text)[:5]},
    "EntityRecognition": _entities,
    "EntityLinking": _linked,
    "LanguageDetection": lambda *_: {"detectedLanguage": {"name": "English", "iso6391Name": "en", "confidenceScore": 0.99}},
    "PiiEntityRecognition": _personal,
}
