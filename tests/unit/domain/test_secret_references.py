"""References to a vault: what is one, what is none, and that none leads anywhere but to a vault."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.keyvault import secret_url
from gateway.domain.catalog_file import CatalogError, build_catalog
from gateway.domain.deployment import Auth, AuthType
from gateway.domain.secret_references import SecretReference, is_referred, parse_reference
from tests.unit.domain.catalog_documents import ENVIRONMENT, GOOD, SECRET, build, fault

VERSION = "0123456789abcdef0123456789ABCDEF"
BAD = [
    "keyvault://", "keyvault:///secret", "keyvault://vault", "keyvault://vault/", "keyvault://vault/secret/", "keyvault://va/secret",
    "keyvault://vault/secret/latest", f"keyvault://vault/secret/{VERSION}/x", "keyvault://vault.example.com/secret", "keyvault://a@b/secret",
    "keyvault://vault:443/secret", "keyvault://vault/se_cret", "keyvault://vault/secret?x=1", "keyvault://vault/../secret",
    "keyvault://1vault/secret", "keyvault://vault-/secret", "keyvault://va--ult/secret", f"keyvault://{'v' * 25}/secret",
    f"keyvault://vault/{'s' * 128}", "keyvault://vault/secret#x", "keyvault://vault/s%2e", "keyvault://väult/secret",
]  # fmt: skip


def auth_of(**members: str) -> Any:
    return lambda document: document["backends"][0].update(auth={"type": "api-key", **members})


def test_a_reference_names_a_vault_and_a_secret_and_perhaps_a_version() -> None:
    assert parse_reference("keyvault://My-Vault2/openai-key") == SecretReference("my-vault2", "openai-key")
    found = parse_reference(f"keyvault://vault/secret/{VERSION}")
    assert found == SecretReference("vault", "secret", VERSION)
    assert str(found) == f"keyvault://vault/secret/{VERSION}"


@pytest.mark.parametrize("text", [*BAD, "", "sk-plain", "KEYVAULT://vault/secret", "https://vault.vault.azure.net/secrets/x"])
def test_what_is_no_reference_is_none(text: str) -> None:
    assert parse_reference(text) is None


@given(st.text(alphabet="abz019-./@:?#%\\ \n", max_size=30))
def test_no_reference_leads_to_another_host(rest: str) -> None:
    found = parse_reference(f"keyvault://{rest}")
    if found is not None:
        url = secret_url("vault.azure.net", found)
        assert re.fullmatch(r"https://[a-z0-9-]{3,24}\.vault\.azure\.net/secrets/[A-Za-z0-9-]+(/[0-9a-fA-F]{32})?", url)


@pytest.mark.parametrize("member", ["key", "session_token"])
@pytest.mark.parametrize("text", BAD)
def test_a_bad_reference_is_refused_at_its_place_in_the_catalogue(member: str, text: str) -> None:
    aws = {"type": "aws-sigv4", "key": SECRET, "key_id": "AKID", "region": "eu-west-1"}
    found = fault(lambda document: document["backends"][0].update(auth={**aws, member: text}))
    assert found.path == f"$.backends[0].auth.{member}"
    assert "keyvault://vault/secret" in found.message


def test_a_good_reference_stays_one_until_it_is_sent() -> None:
    auth = build(auth_of(key="keyvault://vault/secret")).deployments["d1"].backend.auth
    assert auth.key == "keyvault://vault/secret"
    assert is_referred(auth)
    assert not is_referred(build().deployments["d1"].backend.auth)
    assert is_referred(Auth(type=AuthType.AWS_SIGV4, key="plain", session_token="keyvault://vault/secret"))


def test_settings_may_name_the_vault_or_be_the_reference() -> None:
    change = auth_of(key="keyvault://${env:VAULT}/secret")
    document = {**GOOD, "backends": [dict(each) for each in GOOD["backends"]]}
    change(document)
    for environment in ({"VAULT": "vault-eu"}, {"KEY": "keyvault://vault-eu/secret"}):
        source = document if "VAULT" in environment else GOOD
        found = build_catalog(source, ENVIRONMENT | environment).deployments["d1"].backend.auth
        assert found.key == "keyvault://vault-eu/secret"
    with pytest.raises(CatalogError) as caught:
        build_catalog(GOOD, ENVIRONMENT | {"KEY": "keyvault://vault.evil.example/secret"})
    assert caught.value.path == "$.backends[0].auth.key"
    assert "evil" not in str(caught.value)


def test_an_id_that_is_no_secret_is_no_reference() -> None:
    aws = {"type": "aws-sigv4", "key": SECRET, "key_id": "keyvault://vault/secret", "region": "eu-west-1"}
    assert fault(lambda document: document["backends"][0].update(auth=aws)).path == "$.backends[0].auth.key_id"
