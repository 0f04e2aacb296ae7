"""What an image costs in tokens: by its size, as far as its first bytes tell it, its detail, and the family of its model.

Only the few bytes of a `data:` URL that hold width and height are decoded, never the picture. A size that is not to be had
(a remote URL, a file's id, another format, a broken header) means the most that an image of that detail can cost.

Three rules:
- tiles: scaled down into 2048 x 2048, then its shorter side down to 768; a base, and so much for each tile of 512 pixels.
  At detail "low" the base alone. `auto` is taken for "high".
- patches of 32 pixels, at most 1536 of them (larger ones are scaled down), times a factor. Their detail changes nothing here.
- Claude: scaled down to 1568 pixels at its longer side; a token for each 750 pixels, at most 1600. Anthropic calls it approximate.

Proved by numbers that OpenAI publishes: 1024 x 1024 = 765, 2048 x 4096 = 1105, low = 85, 1800 x 2400 = 1452 patches. By what
users report of their bills: gpt-4.1 and o3 have tiles, and small images are not scaled up. Reports differ from the documents
at gpt-5-mini and gpt-5-nano (factors of 1.2 and 1.5) and at patches that were scaled down (by up to 1.6 %): those count as estimates.

Source: OpenAI guide "Images and vision", section on costs; community.openai.com threads 1230130, 1262691, 1281361 and 1344040;
Anthropic guide "Vision" (read 2026-11-23).
"""

import binascii
import functools
import math
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

type Size = tuple[int, int]

_FIT_PX, _SHORT_PX, _TILE_PX, _MOST_TILES = 2048, 768, 512, 8
_PATCH_PX, _MOST_PATCHES = 32, 1536
_CLAUDE_LONG_PX, _CLAUDE_PX_PER_TOKEN, _CLAUDE_MOST = 1568, 750, 1600

_HEAD_BYTES = 30  # hold the size of every format but JPEG
_MOST_SEGMENTS = 100  # of a JPEG, before its frame: thumbnails and colour profiles have dozens at most
_PREFIX_CHARS = 200  # of a data URL, before its data


class Rule(NamedTuple):
    """How a family counts.

    Attributes:
        kind: Which of the three rules.
        base: Tokens of any image, with tiles.
        tile: Tokens of each tile.
        factor: Tokens of each patch.
        known: Whether what is published and what is billed are known to agree.
    """

    kind: Literal["tiles", "patches", "claude"] = "tiles"
    base: int = 85
    tile: int = 170
    factor: float = 1.0
    known: bool = True


# The first that fits; names as Azure writes them included. An unknown model is taken for one of the family of GPT-4o.
_RULES = (
    (r"gpt-4o-mini", Rule(base=2833, tile=5667)),
    (r"gpt-4\.?1-mini", Rule("patches", factor=1.62)),
    (r"gpt-4\.?1-nano", Rule("patches", factor=2.46)),
    (r"o4-mini", Rule("patches", factor=1.72)),
    (r"gpt-5-mini", Rule("patches", factor=1.62, known=False)),
    (r"gpt-5-nano", Rule("patches", factor=2.46, known=False)),
    (r"gpt-5(?:-chat|-20|$)", Rule(base=70, tile=140, known=False)),  # nobody's bill proves it yet
    (r"o1(?:-|$)", Rule(base=75, tile=150, known=False)),  # as documented; bills say less
    (r"o3(?:-20|-pro|$)", Rule(base=75, tile=150)),
    (r"gpt-4(?:o|-turbo|\.?1|\.?5)|chatgpt-4o", Rule()),
    (r".*claude", Rule("claude", known=False)),
)
_BY_NAME = [(re.compile(rf"(?:.*/)?(?:ft:)?(?:{pattern})", re.IGNORECASE), rule) for pattern, rule in _RULES]


@functools.lru_cache(maxsize=1024)
def rule_of(model: str) -> Rule:
    """Return how a model counts images."""
    return next((rule for pattern, rule in _BY_NAME if pattern.match(model)), Rule(known=False))


