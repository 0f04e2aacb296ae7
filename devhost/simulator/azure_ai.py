"""Simulated Azure AI services below /azure-ai, each a small answer of the right shape: `Ocp-Apim-Subscription-Key`, api-version.

| path | answers |
| --- | --- |
| `language/:analyze-text` | sentiment, key phrases, entities, language or personal data, as `azure_ai_language.py` says |
| `computervision/imageanalysis:analyze` | a caption, tags and read text for the asked features |
| `documentintelligence/documentModels/{id}:analyze` | 202 with `Operation-Location`; there `running` once, then a page of text |
| `speech/recognition/…`, `speechtotext/transcriptions:transcribe` | a transcript that says how long the sound was |
| `cognitiveservices/v1` | speech of an SSML text: silence, longer for longer texts |
| `contentsafety/…` | as `content_safety.py` says |

Source: Azure AI services' REST references: Language 2024-11-01, Image Analysis 4.0, Document Intelligence 2024-11-30, Speech
(read 2026-11-22).
"""

import math
import re
from itertools import count
from typing import Any

import orjson

from devhost.simulator import azure_ai_language as language
from devhost.simulator.abroad import read_object, shaped
from devhost.simulator.content_safety import ContentSafety, check_key
from devhost.simulator.engine import Engine
from devhost.simulator.exchange import Exchange
from devhost.simulator.faults import Shape
from devhost.simulator.inspection import next_ids
from devhost.simulator.refusals import Refusal, front_door, not_found

_ANALYZE = re.compile(r"/documentintelligence/documentModels/[\w.-]+:analyze\Z")
_RESULT = re.compile(r"/documentintelligence/documentModels/([\w.-]+)/analyzeResults/([\w-]+)\Z")
_FEATURES = ("caption", "tags", "read")
_TAG = re.compile(r"<[^>]*>")
_BYTES_PER_S, _WAV_HEADER_BYTES, _TICKS_PER_S = 32_000, 44, 10_000_000
_SILENT_FRAME = b"\xff\xfb\x90\x64" + bytes(413)  # MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 26 ms


class AzureAI:
    """The service below /azure-ai; remembers how often each document's result was asked for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._safety = ContentSafety(engine)
        self._numbers = count(1)
        self._asked: dict[str, int] = {}

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request; raises refusals."""
        started_s = exchange.now_s()
        route = exchange.route
        if route.startswith("/contentsafety/"):
            await self._safety.serve(exchange)
            return
        check_key(exchange)
        spoken = route.endswith("/cognitiveservices/v1") and not route.startswith(("/stt/", "/speech/"))
        heard = "/speech/recognition/" in route or route == "/speechtotext/transcriptions:transcribe"
        if not spoken and not route.startswith(("/speech/", "/stt/")) and b"api-version=" not in exchange.query:
            raise not_found()
        if match := _RESULT.match(route):
            await exchange.answer(200, self._result(*match.groups()), next_ids())
            return
        if exchange.method != "POST":
            raise not_found()
        if _ANALYZE.match(route):
            await self._begin(exchange)
            return
        kind, shape = b"application/json", Shape()
        if route == "/language/:analyze-text":
            shape = self._engine.meet(language.fault_of(exchange.body))
            made = orjson.dumps(shaped(language.analyze, read_object(exchange)))
        elif route == "/computervision/imageanalysis:analyze":
            made = orjson.dumps(_vision(exchange))
        elif heard:
            made = orjson.dumps(_transcript(exchange))
        elif spoken:
            made, kind = _SILENT_FRAME * max(1, 2 * len(_TAG.sub("", exchange.body.decode("utf-8", "replace")))), b"audio/mpeg"
        else:
            raise not_found()
        await self._engine.send_whole(exchange, next_ids(), made, shape, self._engine.first_byte_s(started_s, shape), kind)

    def told(self, refusal: Refusal) -> Refusal:
        """Say a refusal as Azure's front door does: all of them are already."""
        return refusal

    async def _begin(self, exchange: Exchange) -> None:
        identity = f"00000000-0000-4000-8000-{next(self._numbers):012x}"
        self._asked[identity] = 0
        base = f"http://{exchange.header(b'host')}{exchange.path.removesuffix(':analyze')}"
        place = f"{base}/analyzeResults/{identity}?{exchange.query.decode('latin-1')}"
        await exchange.answer(202, b"", [*next_ids(), (b"operation-location", place.encode()), (b"retry-after", b"1")])

    def _result(self, model: str, identity: str) -> bytes:
        if identity not in self._asked:
            raise front_door(404, "NotFound", "Resource not found.")
        self._asked[identity] += 1
        times = {"createdDateTime": "2025-01-01T00:00:00Z", "lastUpdatedDateTime": "2025-01-01T00:00:01Z"}
        if self._asked[identity] == 1:
            return orjson.dumps({"status": "running", **times})
        text = "This is a simulated page."
        page = {"pageNumber": 1, "angle": 0, "width": 8.5, "height": 11, "unit": "inch", "words": [], "lines": [{"content": text}]}
        result = {"apiVersion": "2024-11-30", "modelId": model, "stringIndexType": "textElements", "content": text, "pages": [page]}
        return orjson.dumps({"status": "succeeded", **times, "analyzeResult": result})


def _vision(exchange: Exchange) -> dict[str, Any]:
    features = re.findall(
        r"[a-z]+", exchange.query.decode("latin-1").partition("features=")[2].partition("&")[0].lower().replace("%2c", ",")
    )
    if not features or not set(features) <= set(_FEATURES):
        raise front_door(400, "InvalidRequest", f"The features must be some of {', '.join(_FEATURES)}.")
    if not exchange.body:
        raise front_door(400, "InvalidRequest", "Image data is missing.")
    answer: dict[str, Any] = {"modelVersion": "2023-10-01", "metadata": {"width": 1, "height": 1}}
    if "caption" in features:
        answer["captionResult"] = {"text": "a simulated picture", "confidence": 0.9}
    if "tags" in features:
        answer["tagsResult"] = {"values": [{"name": "simulated", "confidence": 0.9}]}
    if "read" in features:
        answer["readResult"] = {"blocks": [{"lines": [{"text": "A simulated line"}]}]}
    return answer


def _transcript(exchange: Exchange) -> dict[str, Any]:
    seconds = max(1, math.ceil((len(exchange.body) - _WAV_HEADER_BYTES) / _BYTES_PER_S))
    text = f"This is a simulated transcript of {seconds} seconds."
    if exchange.route.startswith("/speechtotext/"):
        return {"durationMilliseconds": seconds * 1000, "combinedPhrases": [{"text": text}], "phrases": []}
    return {"RecognitionStatus": "Success", "DisplayText": text, "Offset": 0, "Duration": seconds * _TICKS_PER_S}
