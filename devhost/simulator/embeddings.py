"""Embeddings: a unit vector per input that depends on the input alone, and is closer for texts that share words.

Each word adds a pseudo-random vector of its own; the sum is normalised. So a semantic cache can be tried without a model.
"""

import base64
import hashlib
import math
from array import array
from functools import lru_cache
from typing import Any

import orjson

from devhost.simulator import tokens
from devhost.simulator.refusals import api_error
from devhost.simulator.validation import missing, wrong_type

_FIELDS = frozenset({"input", "model", "user", "encoding_format", "dimensions", "input_type"})
_DEFAULT_DIMENSIONS = 1536
_MAX_DIMENSIONS = 3072
_MAX_INPUTS = 2048


def inputs_of(body: dict[str, Any]) -> list[str | list[int]]:
    """Return the inputs of a request one by one; raises the refusal that a wrong request deserves."""
    for field in body:
        if field not in _FIELDS and not field.startswith("x_"):
            raise api_error(400, f"Unrecognized request argument supplied: {field}")
    if "input" not in body:
        missing("input")
    if body.get("encoding_format") not in (None, "float", "base64"):
        text = f"Invalid value: '{body['encoding_format']}'. Supported values are: 'float' and 'base64'."
        raise api_error(400, text, param="encoding_format", code="invalid_value")
    dimensions = body.get("dimensions")
    if dimensions is not None and (isinstance(dimensions, bool) or not isinstance(dimensions, int)):
        wrong_type("dimensions", "an integer", dimensions)
    if dimensions is not None and not 1 <= dimensions <= _MAX_DIMENSIONS:
        text = f"Invalid value for 'dimensions' = {dimensions}. Must be between 1 and {_MAX_DIMENSIONS}."
        raise api_error(400, text, param="dimensions", code="invalid_value")
    value = body["input"]
    items = [value] if isinstance(value, str) or (isinstance(value, list) and value and _are_tokens(value)) else value
    if not isinstance(items, list) or not all((isinstance(item, str) or _are_tokens(item)) and item for item in items):
        raise api_error(400, "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.")
    if not 0 < len(items) <= _MAX_INPUTS:
        raise api_error(400, f"'$.input' is invalid: expected 1 to {_MAX_INPUTS} items, but got {len(items)}.")
    return items


def _are_tokens(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, int) and not isinstance(item, bool) for item in value)


def count(items: list[str | list[int]]) -> int:
    """Count the tokens of the inputs."""
    return sum(tokens.count(item) if isinstance(item, str) else len(item) for item in items)


def answer(body: dict[str, Any], items: list[str | list[int]], model: str) -> bytes:
    """Return the body of the answer, vectors as numbers or as base64 of little-endian float32."""
    dimensions = body.get("dimensions") or _DEFAULT_DIMENSIONS
    as_text = body.get("encoding_format") == "base64"
    data = []
    for index, item in enumerate(items):
        vector = embed(item, dimensions)
        value: Any = base64.b64encode(array("f", vector).tobytes()).decode() if as_text else vector
        data.append({"embedding": value, "index": index, "object": "embedding"})
    used = count(items)
    usage = {"prompt_tokens": used, "total_tokens": used}
    return orjson.dumps({"data": data, "model": model, "object": "list", "usage": usage})


def embed(item: str | list[int], dimensions: int) -> list[float]:
    """Return the unit vector of a text or of a list of tokens."""
    words = item.lower().split() if isinstance(item, str) else [str(token) for token in item]
    columns = [_direction(word, dimensions) for word in words[:_MAX_INPUTS] or [""]]
    total = columns[0] if len(columns) == 1 else [sum(column) for column in zip(*columns, strict=True)]
    norm = math.sqrt(sum(value * value for value in total)) or 1.0
    return [value / norm for value in total]


@lru_cache(maxsize=2048)
def _direction(word: str, dimensions: int) -> list[float]:
    """Return a word's own vector: bytes of a hash, centred on zero."""
    noise = hashlib.shake_128(word.encode("utf-8", "replace")).digest(dimensions)
    return [byte - 127.5 for byte in noise]
