from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.labels import MAX_TAGS, UNLABELLED, Labels, read_labels
from gateway.errors import RequestError


def tags(text: str) -> Mapping[str, str]:
    return read_labels({"x-gateway-tags": text}).tags


def test_who_says_nothing_shares_one_value() -> None:
    assert read_labels({"authorization": "Bearer x"}) is UNLABELLED
    assert Labels(user="", session="", tags={}, priority="normal") == UNLABELLED


def test_all_labels_are_read() -> None:
    headers = {"x-gateway-user": " anna ", "x-gateway-session": "s 1", "x-gateway-tags": "team=a", "x-gateway-priority": "low"}
    assert read_labels(headers) == Labels("anna", "s 1", {"team": "a"}, "low")


def test_the_user_whom_a_token_proves_wins_over_the_one_that_is_said() -> None:
    assert read_labels({"x-gateway-user": "anna", "x-gateway-session": "s"}, "proved") == Labels("proved", "s")
    assert read_labels({}, "proved") == Labels("proved")


TAGS = [
    ("", {}),
    ("a=1", {"a": "1"}),
    ("a=1,b=2", {"a": "1", "b": "2"}),
    (" a = 1 , b=2 ,", {"a": "1", "b": "2"}),
    ("a=", {"a": ""}),
    ("a=b=c", {"a": "b=c"}),
    ("a=%2C", {"a": "%2C"}),
    ("a=two words", {"a": "two words"}),
]


@pytest.mark.parametrize(("text", "expected"), TAGS)
def test_tags_are_pairs_as_they_were_sent(text: str, expected: dict[str, str]) -> None:
    assert tags(text) == expected


BAD_TAGS = ["a", "=1", "a=1,b", "a=1,a=2", "a=\x00", "\x7f=1", "n" * 65 + "=1", "a=" + "v" * 257, ",".join(f"t{n}=1" for n in range(33))]


@pytest.mark.parametrize("text", BAD_TAGS, ids=range(len(BAD_TAGS)))
def test_what_are_no_tags_is_refused_and_names_the_header(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        tags(text)
    assert (caught.value.param, caught.value.status) == ("x-gateway-tags", 400)
    assert "x-gateway-tags" in caught.value.message
    assert len(caught.value.message) < 200


def test_as_many_tags_as_allowed_are_taken() -> None:
    assert len(tags(",".join(f"t{number}=1" for number in range(MAX_TAGS)))) == MAX_TAGS


@pytest.mark.parametrize(("text", "priority"), [("high", "high"), (" LOW ", "low"), ("Normal", "normal")])
def test_a_priority_is_one_of_three(text: str, priority: str) -> None:
    assert read_labels({"x-gateway-priority": text}).priority == priority


@pytest.mark.parametrize("text", ["", "urgent", "0", "high,low"])
def test_another_priority_is_refused_and_names_the_header(text: str) -> None:
    with pytest.raises(RequestError, match="x-gateway-priority must be high, normal or low") as caught:
        read_labels({"x-gateway-priority": text})
    assert caught.value.param == "x-gateway-priority"


def test_a_long_name_is_cut_as_in_the_record() -> None:
    assert read_labels({"x-gateway-user": "u" * 300}).user == "u" * 256


names = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=",="), min_size=1, max_size=20)


@given(st.dictionaries(names, st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=","), max_size=20), max_size=8))
def test_what_is_joined_is_read_back(pairs: dict[str, str]) -> None:
    assert tags(", ".join(f"{name}={value}" for name, value in pairs.items())) == pairs
