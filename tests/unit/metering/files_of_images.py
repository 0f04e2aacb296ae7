"""The beginnings of image files of any size: enough for whoever asks how large the picture is."""

import base64
import struct


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x02\x00\x00\x00" + bytes(4)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(3)


def jpeg(width: int, height: int, *, before: int = 0) -> bytes:
    """`before` is how many bytes of profile stand before the frame."""
    parts = [b"\xff\xd8", b"\xff\xe0", struct.pack(">H", 16), b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"]
    while before > 0:
        length = min(before, 65_533)
        parts += [b"\xff\xe2", struct.pack(">H", length + 2), b"\xc0" * length]
        before -= length
    # Tables of Huffman codes begin like a frame; and a byte that fills may stand before a marker.
    parts += [b"\xff\xc4", struct.pack(">H", 5), bytes(3), b"\xff\xff\xc2", struct.pack(">HBHH", 17, 8, height, width), bytes(10)]
    return b"".join(parts)


def webp_lossy(width: int, height: int) -> bytes:
    return _riff(b"VP8 ", b"\x30\x01\x00\x9d\x01\x2a" + struct.pack("<HH", width, height))


def webp_lossless(width: int, height: int) -> bytes:
    return _riff(b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + bytes(5))


def webp_extended(width: int, height: int) -> bytes:
    return _riff(b"VP8X", bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


def _riff(kind: bytes, chunk: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 12 + len(chunk)) + b"WEBP" + kind + struct.pack("<I", len(chunk)) + chunk


FORMATS = {"png": png, "gif": gif, "jpeg": jpeg, "webp": webp_lossy, "webp-lossless": webp_lossless, "webp-extended": webp_extended}


def url_of(raw: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(raw).decode()}"
