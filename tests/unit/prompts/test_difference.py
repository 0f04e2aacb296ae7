"""What is different between two versions, for programs and for people."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.prompts import PromptMessage, PromptText, PromptVersion
from gateway.prompts import difference as difference_module
from gateway.prompts.difference import difference
from gateway.prompts.rows import numbered
from tests.fakes.clock import FakeClock
from tests.unit.prompts.written import text


def version(said: PromptText, number: int = 1, **about: Any) -> PromptVersion:
    return numbered(said, "contoso", "support", number, "key", FakeClock().utc(), **about)


def changes(before: PromptText, after: PromptText, **about: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = difference(version(before), version(after, 2, **about))["changes"]
    return found


def test_each_member_that_changed_is_named_with_both_values() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    before = text("One", parameters={"temperature": 0.5, "stop": ["a"]}, input_schema=schema)
    after = text(
        "Two",
        model="mini",
        parameters={"temperature": 1, "stop": ["a", "b"], "top_p": 1},
        input_schema={"type": "object", "properties": {"a": {"type": "integer"}}},
    )
    assert changes(before, after, description="new") == [
        {"field": "model", "before": "gpt-4o", "after": "mini"},
        {"field": "messages[0].content", "before": "One", "after": "Two"},
        {"field": "parameters.temperature", "before": 0.5, "after": 1},
        {"field": "parameters.stop[1]", "after": "b"},
        {"field": "parameters.top_p", "after": 1},
        {"field": "input_schema.properties.a.type", "before": "string", "after": "integer"},
        {"field": "description", "after": "new"},
    ]


def test_messages_are_compared_by_their_places() -> None:
    first, second = (PromptMessage(role="user", content=each) for each in ("a", "b"))
    before, after = text(messages=(first, second)), text(messages=(first,))
    assert changes(before, after) == [{"field": "messages[1]", "before": {"role": "user", "content": "b"}}]
    assert changes(after, before) == [{"field": "messages[1]", "after": {"role": "user", "content": "b"}}]


def test_true_is_not_one_and_null_is_not_nothing() -> None:
    assert changes(text(parameters={"a": True}), text(parameters={"a": 1})) == [{"field": "parameters.a", "before": True, "after": 1}]
    assert changes(text(parameters={"a": None}), text(parameters={"b": 0})) == [
        {"field": "parameters.a", "before": None},
        {"field": "parameters.b", "after": 0},
    ]


def test_people_get_the_lines_that_changed() -> None:
    found = difference(version(text("You answer.\nBe kind.\nBe short.")), version(text("You answer.\nBe rude.\nBe short."), 2))
    assert found["text"].splitlines() == [
        "--- support version 1",
        "+++ support version 2",
        "@@ -1,5 +1,5 @@",
        " model: gpt-4o",
        " messages[0] system:",
        "   You answer.",
        "-  Be kind.",
        "+  Be rude.",
        "   Be short.",
    ]


def test_parts_conditions_and_the_conversations_place_are_lines_too() -> None:
    parts = ({"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "https://a/b.png"}})
    messages = (
        PromptMessage(role="user", content=parts, when={"role": "admin"}),
        PromptMessage(placeholder="conversation"),
    )
    lines = difference(version(text()), version(text(messages=messages), 2, description="a\nb"))["text"].splitlines()
    for expected in (
        '+messages[0] user when {"role":"admin"}:',
        "+  See",
        '+  {"type":"image_url","image_url":{"url":"https://a/b.png"}}',
        "+messages[1]: the conversation",
        "+description:",
        "+  b",
    ):
        assert expected in lines


def test_too_many_lines_are_compared_for_programs_only(monkeypatch: Any) -> None:
    monkeypatch.setattr(difference_module, "MAX_LINES", 10)
    found = difference(version(text("x\n" * 9)), version(text("y\n" * 9), 2))
    assert (found["text"], found["same"], len(found["changes"])) == (None, False, 1)


def test_a_note_an_author_and_a_date_are_no_difference() -> None:
    found = difference(version(text(), note="one"), version(text(), 2, note="two"))
    assert (found["same"], found["changes"], found["text"]) == (True, [], "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3),
    max_leaves=8,
)
PARAMETERS = st.dictionaries(st.text("abc", min_size=1, max_size=2), JSON, max_size=3)


@given(PARAMETERS, PARAMETERS)
def test_there_is_a_change_exactly_where_something_differs(before: dict[str, Any], after: dict[str, Any]) -> None:
    one, other = version(text(parameters=before)), version(text(parameters=after), 2)
    assert difference(one, other)["same"] == (repr(_sorted(before)) == repr(_sorted(after)))
    turned = [
        {"before": "after", "after": "before"}.get(name, name)
        for each in changes(text(parameters=after), text(parameters=before))
        for name in each
    ]
    straight = [name for each in changes(text(parameters=before), text(parameters=after)) for name in each]
    assert sorted(turned) == sorted(straight)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value
