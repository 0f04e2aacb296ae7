"""Prompts, experiments, conversations and feedback as the official SDK meets them, through a socket."""

import uuid
from typing import Any

import openai
import pytest

from tests.host.asking import ask, bearer
from tests.host.test_manage_access import made


class Tenant:
    """A tenant of its own, its administrator's way to prompts, and a client."""

    def __init__(self, gateway: Any) -> None:
        self.gateway = gateway
        self.name = f"sdk-{uuid.uuid4().hex[:8]}"
        made(gateway, "tenants", {"id": self.name})
        made(gateway, "products", {"id": self.name, "models": ["*"], "history": {"ttl_days": 1}})
        order = {"tenant": self.name, "product": self.name, "name": "sdk", "attributes": {"department": "sales"}}
        self.key: str = made(gateway, "subscriptions", order)["keys"]["primary"]
        self.client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=self.key, max_retries=0)

    def publish(self, name: str, *texts: str, **document: Any) -> int:
        said = [{"role": "user", "content": text} for text in texts]
        where, head = f"/manage/prompts/{name}", bearer(self.gateway.admin_key)
        body = {"model": "gpt-4o-mini", "messages": said, **document}
        version: int = ask(self.gateway, "POST", f"{where}/versions?tenant={self.name}", body, head).json()["version"]
        moved = ask(self.gateway, "PUT", f"{where}/labels/production?tenant={self.name}", {"version": version}, head)
        assert moved.status == 200, moved.body
        return version


@pytest.fixture
def tenant(gateway: Any) -> Tenant:
    return Tenant(gateway)


def test_chats_and_responses_of_the_sdk_take_a_prompt(tenant: Tenant) -> None:
    tenant.publish("greet", "Greet {{name}} of {{context.department}}.")
    prompt = {"id": "greet", "variables": {"name": "Ann"}}
    chat = tenant.client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=[], extra_body={"prompt": prompt})
    assert "Greet Ann of sales." in str(chat.parse().choices[0].message.content)
    assert chat.headers["x-gateway-prompt-version"] == "1"
    answer = tenant.client.responses.create(prompt={"id": "greet", "version": "1", "variables": {"name": "Bob"}})
    assert "Greet Bob of sales." in answer.output_text


def test_a_stream_of_a_prompt_is_a_stream(tenant: Tenant) -> None:
    tenant.publish("greet", "Greet {{name}}.")
    prompt = {"id": "greet", "variables": {"name": "Ann"}}
    stream = tenant.client.chat.completions.create(model="gpt-4o-mini", messages=[], stream=True, extra_body={"prompt": prompt})
    assert "Greet Ann." in "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def test_errors_are_the_sdks_own_and_name_the_variable(tenant: Tenant) -> None:
    tenant.publish("greet", "Greet {{name}}.")
    with pytest.raises(openai.BadRequestError) as caught:
        tenant.client.responses.create(prompt={"id": "greet"})
    assert (caught.value.code, caught.value.param) == ("missing_variable", "prompt.variables.name")
    with pytest.raises(openai.NotFoundError) as missing:
        tenant.client.responses.create(prompt={"id": "nobody"})
    assert missing.value.code == "prompt_not_found"


def test_a_published_prompt_is_an_api_of_its_own(tenant: Tenant) -> None:
    tenant.publish("greet", "Greet {{name}}.", description="Greets.", examples=[{"name": "Ann"}])
    listed = ask(tenant.gateway, "GET", "/v1/prompts", None, bearer(tenant.key)).json()
    assert [each["id"] for each in listed["data"] if not each["shared"]] == ["greet"]
    document = ask(tenant.gateway, "GET", "/v1/prompts/greet/openapi.json", None, bearer(tenant.key)).json()
    assert document["openapi"] == "3.0.3"
    (path,) = document["paths"]
    told = ask(tenant.gateway, "POST", path, {"variables": {"name": "Eve"}}, bearer(tenant.key))
    assert "Greet Eve." in told.json()["choices"][0]["message"]["content"]


def test_a_session_is_continued_and_erased(tenant: Tenant) -> None:
    headers = {"x-gateway-session": "s-1", "x-gateway-history": "use"}

    def said(text: str) -> int:
        messages: Any = [{"role": "user", "content": text}]
        answer = tenant.client.chat.completions.create(model="gpt-4o-mini", messages=messages, extra_headers=headers)
        assert answer.usage is not None
        return answer.usage.prompt_tokens

    first, second = said("One"), said("Two")
    assert second > 2 * first
    assert ask(tenant.gateway, "DELETE", "/v1/sessions/s-1", None, bearer(tenant.key)).json()["conversations"] == 1
    assert said("One") == first


def test_feedback_is_taken_for_a_call(tenant: Tenant) -> None:
    raw = tenant.client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}])
    vote = {"request_id": raw.headers["x-request-id"], "metric": "thumbs", "value": True}
    assert ask(tenant.gateway, "POST", "/v1/feedback", vote, bearer(tenant.key)).status in {200, 202}