def image_tokens(model: str, size: Size | None, detail: object = None) -> tuple[int, bool]:
    """Count an image's tokens.

    Args:
        model: The model's name.
        size: Width and height in pixels; None where nobody knows them: then it is the most.
        detail: As the request says it.

    Returns:
        The tokens, and whether it is known that the provider counts them so.
    """
    rule = rule_of(model)
    if rule.kind == "claude":
        return (_CLAUDE_MOST if size is None else _claude(size)), False
    if rule.kind == "patches":
        patches = _MOST_PATCHES if size is None else _patches(size)
        return math.ceil(round(patches * rule.factor, 6)), rule.known and size is not None and patches == _uncapped(size)
    if detail == "low":
        return rule.base, rule.known
    tiles = _MOST_TILES if size is None else _tiles(size)
    return rule.base + tiles * rule.tile, rule.known and size is not None and detail == "high"


def _tiles(size: Size) -> int:
    short, long = min(size), max(size)
    if long > _FIT_PX:
        short, long = max(1, short * _FIT_PX // long), _FIT_PX
    if short > _SHORT_PX:
        short, long = _SHORT_PX, long * _SHORT_PX // short
    return math.ceil(short / _TILE_PX) * math.ceil(long / _TILE_PX)


def _uncapped(size: Size) -> int:
    return -(-size[0] // _PATCH_PX) * -(-size[1] // _PATCH_PX)


def _patches(size: Size) -> int:
    if (patches := _uncapped(size)) <= _MOST_PATCHES:
        return patches
    # Scaled down so far that it has no more, and then so far that one side is whole patches.
    width, height = size
    scale = math.sqrt(_MOST_PATCHES / width / height)  # in patches a pixel
    across, down = width * scale, height * scale
    shrink = min(max(1, math.floor(each)) / each for each in (across, down))
    return min(_MOST_PATCHES, math.ceil(round(across * shrink, 6)) * math.ceil(round(down * shrink, 6)))


def _claude(size: Size) -> int:
    scale = min(1.0, _CLAUDE_LONG_PX / max(size))
    return min(_CLAUDE_MOST, math.ceil(size[0] * scale * size[1] * scale / _CLAUDE_PX_PER_TOKEN))


def size_of_url(url: object) -> Size | None:
    """Return width and height of the image in a `data:` URL; None for any other URL."""
    if type(url) is not str or url[:5].lower() != "data:":
        return None
    comma = url.find(",", 0, _PREFIX_CHARS)
    return size_of_data(url, comma + 1) if comma > 0 and url[:comma].lower().endswith(";base64") else None


def size_of_data(data: object, start: int = 0) -> Size | None:
    """Return width and height in pixels of a PNG, JPEG, GIF or WebP.

    Args:
        data: The file in base64.
        start: Where in it the file begins.
    """
    if type(data) is not str:
        return None

    def read(at: int, count: int) -> bytes:
        first = at // 3  # four characters are three bytes
        raw = binascii.a2b_base64(data[start + first * 4 : start + -(-(at + count) // 3) * 4])
        return raw[at - first * 3 : at - first * 3 + count]

    try:
        size = _read_size(read(0, _HEAD_BYTES), read)
    except ValueError:  # no base64
        return None
    return size if size is not None and min(size) > 0 else None


def _read_size(head: bytes, read: Callable[[int, int], bytes]) -> Size | None:
    if head[:8] == b"\x89PNG\r\n\x1a\n" and head[12:16] == b"IHDR" and len(head) >= 24:
        return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    if head[:6] in {b"GIF87a", b"GIF89a"} and len(head) >= 10:
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP" and len(head) == _HEAD_BYTES:
        return _webp(head)
    return _jpeg(read) if head[:3] == b"\xff\xd8\xff" else None


def _webp(head: bytes) -> Size | None:
    kind = head[12:16]
    if kind == b"VP8 ":
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return None


def _jpeg(read: Callable[[int, int], bytes]) -> Size | None:
    """Step from segment to segment to the frame's, which has the size; what lies between is not decoded."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        segment = read(at, 9)
        if len(segment) < 9 or segment[0] != 0xFF:
            return None
        if segment[1] == 0xFF:  # a byte that fills
            at += 1
        elif 0xC0 <= segment[1] <= 0xCF and segment[1] not in {0xC4, 0xC8, 0xCC}:
            return int.from_bytes(segment[7:9]), int.from_bytes(segment[5:7])
        else:
            at += 2 + int.from_bytes(segment[2:4])
    return None
