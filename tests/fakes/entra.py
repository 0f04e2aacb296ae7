"""An issuer of Entra ID tokens: signs whatever a test wants, publishes its keys, counts who asks for them."""

import base64
import functools
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.errors import Unavailable

TENANT = "11111111-2222-3333-4444-555555555555"
OTHER_TENANT = "99999999-2222-3333-4444-555555555555"
AUDIENCE = "api://gateway"
OID = "aaaaaaaa-0000-4000-8000-000000000001"
CLIENT = "cccccccc-0000-4000-8000-000000000002"
KID = "key-one"
V1, V2 = "https://sts.windows.net/{}/", "https://login.microsoftonline.com/{}/v2.0"


@functools.cache
def private_key(name: str = KID, bits: int = 2048) -> rsa.RSAPrivateKey:
    """One key per name for the whole run: making one takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


def jwk(name: str = KID, bits: int = 2048, **over: Any) -> dict[str, Any]:
    """The public half as a key set has it; a member that is None is left out."""
    numbers = private_key(name, bits).public_key().public_numbers()
    key = {"kty": "RSA", "use": "sig", "kid": name, "n": number(numbers.n), "e": number(numbers.e)} | over
    return {member: value for member, value in key.items() if value is not None}


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys or [jwk()]}).encode()


def app_claims(now: float, **over: Any) -> dict[str, Any]:
    """An application's claims, v2; a claim that is None is left out."""
    claims = {
        "iss": V2.format(TENANT), "tid": TENANT, "aud": AUDIENCE, "iat": int(now), "nbf": int(now), "exp": int(now) + 3600,
        "oid": OID, "sub": OID, "azp": CLIENT, "idtyp": "app", "roles": ["Gateway.User"], "ver": "2.0",
    } | over  # fmt: skip
    return {name: value for name, value in claims.items() if value is not None}


def user_claims(now: float, **over: Any) -> dict[str, Any]:
    """A user's claims, v1."""
    v1 = {"iss": V1.format(TENANT), "azp": None, "appid": CLIENT, "scp": "access_as_user", "idtyp": None, "roles": None, "ver": "1.0"}
    return app_claims(now, **(v1 | over))


def sign(signed: str, kid: str = KID, bits: int = 2048) -> bytes:
    return private_key(kid, bits).sign(signed.encode(), padding.PKCS1v15(), SHA256())


def token(claims: dict[str, Any] | bytes, kid: str = KID, *, key: str | None = None, bits: int = 2048, **header: Any) -> str:
    """A signed token.

    Args:
        claims: An object, or its bytes.
        kid: What the header says.
        key: Whose key signs; the same by default.
        bits: Of that key.
        header: More members of the header; None leaves one out.
    """
    head = {name: value for name, value in ({"alg": "RS256", "typ": "JWT", "kid": kid} | header).items() if value is not None}
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signed = f"{b64(json.dumps(head).encode())}.{b64(body)}"
    return f"{signed}.{b64(sign(signed, key or kid, bits))}"


class Endpoint:
    """Where the keys are published: `answer` is what it says, None that it is down; `asked` counts."""

    def __init__(self, answer: bytes | None = None) -> None:
        self.answer = jwks() if answer is None else answer
        self.down = False
        self.asked = 0

    async def fetch(self) -> bytes:
        self.asked += 1
        if self.down:
            raise Unavailable("down")
        return self.answer
