"""A document that does not fit is answered with what would."""

from enum import StrEnum
from typing import Any, Literal

import msgspec
import pytest

from gateway.domain.documents import convert
from gateway.domain.shapes import Wrong, what_is_wrong
from gateway.errors import RequestError


class _Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    colour: _Colour
    side: Literal["left", "right"] = "left"


class _Inner(msgspec.Struct, forbid_unknown_fields=True, rename={"max_": "max"}):
    rows: tuple[_Row, ...] = ()
    max_: float | None = None
    sizes: frozenset[Literal["s", "m", "l"]] = frozenset()
    colours: frozenset[_Colour] = frozenset()
    by_name: dict[str, _Row] = {}


class _Outer(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    inner: _Inner | None = None


CASES: dict[str, tuple[dict[str, Any], Wrong]] = {
    "a name that is not known is answered with those that are": (
        {"id": "a", "inner": {"row": 1}},
        Wrong("$.inner", "row", "is not known here; known are by_name, colours, max, rows, sizes"),
    ),
    "a name that is missing is named": ({}, Wrong("$", "id", "is missing")),
    "another value is answered with those that are taken": (
        {"id": "a", "inner": {"rows": [{"colour": "green"}]}},
        Wrong("$.inner.rows[0].colour", "", "must be 'red' or 'blue', not 'green'"),
    ),
    "of three too": ({"id": "a", "inner": {"sizes": ["x"]}}, Wrong("$.inner.sizes[0]", "", "must be 'l', 'm' or 's', not 'x'")),
    "so in a set": ({"id": "a", "inner": {"colours": ["green"]}}, Wrong("$.inner.colours[0]", "", "must be 'red' or 'blue', not 'green'")),
    "and among literals": (
        {"id": "a", "inner": {"rows": [{"colour": "red", "side": "top"}]}},
        Wrong("$.inner.rows[0].side", "", "must be 'left' or 'right', not 'top'"),
    ),
    "and below a mapping": (
        {"id": "a", "inner": {"by_name": {"x": {"colour": "green"}}}},
        Wrong("$.inner.by_name[...].colour", "", "must be 'red' or 'blue', not 'green'"),
    ),
    "where a list is wanted it is said of what": (
        {"id": "a", "inner": {"rows": 5}},
        Wrong("$.inner.rows", "", "must be a list of objects with colour, side, not a whole number"),
    ),
    "kinds are said in words": ({"id": "a", "inner": {"max": "5"}}, Wrong("$.inner.max", "", "must be a number or null, not a text")),
}


@pytest.mark.parametrize(("document", "wrong"), CASES.values(), ids=CASES)
def test_what_does_not_fit_is_answered_with_what_would(document: dict[str, Any], wrong: Wrong) -> None:
    with pytest.raises(msgspec.ValidationError) as fault:
        msgspec.convert(document, _Outer)
    assert what_is_wrong(fault.value, _Outer) == wrong


def test_a_list_of_plain_values_is_only_a_list() -> None:
    with pytest.raises(msgspec.ValidationError) as fault:
        msgspec.convert({"id": "a", "inner": {"colours": "red"}}, _Outer)
    assert what_is_wrong(fault.value, _Outer).said == "must be a list, not a text"


def test_what_is_not_understood_is_passed_on() -> None:
    assert what_is_wrong(msgspec.ValidationError("Something else - at `$.id`"), _Outer) == Wrong(
        "$.id", "", "is not accepted: Something else"
    )


@pytest.mark.parametrize(
    ("document", "param", "message"),
    [
        ({"id": "a", "inner": {"row": 1}}, "inner.row", "'inner.row' is not known here; known are by_name, colours, max, rows, sizes"),
        ({"id": "a", "extra": 1}, "extra", "'extra' is not known here; known are id, inner"),
        ({}, "id", "'id' is missing"),
        ({"id": 5}, "id", "'id' must be a text, not a whole number"),
        ({"id": "a", "inner": {"rows": [{}]}}, "inner.rows[0].colour", "'inner.rows[0].colour' is missing"),
    ],
)
def test_an_administrator_is_told_the_field_and_what_fits(document: dict[str, Any], param: str, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        convert(document, _Outer)
    assert (refused.value.param, refused.value.message) == (param, message)


class _Cat(msgspec.Struct, tag_field="type", tag="cat"):
    lives: int = 9


class _Dog(msgspec.Struct, tag_field="type", tag="dog"):
    tricks: tuple[str, ...] = ()


class _House(msgspec.Struct):
    pets: tuple[_Cat | _Dog, ...]


def test_a_type_that_is_not_known_is_answered_with_those_that_are() -> None:
    with pytest.raises(RequestError) as refused:
        convert({"pets": [{"type": "cat"}, {"type": "cow"}]}, _House)
    assert refused.value.message == "'pets[1].type' must be 'cat' or 'dog', not 'cow'"
