"""What is opened for a catalogue's secrets: a vault where one is named, and nothing in the way where none is."""

import pathlib
from collections.abc import AsyncIterator

import pytest

from gateway import container
from gateway.adapters.upstream import PooledUpstream
from gateway.adapters.upstream_secrets import SecretUpstream
from gateway.connections import Identity, open_doors
from gateway.domain.call import UpstreamRequest
from gateway.domain.deployment import Auth
from gateway.settings import Settings, load_settings
from tests.fakes.clock import FakeClock
from tests.fakes.vault import TOKEN, FakeBackend, FakeVault, served

REFERENCE = "keyvault://vault/openai"
CATALOG = """
version: 1
backends:
  - {{id: aoai, protocol: azure-openai, endpoint: "{url}", auth: {{type: api-key, key: "{key}"}}}}
  - {{id: crm, protocol: rest, endpoint: "{url}", auth: {{type: bearer, key: "{internal}"}}, internal: true}}
deployments:
  - {{id: d1, backend: aoai}}
models:
  - {{id: small, pool: [{{deployment: d1}}], enrich: [{{backend: crm, path: "/x", template: "{{result}}"}}]}}
"""


class Place:
    """A vault, a backend, and the settings of a gateway that has them."""

    def __init__(self, folder: pathlib.Path, vault: FakeVault, backend: FakeBackend) -> None:
        self.folder, self.vault, self.backend = folder, vault, backend
        vault.secrets["/vault/secrets/openai"] = "the-key-0001"
        backend.valid = {"the-key-0001"}

    def environment(self, key: str, internal: str = "${env:PLAIN}") -> dict[str, str]:
        catalog = self.folder / "catalog.yaml"
        catalog.write_text(CATALOG.format(url=self.backend.url, key=key, internal=internal), encoding="utf-8")
        return {
            "GATEWAY_CATALOG": str(catalog),
            "GATEWAY_TABLES": f"sqlite:///{self.folder}/tables.db",
            "GATEWAY_BLOBS": f"file://{self.folder}/blobs",
            "GATEWAY_SPOOL": f"{self.folder}/spool",
            "GATEWAY_KEY_PEPPER": "x" * 16,
            "GATEWAY_KEYVAULT_SUFFIX": self.vault.url,
            "PLAIN": "the-plain-key",
        }

    def settings(self, key: str, internal: str = "${env:PLAIN}") -> Settings:
        return load_settings(self.environment(key, internal))


@pytest.fixture
async def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    async def token(self: Identity, auth: Auth) -> str:
        return TOKEN

    monkeypatch.setattr(Identity, "token", token)
    async with served(FakeVault()) as vault, served(FakeBackend()) as backend:
        yield Place(tmp_path, vault, backend)


async def test_a_backend_gets_the_secret_that_the_catalogue_refers_to(place: Place) -> None:
    doors = await open_doors(place.settings(REFERENCE), FakeClock())
    try:
        backend = doors.catalog.deployments["d1"].backend
        assert backend.auth.key == REFERENCE
        response = await doors.upstream.send(UpstreamRequest(backend, "POST", f"{backend.endpoint}/chat", {}, b""), 5)
        assert response.status == 200
        await response.read()
        assert place.backend.seen == ["the-key-0001"]
    finally:
        await doors.close()


@pytest.mark.parametrize(
    ("key", "internal", "kind"),
    [
        ("${env:PLAIN}", "${env:PLAIN}", PooledUpstream),
        (REFERENCE, "${env:PLAIN}", SecretUpstream),
        ("${env:PLAIN}", REFERENCE, SecretUpstream),
    ],
)
async def test_a_vault_stands_in_the_way_only_where_a_backend_or_a_lookup_needs_one(
    place: Place, key: str, internal: str, kind: type[object]
) -> None:
    doors = await open_doors(place.settings(key, internal), FakeClock())
    await doors.close()
    assert type(doors.upstream) is kind


async def test_a_vault_that_is_down_keeps_nobody_from_being_ready(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in place.environment(REFERENCE).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GATEWAY_KEYVAULT_SUFFIX", "http://127.0.0.1:1")
    monkeypatch.setattr(container, "_worker", container._Worker())
    try:
        assert await container.readiness() == {"configuration": "ok", "tables": "ok", "blobs": "ok"}
    finally:
        await container.shutdown()
