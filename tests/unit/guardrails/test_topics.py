"""A topic is found where enough of its words stand."""

import re

import pytest

from gateway.guardrails.rules.topics import TopicsDetector

TOPICS = {"investing": ("stock", "share price", "dividend"), "medicine": ("dose", "diagnosis", "stock")}


@pytest.mark.parametrize(
    ("text", "at_least", "expected"),
    [
        ("Which STOCK has the best dividend?", 2, ["investing"]),
        ("stock stock stock stock", 2, []),
        ("stock", 1, ["investing", "medicine"]),
        ("the share\n price of a dose, in stock", 2, ["investing", "medicine"]),
        ("stocks and dividends", 1, []),
        ("", 1, []),
    ],
)
def test_different_words_of_a_topic_make_a_finding_of_the_whole(text: str, at_least: int, expected: list[str]) -> None:
    findings = TopicsDetector(TOPICS, at_least).read(text).findings
    assert [each.category for each in findings] == expected
    assert all((each.start, each.end) == (0, len(text)) for each in findings)


def test_a_finding_says_how_many_words_it_saw_and_not_which() -> None:
    (finding,) = TopicsDetector(TOPICS, 3).read("stock, dividend, share price").findings
    assert finding.reason == "3 different words of the topic"


def test_a_topic_without_words_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match=re.escape("empty: must have 1 to 10000 terms, not 0")):
        TopicsDetector({"empty": ()}, 1)
