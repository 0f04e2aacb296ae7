"""The Upstream port for backends whose credential is in Key Vault: the reference becomes the secret at the last moment.

It stands before either client, and only where the catalogue has such a backend. Nothing above it ever holds a secret, so it
masks them itself in what is answered: some backends repeat the key that they refuse.

A credential that a backend refuses (401, 403) may have been rotated. It is read again, at most every 30 s, and where another one is
there the request is sent once more within the same attempt: what was refused did nothing. Otherwise the refusal is the answer.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote, quote_plus

import msgspec

from gateway.adapters.keyvault import KeyVault
from gateway.adapters.upstream import Client
from gateway.domain.call import UpstreamRequest
from gateway.domain.deployment import SHORTEST_SECRET, Auth
from gateway.domain.secret_references import is_referred, parse_reference
from gateway.errors import UpstreamTimeout
from gateway.ports import UpstreamResponse

REFUSED = frozenset({401, 403})
MASK = "***"


class MaskedResponse:
    """An answer without the secrets that its request was sent with; see `ports.UpstreamResponse`. Streams are passed on as they come."""

    def __init__(self, response: UpstreamResponse, auth: Auth) -> None:
        self._response = response
        self._spellings = _spellings(auth)
        self.status = response.status
        self.headers: Mapping[str, str] = {name: self._masked(value) for name, value in response.headers.items()}

    async def read(self) -> bytes:
        """Read the whole body."""
        body = await self._response.read()
        for spelling in self._spellings:
            if (secret := spelling.encode()) in body:
                body = body.replace(secret, MASK.encode())
        return body

    def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the body as it arrives."""
        return self._response.chunks()

    def close(self) -> None:
        """Let the connection go."""
        self._response.close()

    def _masked(self, text: str) -> str:
        for spelling in self._spellings:
            text = text.replace(spelling, MASK)
        return text


class SecretUpstream:
    """Sends with secrets from a vault; see `ports.Upstream`.

    Args:
        client: Sends.
        vault: Has the secrets.
    """

    def __init__(self, client: Client, vault: KeyVault) -> None:
        self._client = client
        self._vault = vault

    async def send(self, request: UpstreamRequest, timeout_s: float) -> UpstreamResponse:
        """Put the secrets in, and send; return when the headers are here."""
        referred = request.backend.auth
        if not is_referred(referred):
            return await self._client.send(request, timeout_s)
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        try:
            async with asyncio.timeout_at(deadline_s):
                auth = await self._resolved(referred)
        except TimeoutError as exc:
            raise UpstreamTimeout("the credential of the model's backend could not be read in time; retry") from exc
        response = await self._client.send(_with(request, auth), max(deadline_s - loop.time(), 0.001))
        if response.status in REFUSED:
            try:
                renewed = await self._renewed(referred, auth, deadline_s)
            except BaseException:
                response.close()
                raise
            if renewed != auth:
                response.close()
                auth = renewed
                response = await self._client.send(_with(request, auth), max(deadline_s - loop.time(), 0.001))
        return MaskedResponse(response, auth)

    async def close(self) -> None:
        """Close the client and the vault."""
        await self._client.close()
        await self._vault.close()

    async def _resolved(self, auth: Auth) -> Auth:
        return msgspec.structs.replace(auth, key=await self._secret(auth.key), session_token=await self._secret(auth.session_token))

    async def _secret(self, text: str) -> str:
        reference = parse_reference(text)
        return text if reference is None else await self._vault.value(reference)

    async def _renewed(self, referred: Auth, refused: Auth, deadline_s: float) -> Auth:
        """Return what may be accepted; what was refused where nothing else is there in time."""
        found = {"key": refused.key, "session_token": refused.session_token}
        try:
            async with asyncio.timeout_at(deadline_s):
                for member, value in found.items():
                    if (reference := parse_reference(getattr(referred, member))) is not None:
                        found[member] = await self._vault.renewed(reference, value)
        except TimeoutError:
            return refused
        return msgspec.structs.replace(refused, **found)


def _with(request: UpstreamRequest, auth: Auth) -> UpstreamRequest:
    return msgspec.structs.replace(request, backend=msgspec.structs.replace(request.backend, auth=auth))


def _spellings(auth: Auth) -> tuple[str, ...]:
    """Return how its secrets may stand in an answer, the longest first: as they are, and as they stand in a query."""
    secrets = [secret for secret in (auth.key, auth.session_token) if len(secret) >= SHORTEST_SECRET]
    found = {way for secret in secrets for way in (secret, quote(secret, safe=""), quote(secret), quote_plus(secret))}
    return tuple(sorted(found, key=len, reverse=True))
