"""The blobs that captured calls are kept in: a blob for each, gzipped JSON, in the container `captures`.

    <tenant>/<yyyy-mm-dd>/<hh>/<request id>~<days>~<user>~<session>.json.gz

So a tenant's calls of a time are a list by prefix, what is over is known by its name, and a user's or session's calls are found to be
erased without reading any. `<user>` and `<session>` are hashes that hold within the tenant only.
"""

import gzip
import hashlib

import msgspec

from gateway.captures.record import Captured

CONTAINER = "captures"
SUFFIX = ".json.gz"


def name_of(captured: Captured) -> str:
    """Return the name of a call's blob."""
    user, session = (whose_hash(captured.tenant, name) for name in (captured.user, captured.session))
    return f"{captured.tenant}/{captured.at:%Y-%m-%d/%H}/{captured.request_id}~{captured.days}~{user}~{session}{SUFFIX}"


def whose_hash(tenant: str, name: str) -> str:
    """Return what stands for a user or session in blobs' names; `-` for none."""
    return hashlib.blake2b(f"{tenant}\n{name}".encode(), digest_size=8).hexdigest() if name else "-"


class Name(msgspec.Struct, frozen=True):
    """A blob's name, read."""

    tenant: str
    day: str
    request_id: str
    days: int
    user: str
    session: str


def read_name(name: str) -> Name | None:
    """Return what a blob's name says; None where it is none of ours."""
    tenant, _, rest = name.partition("/")
    day, _, rest = rest.partition("/")
    parts = rest.partition("/")[2].removesuffix(SUFFIX).split("~")
    if len(parts) != 4 or not parts[1].isdigit() or not name.endswith(SUFFIX):
        return None
    return Name(tenant, day, parts[0], int(parts[1]), parts[2], parts[3])


def pack(captured: Captured) -> bytes:
    """Return the blob; the same for the same call."""
    return gzip.compress(msgspec.json.encode(captured), 4, mtime=0)


def unpack(data: bytes) -> Captured:
    """Return the call that a blob holds.

    Raises:
        ValueError: It holds none.
    """
    try:
        return _DECODER.decode(gzip.decompress(data))
    except (OSError, EOFError, msgspec.MsgspecError) as exc:
        raise ValueError("this is no captured call") from exc


_DECODER = msgspec.json.Decoder(Captured)
