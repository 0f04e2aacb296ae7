"""Reads the answers of OpenAI's image, audio and moderation operations: what they used, and nothing else.

The client gets the upstream's bytes and their content type. What is counted, beside tokens where the answer has them:

| operation | units | from |
| --- | --- | --- |
| images | images | the entries of `data`, or the stream's `image_generation.completed` events |
| transcription | seconds, rounded up | `usage.seconds`, or `duration`; of subtitles the last one's end, an estimate |
| speech | characters | the request's `input` |
| moderations | requests | 1 |

A transcription that says neither seconds nor tokens (`text`, and `json` of some servers) is recorded with none, as an
estimate: nobody can know them without decoding the sound.

Source: OpenAI API reference, "Images", "Audio" and "Moderations"; openai-python 3.54.0, types (read 2026-11-22).
"""

import math
import re
from collections.abc import Mapping

import msgspec

from gateway.domain.call import Call, Completion, Operation, Usage
from gateway.providers.failures import UNREADABLE, malformed

OPERATIONS = frozenset({Operation.IMAGES, Operation.TRANSCRIPTION, Operation.SPEECH, Operation.MODERATIONS})
MAX_SECONDS = 30 * 86_400  # of sound in one answer; more is a backend's slip

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
_BINARY = "application/octet-stream"
_NO_SOUND = frozenset({_JSON, "text/html", "text/plain"})  # what a proxy or a fault looks like

_CONTENT_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}(?:[ ]?;[ ]?[\w-]{1,30}=\"?[\w.+-]{1,30}\"?){0,4}", re.ASCII)
_CUE_END = re.compile(rb"--> (?:([0-9]{1,3}):)?([0-9]{2}):([0-9]{2})[.,]([0-9]{3})")


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    audio_tokens: int | None = None


class MediaUsage(msgspec.Struct, gc=False):
    """`usage` of an answer, or of a stream's last event."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    seconds: float | None = None
    input_tokens_details: _InputDetails | None = None
    input_token_details: _InputDetails | None = None  # as transcriptions spell it


class _Item(msgspec.Struct, gc=False):
    """An entry of a list that is only counted."""


class _Images(msgspec.Struct, gc=False):
    data: list[_Item]
    usage: MediaUsage | None = None


class _Transcription(msgspec.Struct, gc=False):
    text: str
    duration: float | str | None = None  # some servers write it as a text
    usage: MediaUsage | None = None


class _Moderation(msgspec.Struct, gc=False):
    results: list[_Item]


_decode_images = msgspec.json.Decoder(_Images).decode
_decode_transcription = msgspec.json.Decoder(_Transcription).decode
_decode_moderation = msgspec.json.Decoder(_Moderation).decode


def decode(call: Call, body: bytes, headers: Mapping[str, str]) -> Completion:
    """Read a complete answer.

    Args:
        call: One of `OPERATIONS`.
        body: As it came; sound is never looked into.
        headers: The answer's, names in lower case.

    Raises:
        UpstreamError: `upstream_malformed`, where the body is not this operation's.
    """
    try:
        if call.operation is Operation.SPEECH:
            return _speech(call, body, headers)
        if call.operation is Operation.TRANSCRIPTION:
            return _transcription(call, body, headers)
        if call.operation is Operation.MODERATIONS:
            _decode_moderation(body)
            return Completion(body, Usage(units=1, unit="requests"))
        images = _decode_images(body)
        return Completion(body, used(images.usage, len(images.data), "images"))
    except UNREADABLE as exc:
        raise malformed("an answer") from exc


def _speech(call: Call, body: bytes, headers: Mapping[str, str]) -> Completion:
    content_type = _content_type(headers, _BINARY)
    if not body or content_type.partition(";")[0].lower().strip() in _NO_SOUND:
        raise malformed("an answer")
    return Completion(body, spoken(call), content_type=content_type)


def _transcription(call: Call, body: bytes, headers: Mapping[str, str]) -> Completion:
    content_type = _content_type(headers, _TEXT)
    media_type = content_type.partition(";")[0].lower().strip()
    if call.document.get("response_format", "json").endswith("json") or media_type == _JSON:
        wire = _decode_transcription(body)
        return Completion(body, heard(wire.usage, _number(wire.duration)))
    if media_type == "text/html":
        raise malformed("an answer")
    body.decode()
    ends = _CUE_END.findall(body)
    seconds = sum(int(number or 0) * weight for number, weight in zip(ends[-1], (3600, 60, 1, 0.001), strict=True)) if ends else 0
    return Completion(body, Usage(units=math.ceil(seconds), unit="seconds", estimated=True), content_type=content_type)


def _number(value: float | str | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


def _content_type(headers: Mapping[str, str], default: str) -> str:
    given = headers.get("content-type", "").strip()
    return given if _CONTENT_TYPE.fullmatch(given) else default


def spoken(call: Call, wire: MediaUsage | None = None) -> Usage:
    """Say what speech used: the characters of its text, and tokens where they are said; all that it puts out is sound."""
    usage = used(wire, len(call.document["input"]), "characters")
    return msgspec.structs.replace(usage, audio_output_tokens=usage.completion_tokens)


def heard(wire: MediaUsage | None, duration: float | None = None) -> Usage:
    """Say what a transcription used: seconds, else tokens; an estimate of nothing where neither is said."""
    seconds = wire.seconds if wire is not None and wire.seconds is not None else duration
    if seconds is not None and 0 < seconds <= MAX_SECONDS:
        return used(wire, math.ceil(seconds), "seconds")
    usage = used(wire, 0, "")
    return usage if usage.total_tokens else Usage(unit="seconds", estimated=True)


def used(wire: MediaUsage | None, units: int, unit: str) -> Usage:
    """Put units beside the tokens; a number that is absent, null or negative is 0."""
    if wire is None:
        return Usage(units=units, unit=unit)
    details = wire.input_tokens_details or wire.input_token_details
    return Usage(
        _count(wire.input_tokens),
        _count(wire.output_tokens),
        _count(details.cached_tokens) if details else 0,
        units=units,
        unit=unit,
        audio_input_tokens=_count(details.audio_tokens) if details else 0,
    )


def _count(number: int | None) -> int:
    return number if number and number > 0 else 0
