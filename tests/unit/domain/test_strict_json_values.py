"""A body of too many values is refused before it is parsed: a small gzip of `{},{},…` would become gigabytes of objects."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import strict_json
from gateway.errors import RequestError

LIMIT = 40
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text('a,:[]{}"\\', max_size=6),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text('a,:[]{}"\\', max_size=4), inner, max_size=6),
    max_leaves=60,
)


def count(value: Any) -> int:
    """Every value but an empty container's absent members; keys are no values."""
    if isinstance(value, dict):
        return 1 + sum(map(count, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(count, value))
    return 1


def refused(raw: bytes) -> bool:
    with contextlib.suppress(RequestError):
        strict_json.parse_object(raw)
        return False
    with pytest.raises(RequestError) as caught:
        strict_json.parse_object(raw)
    return caught.value.code == "too_many_values"


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_json, "MAX_VALUES", LIMIT)


@given(st.dictionaries(st.text("abc", max_size=3), VALUES, max_size=8), st.sampled_from([None, 1]))
def test_what_is_well_over_the_limit_is_refused_and_what_is_under_it_is_not(document: dict[str, Any], indent: int | None) -> None:
    # Counted without parsing, so a container may count once or twice; never a comma or bracket inside a text.
    values = count(document)
    raw = json.dumps(document, indent=indent).encode()
    if values <= LIMIT // 2:
        assert not refused(raw)
    if values > 2 * LIMIT:
        assert refused(raw)


@pytest.mark.parametrize("item", ["{}", "[]", "0", '""', "null"])
def test_a_long_array_is_refused_whatever_it_is_of(item: str) -> None:
    assert refused(f'{{"a":[{",".join([item] * (2 * LIMIT))}]}}'.encode())
    assert not refused(f'{{"a":[{",".join([item] * (LIMIT // 3))}]}}'.encode())


def test_punctuation_inside_a_text_is_no_value() -> None:
    assert not refused(json.dumps({"a": ',"[{:' * 100}).encode())
