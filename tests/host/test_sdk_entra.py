"""Entra ID tokens with the official SDKs, from a simulated issuer: an identity is bound, calls, and is let go."""

import json
import uuid
from typing import Any
from urllib.parse import urlencode

import openai
import pytest
from openai import AzureOpenAI, OpenAI

from devhost.simulator.config import ENTRA_AUDIENCE, ENTRA_TENANT
from tests.host.asking import Reply, ask, connection_to, eventually, find_records

TENANT_PATH = f"/entra/{ENTRA_TENANT}/oauth2/v2.0/token"


def post_form(gateway: Any, path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    connection = connection_to(gateway.simulator_url)
    try:
        connection.request("POST", path, urlencode(form), {"content-type": "application/x-www-form-urlencoded"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def token_of(gateway: Any, client: str, user: str = "", *, audience: str = ENTRA_AUDIENCE, path: str = TENANT_PATH) -> str:
    """Get an application's token, or a user's."""
    form = {"client_id": client, "scope": f"{audience}/.default", "grant_type": "client_credentials", "client_secret": "any"}
    if user:
        form |= {"grant_type": "password", "username": user, "password": "any", "scope": f"{audience}/access_as_user"}
    status, answer = post_form(gateway, path, form)
    assert status == 200, answer
    return str(answer["access_token"])


def bind(gateway: Any, identity: str) -> Reply:
    order = {"tenant": "default", "product": "unlimited", "name": "an identity's", "identities": [identity]}
    made = ask(gateway, "POST", "/manage/subscriptions", order, key=gateway.admin_key)
    assert made.status == 201, made
    return made


def say(client: OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}], **more)


@pytest.fixture
def client_id() -> str:
    return str(uuid.uuid4())


def test_an_application_calls_with_its_token_once_it_is_bound(gateway: Any, client_id: str) -> None:
    token = token_of(gateway, client_id)
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=token, max_retries=0) as client:
        with pytest.raises(openai.PermissionDeniedError) as caught:
            say(client)
        assert caught.value.code == "identity_not_bound"
        assert client_id in caught.value.message
        subscription = bind(gateway, client_id.upper()).json()["id"]
        eventually(lambda: _answers(client), "the binding is seen")
        assert "".join(chunk.choices[0].delta.content or "" for chunk in say(client, stream=True) if chunk.choices)
        assert "gpt-4o-mini" in [model.id for model in client.models.list()]
    record = find_records(gateway, subscription=subscription, status=200)[0]
    assert (record["key_id"], record["user"]) == (f"entra:{client_id}", "")


def test_azures_client_sends_its_token_and_a_users_calls_are_the_users(gateway: Any, client_id: str) -> None:
    subscription = bind(gateway, client_id).json()["id"]
    token = token_of(gateway, client_id, f"anna-{client_id}@example.com")
    headers = {"x-gateway-user": "somebody-else"}
    with AzureOpenAI(
        azure_endpoint=gateway.url, azure_ad_token=token, api_version="2024-10-21", max_retries=0, default_headers=headers
    ) as client:
        assert say(client).choices
    users = {record["user"] for record in find_records(gateway, subscription=subscription)}
    assert len(users) == 1
    assert uuid.UUID(users.pop()).version == 5  # the user whom the token proves


def test_a_cancelled_subscriptions_token_is_refused_within_seconds(gateway: Any, client_id: str) -> None:
    subscription = bind(gateway, client_id).json()["id"]
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=token_of(gateway, client_id), max_retries=0) as client:
        assert say(client).choices
        assert ask(gateway, "POST", f"/manage/subscriptions/{subscription}/suspend", {}, key=gateway.admin_key).status == 200
        eventually(lambda: not _answers(client), "the suspension is seen")
        with pytest.raises(openai.PermissionDeniedError) as caught:
            say(client)
        assert caught.value.code == "subscription_not_active"


def _answers(client: OpenAI) -> bool:
    try:
        return bool(say(client).choices)
    except openai.PermissionDeniedError:
        return False


@pytest.mark.parametrize("what", ["audience", "tenant", "changed", "garbage"])
def test_a_token_for_somebody_else_is_an_authentication_error(gateway: Any, client_id: str, what: str) -> None:
    bind(gateway, client_id)
    good = token_of(gateway, client_id)
    token = {
        "audience": token_of(gateway, client_id, audience="api://another"),
        "tenant": token_of(gateway, client_id, path=TENANT_PATH.replace(ENTRA_TENANT, str(uuid.uuid4()))),
        "changed": good[:-10] + ("A" if good[-10] != "A" else "B") + good[-9:],
        "garbage": "eyJ.eyJ.eyJ",
    }[what]
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=token, max_retries=0) as client, pytest.raises(openai.AuthenticationError) as caught:
        say(client)
    assert caught.value.code == "invalid_token"
    assert token not in str(caught.value)


def test_a_callers_token_opens_no_management(gateway: Any, client_id: str) -> None:
    bind(gateway, client_id)
    for token in (token_of(gateway, client_id), token_of(gateway, client_id, "anna@example.com")):
        assert ask(gateway, "GET", "/manage/subscriptions", key=token).status == 403


@pytest.mark.parametrize(
    ("over", "error"),
    [
        ({"client_id": "no guid"}, "invalid_client"),
        ({"scope": "nothing"}, "invalid_scope"),
        ({"client_secret": ""}, "invalid_grant"),
        ({"grant_type": "password"}, "invalid_grant"),
    ],
)
def test_the_simulated_issuer_refuses_what_entra_would(gateway: Any, client_id: str, over: dict[str, str], error: str) -> None:
    form = {"client_id": client_id, "scope": f"{ENTRA_AUDIENCE}/.default", "grant_type": "client_credentials", "client_secret": "any"}
    status, answer = post_form(gateway, TENANT_PATH, form | over)
    assert (status, answer["error"]) == (400, error)
    assert post_form(gateway, "/entra/nobody/oauth2/v2.0/token", form)[0] == 404
