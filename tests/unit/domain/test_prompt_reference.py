import json
from typing import Any

import pytest

from gateway.domain.prompt_reference import Reference, invocation_in, reference_in
from gateway.errors import RequestError

OWN = {"model": "gpt-4o", "temperature": 0.50}


def asked(prompt: Any) -> Reference | None:
    document = {"temperature": 0.5, "prompt": prompt, "n": 1}
    return reference_in(document, json.dumps(document).encode())


def invoked(document: dict[str, Any], name: str = "support") -> Reference:
    return invocation_in(document, json.dumps(document).encode(), name)


def test_a_prompt_is_named_by_its_id_and_asked_for_by_its_production_label() -> None:
    assert asked({"id": "support"}) == Reference("support", "production", {}, b'{"temperature": 0.5, "n": 1}', "prompt.variables")


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"version": 3}, 3),
        ({"version": "3"}, 3),
        ({"version": "staging"}, "staging"),
        ({"label": "staging"}, "staging"),
        ({"label": "3rd"}, "3rd"),
        ({"version": None, "label": None, "variables": None}, "production"),
    ],
    ids=json.dumps,
)
def test_a_version_is_a_number_or_a_label(more: dict[str, Any], wanted: int | str) -> None:
    found = asked({"id": "support", **more})
    assert found is not None
    assert found.wanted == wanted


def test_variables_are_data_and_openais_text_stands_for_itself() -> None:
    text = {"type": "input_text", "text": "Oslo"}
    found = asked({"id": "s", "variables": {"city": text, "list": [1, {"a": None}], "image": {"type": "input_image", "image_url": "u"}}})
    assert found is not None
    assert found.variables == {"city": "Oslo", "list": [1, {"a": None}], "image": {"type": "input_image", "image_url": "u"}}


@pytest.mark.parametrize("prompt", ["Say hello", None, ["a"], {"id": "pmpt_123", "version": "2", "anything": 1}], ids=json.dumps)
def test_what_names_no_prompt_of_ours_is_left_alone(prompt: Any) -> None:
    assert asked(prompt) is None


@pytest.mark.parametrize(
    ("prompt", "param", "code"),
    [
        ({}, "prompt.id", "missing_required_parameter"),
        ({"id": 1}, "prompt.id", "invalid_type"),
        ({"id": "a b"}, "prompt.id", "invalid_value"),
        ({"id": ""}, "prompt.id", "invalid_value"),
        ({"id": "../x"}, "prompt.id", "invalid_value"),
        ({"id": "s", "Version": 1}, "prompt.Version", "unknown_parameter"),
        ({"id": "s", "version": 0}, "prompt.version", "invalid_value"),
        ({"id": "s", "version": True}, "prompt.version", "invalid_value"),
        ({"id": "s", "version": 1.5}, "prompt.version", "invalid_value"),
        ({"id": "s", "version": "a/b"}, "prompt.version", "invalid_value"),
        ({"id": "s", "label": 3}, "prompt.label", "invalid_type"),
        ({"id": "s", "label": "a", "version": 1}, "prompt.label", "invalid_value"),
        ({"id": "s", "variables": []}, "prompt.variables", "invalid_type"),
    ],
    ids=json.dumps,
)
def test_a_fault_names_its_field(prompt: Any, param: str, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        asked(prompt)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_an_invocation_names_the_prompt_by_its_path() -> None:
    found = invoked({"version": "2", "variables": {"city": "Oslo"}, "stream": True})
    assert found == Reference("support", 2, {"city": "Oslo"}, b'{"stream": true}', "variables")
    assert invoked({}).wanted == "production"


@pytest.mark.parametrize(
    ("document", "name", "param"),
    [({"prompt": {"id": "x"}}, "s", "prompt"), ({"version": -1}, "s", "version"), ({"variables": 1}, "s", "variables"), ({}, "a b", None)],
    ids=["prompt", "version", "variables", "name"],
)
def test_an_invocations_fault_names_its_field(document: dict[str, Any], name: str, param: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        invoked(document, name)
    assert caught.value.param == param
