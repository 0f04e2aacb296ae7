"""Entra ID access tokens: read and judged. Sans-IO: keys and signatures are `entra_tokens.py`'s.

    header.claims.signature, each base64url without padding
    header: alg RS256, typ, kid                            what names or brings a key of its own is refused
    claims: iss, aud, tid, exp, nbf, iat | oid, azp or appid, sub | roles, scp, idtyp

Rules: the algorithm is fixed, not chosen by the token. The issuer is the tenant's own, v1 or v2, and the tenant is one of
ours; of the roles that another tenant than the first gives, `Gateway.Admin` does not count. Every claim has its one type; a
member that is there twice, base64 with another spelling, and a claim that is missing are refused. A token that does not name
the application that asked for it (`azp`, in v1 `appid`) is an ID token: it says who signed in, and opens nothing, also where our
own application is its audience. What cannot be trusted is never shown back: messages say what is wrong, and never what the token holds.

Claims that the operator names become attributes of the call: texts, or lists of texts joined with commas. One that has another
type, or is too long, is refused: to leave it out would let something else count in its place.

A token is a user's where it carries scopes (`scp`); without any, or with `idtyp` app, it is an application's, a managed
identity's among them.

Source: Microsoft identity platform, "Access token claims reference" and "Secure applications and APIs by validating
claims"; RFC 7519; RFC 8725, sections 3.1 to 3.12 (read 2026-11-22).
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.access import Role
from gateway.domain.strict_json import parse_object
from gateway.errors import AuthenticationError, RequestError

MAX_CHARACTERS = 16 * 1024
MAX_ATTRIBUTE_CHARACTERS = 256
SKEW_S = 60.0

_LOOKS = re.compile(r"eyJ[^.]*\.[^.]*\.[^.]*\Z")
_FORBIDDEN = frozenset({"jwk", "jku", "x5u", "x5c", "crit"})
_TYPES = ("JWT", "at+jwt")
_MOST_KID_CHARACTERS = 128
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_ROLES = {role.value: role for role in Role}


class Trust(msgspec.Struct, frozen=True):
    """Whose tokens count, and which of them are meant for us.

    Attributes:
        home: The id of the operator's own Entra tenant: its roles alone make administrators of the gateway.
        tenants: Ids of all that count, in small letters.
        audiences: Our application's id URI and client id.
        claims: Which claims become attributes: claim → attribute.
    """

    home: str
    tenants: frozenset[str]
    audiences: frozenset[str]
    claims: Mapping[str, str] = {}


class Identity(msgspec.Struct, frozen=True):
    """Who a token is.

    Attributes:
        tenant: The Entra tenant's id.
        oid: The user's or service principal's object id; empty where an application has none in the tenant.
        client: The application that asked for the token.
        user: A person has signed in; false for applications and managed identities.
        roles: Those of its roles that are ours.
        expires_at: Unix seconds.
        attributes: What the claims say that the operator named; of this token alone.
    """

    tenant: str
    oid: str
    client: str
    user: bool
    roles: frozenset[Role]
    expires_at: int
    attributes: Mapping[str, str] = {}

    def is_over(self, now_unix_s: float) -> bool:
        """Tell whether the token has expired, allowing for clocks that differ."""
        return now_unix_s >= self.expires_at + SKEW_S


class Unproved(msgspec.Struct, frozen=True):
    """A token whose claims are in order, and whose signature nobody has checked yet.

    Attributes:
        kid: Names the key in the tenant's own set.
        identity: Who it says it is.
        signed: The bytes that the signature is over.
        signature: As decoded.
    """

    kid: str
    identity: Identity
    signed: bytes
    signature: bytes


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    aud: str
    tid: str
    exp: int
    nbf: int
    iat: int
    sub: str = ""
    oid: str = ""
    azp: str = ""
    appid: str = ""
    scp: str = ""
    idtyp: str = ""
    roles: tuple[str, ...] = ()


def looks_like_a_token(text: str) -> bool:
    """Tell a JSON web token from a key by its form."""
    return _LOOKS.match(text) is not None


def read(text: str, trust: Trust, now_unix_s: float) -> Unproved:
    """Read a token and judge all of it but its signature.

    Args:
        text: As the client sent it.
        trust: Whose tokens count.
        now_unix_s: The time.

    Raises:
        AuthenticationError: Saying what is wrong with it.
    """
    if len(text) > MAX_CHARACTERS:
        raise refused(f"it is over {MAX_CHARACTERS} characters long")
    parts = text.split(".")
    if len(parts) != 3:
        raise refused("it is no signed JSON web token")
    header, body, signature = (_decode(part) for part in parts)
    kid = _key_id(_object(header))
    document = _object(body)
    try:
        claims = msgspec.convert(document, _Claims)
    except msgspec.ValidationError as exc:
        raise refused("a claim is missing or of the wrong type; send an Entra ID access token") from exc
    _judge(claims, trust, now_unix_s)
    identity = _identity(claims, trust.home, _attributes(document, trust.claims))
    return Unproved(kid, identity, f"{parts[0]}.{parts[1]}".encode(), signature)


def refused(why: str) -> AuthenticationError:
    """Return the refusal of a token."""
    return AuthenticationError(f"the Entra ID token is not accepted: {why}; get a new one for this gateway", code="invalid_token")


def _decode(part: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError) as exc:
        raise refused("it is not base64url") from exc
    # Base64 has more than one spelling of the same bytes, and the decoder skips what is none of its characters.
    if not data or base64.urlsafe_b64encode(data).rstrip(b"=").decode() != part:
        raise refused("it is not base64url")
    return data


def _object(raw: bytes) -> dict[str, Any]:
    try:
        return parse_object(raw)
    except RequestError as exc:
        raise refused("its header or its claims cannot be read, or could be read in two ways") from exc


def _key_id(header: dict[str, Any]) -> str:
    if header.get("alg") != "RS256":
        raise refused("it is not signed with RS256")
    if not _FORBIDDEN.isdisjoint(header):
        raise refused("its header brings, names or demands what only Entra ID's own key set may say")
    if header.get("typ") not in _TYPES:
        raise refused("it is no access token")
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= _MOST_KID_CHARACTERS:
        raise refused("it names no signing key")
    return kid


def _judge(claims: _Claims, trust: Trust, now_unix_s: float) -> None:
    if claims.tid not in trust.tenants:
        raise refused("it is of a tenant that the gateway does not accept")
    if claims.iss not in {f"https://sts.windows.net/{claims.tid}/", f"https://login.microsoftonline.com/{claims.tid}/v2.0"}:
        raise refused("its issuer is not its tenant's")
    if claims.aud not in trust.audiences:
        raise refused("it is meant for another audience; ask Entra ID for a token whose audience is this gateway")
    if now_unix_s >= claims.exp + SKEW_S:
        raise refused("it has expired")
    if max(claims.nbf, claims.iat) > now_unix_s + SKEW_S:
        raise refused("it is not valid yet")
    ids = (claims.oid, claims.azp, claims.appid)
    if not (claims.azp or claims.appid):
        raise refused("it is no access token: it does not name, by azp or appid, the application that asked for it")
    if any(each and not _GUID.match(each) for each in ids):
        raise refused("it does not say who it is, by oid, azp or appid")


def _attributes(document: Mapping[str, Any], wanted: Mapping[str, str]) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for claim, attribute in wanted.items():
        value = document.get(claim)
        if value is None:
            continue
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str) for each in texts):
            raise refused(f"its claim {claim!r} is neither a text nor a list of texts")
        text = ",".join(texts)
        if len(text) > MAX_ATTRIBUTE_CHARACTERS:
            raise refused(f"its claim {claim!r} has more than {MAX_ATTRIBUTE_CHARACTERS} characters; ask the operator to leave it out")
        attributes[attribute] = text
    return attributes


def _identity(claims: _Claims, home: str, attributes: Mapping[str, str]) -> Identity:
    user = bool(claims.scp) and claims.idtyp in {"", "user"}
    if user and not claims.oid:
        raise refused("it does not say which user it is of, by oid")
    roles = frozenset(_ROLES[name] for name in claims.roles if name in _ROLES)
    return Identity(
        tenant=claims.tid,
        oid=claims.oid.lower(),
        client=(claims.azp or claims.appid).lower(),
        user=user,
        # Each tenant's own administrators assign roles in it, and they run their organisation, not the gateway.
        roles=roles if claims.tid == home else roles - {Role.ADMIN},
        expires_at=claims.exp,
        attributes=attributes,
    )
