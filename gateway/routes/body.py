"""Reading a request's body within its limit: the sizes are counted as the bytes come, so that a bomb is never held."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from gateway.domain.call import Operation
from gateway.domain.strict_json import parse_object
from gateway.errors import ClientDisconnected, PayloadTooLarge, RequestError, UnsupportedMediaType

JSON = "application/json"
# Operations whose body is not JSON, and what it is then; an empty string takes anything.
MEDIA_TYPES: Mapping[Operation, str] = {Operation.TRANSCRIPTION: "multipart/form-data", Operation.FORWARD: ""}
INFLATE_STEP_BYTES = 64 * 1024

type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class BodyReader:
    """Reads one request's body, once. `finished` tells that the next ASGI message can only be a disconnect.

    Args:
        receive: ASGI's.
        headers: Names in lower case.
        limit_bytes: The most that is taken, on the wire or inflated.
        media_type: The one that is taken; empty for any.
    """

    def __init__(self, receive: Receive, headers: Mapping[str, str], limit_bytes: int, media_type: str = JSON) -> None:
        self._receive = receive
        self._headers = headers
        self._limit_bytes = limit_bytes
        self._media_type = media_type
        self.finished = False

    async def read(self) -> bytes:
        """Return the body, inflated where it came as gzip.

        Raises:
            UnsupportedMediaType: The content type is not the one that is taken, or the content coding is neither gzip nor identity.
            PayloadTooLarge: It has more bytes than the limit.
            RequestError: The gzip data is broken.
            ClientDisconnected: The client went away before its end.
        """
        headers = self._headers
        media_type = headers.get("content-type", self._media_type)
        if media_type != self._media_type and self._media_type:
            _check_media_type(media_type, self._media_type)
        coding = headers.get("content-encoding", "").strip().lower()
        if coding not in ("", "identity", "gzip"):
            raise UnsupportedMediaType(f"the content coding {coding[:64]!r} is not supported; send gzip or none", param="content-encoding")
        announced = headers.get("content-length", "0")
        if announced.isascii() and announced.isdigit() and int(announced[:15]) > self._limit_bytes:
            raise self._too_large()
        body = await self._wire_bytes()
        return await asyncio.to_thread(self._inflate, body) if coding == "gzip" else body

    async def document(self, *, optional: bool = False) -> dict[str, Any]:
        """Return the object that the body is; an empty one where it may be left out, and was.

        Raises:
            RequestError: It is no object, or could be read in two ways; and as `read`.
        """
        body = await self.read()
        return parse_object(body) if body or not optional else {}

    async def _wire_bytes(self) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while not self.finished:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected("the client went away while it sent its body")
            self.finished = not message.get("more_body", False)
            piece = message.get("body", b"")
            size += len(piece)
            if size > self._limit_bytes:
                raise self._too_large()
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _inflate(self, data: bytes) -> bytes:
        inflater = zlib.decompressobj(wbits=31)
        pieces: list[bytes] = []
        size = 0
        try:
            while data and not inflater.eof:
                piece = inflater.decompress(data, INFLATE_STEP_BYTES)
                data = inflater.unconsumed_tail
                size += len(piece)
                if size > self._limit_bytes:
                    raise self._too_large()
                pieces.append(piece)
        except zlib.error as exc:
            raise RequestError("the body is announced as gzip and is not", param="content-encoding", code="invalid_gzip") from exc
        if not inflater.eof or inflater.unused_data:
            raise RequestError("the gzip body is cut short, or something follows it", param="content-encoding", code="invalid_gzip")
        return b"".join(pieces)

    def _too_large(self) -> PayloadTooLarge:
        limit = self._limit_bytes / 1024 / 1024
        return PayloadTooLarge(f"the body is over {limit:g} MB, which is this gateway's limit; send less at once")


def _check_media_type(content_type: str, taken: str) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != taken and not (taken == JSON and media_type.endswith("+json")):
        raise UnsupportedMediaType(f"the content type {media_type[:64]!r} is not supported; send {taken}", param="content-type")
