"""A simulated Entra ID: enough to try tokens on one machine. Everybody gets one; it proves nothing to anybody else.

    POST /entra/{tenant}/oauth2/v2.0/token     form: grant_type, client_id, scope, and
        client_credentials    client_secret (any)               → an application's token, with the role Gateway.User
        password              username, password (any)          → a user's, with the scope access_as_user
    GET  /entra/{tenant}/discovery/v2.0/keys   the key set

The token's audience is its scope without the last part (`api://ai-gateway/.default` → `api://ai-gateway`). Object ids are
made from the client's id or the user's name, so they stay the same. The signing key is made with the first token and ends
with the process.

Source: Microsoft identity platform, "OAuth 2.0 client credentials flow" and "Access token claims reference" (read 2026-11-22).
"""

import asyncio
import base64
import hashlib
import re
import time
import uuid
from typing import Any
from urllib.parse import parse_qs

import orjson

from devhost.simulator.exchange import Exchange
from devhost.simulator.inspection import next_ids
from devhost.simulator.refusals import Refusal, not_found

_PLACES = re.compile(r"/([0-9a-f-]{36})/(oauth2/v2\.0/token|discovery/v2\.0/keys)")
_LIFETIME_S = 3600
_NAMESPACE = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


class Entra:
    """Issues tokens, and publishes the key that signs them."""

    def __init__(self) -> None:
        self._key: Any = None
        self._kid = ""
        self._making = asyncio.Lock()

    async def serve(self, exchange: Exchange) -> None:
        """Answer a request below the prefix."""
        place = _PLACES.fullmatch(exchange.route)
        wanted = {"oauth2/v2.0/token": "POST", "discovery/v2.0/keys": "GET"}
        if place is None or exchange.method != wanted[place[2]]:
            raise not_found()
        async with self._making:
            if self._key is None:
                await asyncio.to_thread(self._make_key)
        if exchange.method == "GET":
            await exchange.answer(200, orjson.dumps({"keys": [self._public()]}), next_ids())
            return
        form = {name: values[0] for name, values in parse_qs(exchange.body.decode("latin-1")).items()}
        token = self._sign(_claims(place[1], form))
        answer = {"token_type": "Bearer", "expires_in": _LIFETIME_S, "ext_expires_in": _LIFETIME_S, "access_token": token}
        await exchange.answer(200, orjson.dumps(answer), next_ids())

    def _make_key(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

        key = generate_private_key(public_exponent=65537, key_size=2048)
        self._kid = hashlib.sha256(str(key.public_key().public_numbers().n).encode()).hexdigest()[:32]
        self._key = key

    def _public(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        modulus, exponent = (_base64url(value.to_bytes((value.bit_length() + 7) // 8)) for value in (numbers.n, numbers.e))
        return {"kty": "RSA", "use": "sig", "kid": self._kid, "n": modulus, "e": exponent}

    def _sign(self, claims: dict[str, Any]) -> str:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        header = {"typ": "JWT", "alg": "RS256", "kid": self._kid}
        signed = f"{_base64url(orjson.dumps(header))}.{_base64url(orjson.dumps(claims))}"
        return f"{signed}.{_base64url(self._key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def _claims(tenant: str, form: dict[str, str]) -> dict[str, Any]:
    grant, client, scope = (form.get(name, "") for name in ("grant_type", "client_id", "scope"))
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", client):
        raise _refused("invalid_client", "AADSTS700016: client_id must be a GUID in small letters.")
    audience, _, permission = scope.rpartition("/")
    if not audience or not permission:
        raise _refused("invalid_scope", "AADSTS70011: scope must be an audience and a permission, such as api://ai-gateway/.default.")
    now = int(time.time())
    claims = {
        "iss": f"https://login.microsoftonline.com/{tenant}/v2.0", "aud": audience, "tid": tenant, "ver": "2.0",
        "iat": now, "nbf": now, "exp": now + _LIFETIME_S, "azp": client,
    }  # fmt: skip
    if grant == "client_credentials" and form.get("client_secret"):
        oid = str(uuid.uuid5(_NAMESPACE, client))
        return claims | {"oid": oid, "sub": oid, "idtyp": "app", "roles": ["Gateway.User"]}
    if grant == "password" and form.get("username") and form.get("password"):
        oid = str(uuid.uuid5(_NAMESPACE, form["username"]))
        return claims | {"oid": oid, "sub": oid, "idtyp": "user", "scp": "access_as_user", "preferred_username": form["username"]}
    raise _refused("invalid_grant", "AADSTS50059: client_credentials needs client_secret; password needs username and password.")


def _refused(error: str, description: str) -> Refusal:
    return Refusal(400, {"error": error, "error_description": description})


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
