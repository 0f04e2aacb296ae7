"""Every field of an embeddings request that we act on."""

import json
from typing import Any

import pytest

from gateway.domain.call import Inbound, Operation, Surface
from gateway.domain.embeddings import MAX_INPUTS, read_embeddings
from gateway.errors import RequestError


def make_inbound(document: dict[str, Any], *, path_model: str = "") -> Inbound:
    return Inbound(
        operation=Operation.EMBEDDINGS,
        surface=Surface.AZURE if path_model else Surface.OPENAI,
        request_id="req-1",
        method="POST",
        path="/v1/embeddings",
        headers={},
        query={"api-version": "2024-10-21"},
        path_model=path_model,
        body=json.dumps(document).encode(),
        received_s=0.0,
    )


@pytest.mark.parametrize("value", ["Hi", ["Hi", "Ho"], [1, 2, 3], [[1], [2, 3]], ["x"] * MAX_INPUTS, [0] * (MAX_INPUTS + 1)])
def test_takes_every_kind_of_input_untouched(value: Any) -> None:
    inbound = make_inbound({"model": "text-embedding-3-small", "input": value, "dimensions": 256, "encoding_format": "base64", "x": 1})
    call = read_embeddings(inbound, "00-abc-def-01")
    assert call.document["input"] == value
    assert call.body is inbound.body
    assert (call.operation, call.model, call.trace) == (Operation.EMBEDDINGS, "text-embedding-3-small", "00-abc-def-01")
    assert (call.stream, call.api_version) == (False, "2024-10-21")


def test_on_azure_paths_the_deployment_is_the_model() -> None:
    assert read_embeddings(make_inbound({"input": "Hi", "model": "ignored"}, path_model="ada")).model == "ada"


@pytest.mark.parametrize(
    ("document", "code", "param"),
    [
        ({"input": "Hi"}, "missing_required_parameter", "model"),
        ({"model": "m"}, "missing_required_parameter", "input"),
        ({"model": "m", "input": None}, "missing_required_parameter", "input"),
        ({"model": "m", "input": 5}, "invalid_type", "input"),
        ({"model": "m", "input": {"a": 1}}, "invalid_type", "input"),
        ({"model": "m", "input": ""}, "invalid_value", "input"),
        ({"model": "m", "input": []}, "invalid_value", "input"),
        ({"model": "m", "input": [True]}, "invalid_type", "input[0]"),
        ({"model": "m", "input": [None]}, "invalid_type", "input[0]"),
        ({"model": "m", "input": ["Hi", ""]}, "invalid_value", "input[1]"),
        ({"model": "m", "input": ["Hi", 1]}, "invalid_type", "input[1]"),
        ({"model": "m", "input": [1, "Hi"]}, "invalid_type", "input[1]"),
        ({"model": "m", "input": [1, True]}, "invalid_type", "input[1]"),
        ({"model": "m", "input": [1, -1]}, "invalid_value", "input[1]"),
        ({"model": "m", "input": [[1], []]}, "invalid_value", "input[1]"),
        ({"model": "m", "input": [[1], [2, 2**31]]}, "invalid_value", "input[1][1]"),
        ({"model": "m", "input": [[1], [2, 2.0]]}, "invalid_type", "input[1][1]"),
        ({"model": "m", "input": ["x"] * (MAX_INPUTS + 1)}, "invalid_value", "input"),
        ({"model": "m", "input": "Hi", "dimensions": 0}, "invalid_value", "dimensions"),
        ({"model": "m", "input": "Hi", "dimensions": True}, "invalid_type", "dimensions"),
        ({"model": "m", "input": "Hi", "encoding_format": "int8"}, "invalid_value", "encoding_format"),
        ({"model": "m", "input": "Hi", "encoding_format": []}, "invalid_type", "encoding_format"),
        ({"model": "m", "input": "Hi", "user": {}}, "invalid_type", "user"),
        ({"model": "m", "input": "Hi", "Input": "Ho"}, "unknown_parameter", "Input"),
    ],
)
def test_refuses_a_wrong_field_and_names_it(document: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_embeddings(make_inbound(document))
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, code, param)
