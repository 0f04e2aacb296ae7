"""What a picture costs, counted as OpenAI's guide tells it, step by step: its file is decoded, and scaled on paper.

A picture that is not in the request costs the most of its detail: nothing here fetches one.

Source: OpenAI guide "Images and vision", section on costs; file formats PNG, GIF89a, JFIF, WebP (read 2026-11-23).
"""

import base64
import struct
from fractions import Fraction
from math import ceil, floor, sqrt

_TILED = {"gpt-4o-mini": (2833, 5667), "gpt-4o": (85, 170), "gpt-4.1": (85, 170), "gpt-4-turbo": (85, 170), "gpt-5": (70, 140),
          "o1": (75, 150), "o3": (75, 150)}  # fmt: skip
_PATCHED = {"gpt-4.1-mini": "1.62", "gpt-4.1-nano": "2.46", "gpt-5-mini": "1.62", "gpt-5-nano": "2.46", "o4-mini": "1.72"}
_UNSEEN = (2048, 768)
_UNSEEN_PATCHES = 1536
_NO_SIZE_IN = {0xC4, 0xC8, 0xCC}


def tokens(model: str, url: str, detail: str) -> int:
    """Count a picture's tokens."""
    size = size_of(base64.b64decode(url.partition(",")[2])) if url.startswith("data:") else None
    for name in sorted(_PATCHED, key=len, reverse=True):
        if model.startswith(name):
            return ceil(Fraction(_PATCHED[name]) * (_UNSEEN_PATCHES if size is None else _patches(*size)))
    family = next((name for name in sorted(_TILED, key=len, reverse=True) if model.startswith(name)), "gpt-4o")
    base, tile = _TILED[family]
    return base if detail == "low" else base + tile * _tiles(*(size or _UNSEEN))


def size_of(raw: bytes) -> tuple[int, int]:
    """Return width and height of a PNG, GIF, WebP or JPEG file.

    Raises:
        ValueError: it is none of them.
    """
    if raw.startswith(b"\x89PNG"):
        width, height = struct.unpack_from(">II", raw, 16)
    elif raw.startswith(b"GIF8"):
        width, height = struct.unpack_from("<HH", raw, 6)
    elif raw.startswith(b"RIFF") and raw[12:15] == b"VP8":
        width, height = _webp(raw)
    elif raw.startswith(b"\xff\xd8"):
        width, height = _jpeg(raw)
    else:
        raise ValueError("You uploaded an unsupported image.")
    return width, height


def _webp(raw: bytes) -> tuple[int, int]:
    if raw[15:16] == b"X":
        low_and_high = struct.unpack_from("<HBHB", raw, 24)
        return low_and_high[0] + (low_and_high[1] << 16) + 1, low_and_high[2] + (low_and_high[3] << 16) + 1
    if raw[15:16] == b"L":
        (bits,) = struct.unpack_from("<I", raw, 21)
        return bits % 2**14 + 1, bits // 2**14 % 2**14 + 1
    width, height = struct.unpack_from("<HH", raw, 26)
    return width % 2**14, height % 2**14


def _jpeg(raw: bytes) -> tuple[int, int]:
    rest = raw[2:]
    while rest:
        rest = rest.lstrip(b"\xff")
        kind, length = rest[0], int.from_bytes(rest[1:3])
        if 0xC0 <= kind < 0xD0 and kind not in _NO_SIZE_IN:
            height, width = struct.unpack_from(">HH", rest, 4)
            return width, height
        rest = rest[1 + length :]
    raise ValueError("You uploaded an unsupported image.")


def _tiles(width: int, height: int) -> int:
    """Fit it into a square of 2048, bring its shorter side to 768, never enlarging; then lay tiles of 512."""
    for side, limit in ((max, 2048), (min, 768)):
        scale = min(Fraction(1), Fraction(limit, side(width, height)))
        width, height = max(1, floor(width * scale)), max(1, floor(height * scale))
    return ceil(width / 512) * ceil(height / 512)


def _patches(width: int, height: int) -> int:
    """Lay patches of 32; where that takes more than 1536, scale by the guide's two ratios."""
    if ceil(width / 32) * ceil(height / 32) <= 1536:
        return ceil(width / 32) * ceil(height / 32)
    first = sqrt(32 * 32 * 1536 / (width * height))
    wide, high = width * first / 32, height * first / 32
    second = first * min((floor(wide) or 1) / wide, (floor(high) or 1) / high)
    return min(1536, ceil(round(width * second / 32, 6)) * ceil(round(height * second / 32, 6)))
