"""Rules as golden tables: a table of rules, a call's facts, and the rule that must be taken."""

import datetime
from typing import Any

import pytest

from gateway.domain.policy import Rule, Schedule, When
from gateway.routing.rules import MAX_TEXT_CHARACTERS, Facts, in_schedule, match

NOON = datetime.datetime(2026, 11, 23, 12, 0, tzinfo=datetime.UTC)  # a Monday


def make_facts(**over: Any) -> Facts:
    fields: dict[str, Any] = {
        "tenant": "contoso", "product": "starter", "subscription": "sub_1", "key_id": "k1", "model": "gpt-4o", "operation": "chat",
        "utc": NOON,
    }  # fmt: skip
    return Facts(**fields | over)


def one(**when: Any) -> tuple[Rule, ...]:
    return (Rule("it", When(**when), model="m"),)


def taken(rules: tuple[Rule, ...], facts: Facts) -> str:
    found = match(rules, facts)
    return found.id if found is not None else ""


# (what a rule asks, what fits, what does not)
CONDITIONS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"tenant": ("contoso",)}, {}, {"tenant": "fabrikam"}),
    ({"tenant": ("con*",)}, {"tenant": "contoso-eu"}, {"tenant": "Contoso"}),
    ({"tenant": ("a", "contoso")}, {}, {"tenant": "b"}),
    ({"product": ("start?r",)}, {}, {"product": "startup"}),
    ({"subscription": ("sub_1",)}, {}, {"subscription": "sub_12"}),
    ({"key": ("k1",)}, {}, {"key_id": "k2"}),
    ({"user": ("anna",)}, {"user": "anna"}, {}),
    ({"user": ("a*",)}, {"user": "anyone"}, {"user": "berta"}),
    ({"model": ("gpt-4*",)}, {}, {"model": "llama"}),
    ({"operation": ("images.*", "embeddings")}, {"operation": "images.generations"}, {}),
    ({"tags": {"team": "web-*"}}, {"tags": {"team": "web-1", "x": "y"}}, {"tags": {"team": "data"}}),
    ({"tags": {"team": "*"}}, {"tags": {"team": ""}}, {"tags": {"other": "web"}}),
    ({"tags": {"a": "1", "b": "2"}}, {"tags": {"a": "1", "b": "2"}}, {"tags": {"a": "1"}}),
    ({"task": ("sentiment",)}, {"tags": {"task": "sentiment"}}, {"tags": {"task": "code"}}),
    ({"classification": ("conf*",)}, {"tags": {"classification": "confidential"}}, {}),
    ({"classification": ("conf*",)}, {"labels_found": frozenset({"confidential", "x"})}, {"labels_found": frozenset({"public"})}),
    ({"classification": ("conf*",)}, {"tags": {"classification": "public"}, "labels_found": frozenset({"confidential"})}, {}),
    ({"priority": ("low",)}, {"priority": "low"}, {}),
    ({"capability": ("vision", "audio")}, {"needs": frozenset({"audio", "tools"})}, {"needs": frozenset({"tools"})}),
    ({"text": r"(?i)\bdef \w+"}, {"text": lambda: "please fix DEF main"}, {"text": lambda: "undefined"}),
    ({"tokens_over": 100}, {"tokens": lambda: 101}, {"tokens": lambda: 100}),
    ({"tokens_under": 100}, {"tokens": lambda: 99}, {"tokens": lambda: 100}),
    ({"tenant": ("contoso",), "model": ("gpt*",), "tokens_over": 1}, {"tokens": lambda: 2}, {"tokens": lambda: 2, "model": "x"}),
]


@pytest.mark.parametrize(("when", "fits", "fits_not"), CONDITIONS)
def test_a_rule_fits_if_all_that_it_asks_holds(when: dict[str, Any], fits: dict[str, Any], fits_not: dict[str, Any]) -> None:
    assert taken(one(**when), make_facts(**fits)) == "it"
    assert taken(one(**when), make_facts(**fits_not)) == ""


def test_a_rule_that_asks_nothing_fits_every_call() -> None:
    assert taken(one(), make_facts()) == "it"


def test_without_rules_nothing_is_asked() -> None:
    def never() -> Any:
        raise AssertionError

    assert match((), make_facts(text=never, tokens=never)) is None


# G1, G2, G8, G9: one table, as an operator would write it.
TABLE = (
    Rule("private", When(classification=("confidential", "secret")), model="private-llama", confine=True),
    Rule("sentiment", When(task=("sentiment",)), model="text-analytics"),
    Rule("code", When(text=r"```|\bdef \w+\("), model="gpt-4"),
    Rule("long", When(tokens_over=100_000), model="gpt-4-long"),
    Rule("seeing", When(capability=("vision",)), model="gpt-4o"),
    Rule("vip", When(tenant=("contoso",), key=("vip-*",)), strategy="least-latency"),
    Rule("rest", When(model=("auto",)), model="gpt-4o-mini"),
)
GOLDEN: list[tuple[str, dict[str, Any]]] = [
    ("private", {"tags": {"classification": "confidential", "task": "sentiment"}}),
    ("private", {"tags": {"classification": "secret"}, "tokens": lambda: 10**6}),
    ("private", {"tags": {"classification": "public", "task": "sentiment"}, "labels_found": frozenset({"secret"})}),
    ("sentiment", {"tags": {"task": "sentiment"}, "text": lambda: "def main():"}),
    ("code", {"text": lambda: "def main():"}),
    ("code", {"text": lambda: "```", "tokens": lambda: 10**6}),
    ("long", {"tokens": lambda: 100_001, "needs": frozenset({"vision"})}),
    ("seeing", {"needs": frozenset({"vision"}), "key_id": "vip-1"}),
    ("vip", {"key_id": "vip-1", "model": "auto"}),
    ("rest", {"model": "auto", "tokens": lambda: 100_000}),
    ("rest", {"model": "auto", "tags": {"classification": "public"}}),
    ("", {}),
]


@pytest.mark.parametrize(("expected", "over"), GOLDEN)
def test_the_first_rule_that_fits_is_taken(expected: str, over: dict[str, Any]) -> None:
    assert taken(TABLE, make_facts(**over)) == expected


def test_prompts_are_looked_at_once_and_only_where_all_else_fits() -> None:
    looks: list[str] = []

    def text() -> str:
        looks.append("text")
        return "hello"

    def tokens() -> int:
        looks.append("tokens")
        return 5

    facts = make_facts(text=text, tokens=tokens)
    assert taken((Rule("a", When(tenant=("other",), text="x", tokens_over=1)),), facts) == ""
    assert looks == []
    whens = When(text="x"), When(text="y", tokens_over=1), When(tokens_over=9), When(tokens_over=4)
    rules = tuple(Rule(name, when) for name, when in zip("abcd", whens, strict=True))
    assert taken(rules, facts) == "d"
    assert looks == ["text", "tokens"]


def test_of_a_long_text_only_the_beginning_is_searched() -> None:
    text = "a" * MAX_TEXT_CHARACTERS + "secret"
    assert taken(one(text="secret"), make_facts(text=lambda: text)) == ""
    assert taken(one(text="secret"), make_facts(text=lambda: text[1:])) == ""
    assert taken(one(text="secret"), make_facts(text=lambda: text[6:])) == "it"


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


def schedule(days: str, start: str = "00:00", below: str = "00:00", timezone: str = "UTC") -> Schedule:
    numbers = frozenset(["mon", "tue", "wed", "thu", "fri", "sat", "sun"].index(day) for day in days.split())
    return Schedule(numbers, datetime.time.fromisoformat(start), datetime.time.fromisoformat(below), timezone)


OFFICE = schedule("mon tue wed thu fri", "08:00", "18:00", "Europe/Berlin")
NIGHT = schedule("fri", "22:00", "06:00", "Europe/Berlin")
SUNDAY = schedule("sun")
# 2026-11-23 is a Monday. Berlin is UTC+1 in winter; clocks went forward on 2026-03-29 at 01:00 UTC, back on 2026-10-25.
MOMENTS: list[tuple[Schedule, str, bool]] = [
    (OFFICE, "2026-11-23T06:59:59", False),
    (OFFICE, "2026-11-23T07:00:00", True),
    (OFFICE, "2026-11-23T16:59:59", True),
    (OFFICE, "2026-11-23T17:00:00", False),
    (OFFICE, "2026-07-06T06:00:00", True),  # summer time: eight o'clock in Berlin
    (OFFICE, "2026-07-06T16:00:00", False),
    (OFFICE, "2026-11-22T10:00:00", False),  # a Sunday
    (OFFICE, "2026-03-27T07:00:00", True),  # the Friday before clocks go forward
    (OFFICE, "2026-03-30T06:00:00", True),  # the Monday after
    (OFFICE, "2026-03-30T05:59:59", False),
    (NIGHT, "2026-11-27T20:59:00", False),
    (NIGHT, "2026-11-27T21:00:00", True),  # Friday, 22:00 in Berlin
    (NIGHT, "2026-11-27T23:30:00", True),  # Saturday, 00:30: still Friday's night
    (NIGHT, "2026-11-28T04:59:00", True),
    (NIGHT, "2026-11-28T05:00:00", False),
    (NIGHT, "2026-11-28T21:30:00", False),  # Saturday's night is another
    (NIGHT, "2026-11-27T03:00:00", False),  # Thursday's too
    (SUNDAY, "2026-11-22T00:00:00", True),
    (SUNDAY, "2026-11-22T23:59:59", True),
    (SUNDAY, "2026-11-23T00:00:00", False),
    (schedule("sun", "23:00", "01:00"), "2026-11-23T00:30:00", True),  # from Sunday into Monday
    (schedule("mon", "23:00", "01:00"), "2026-11-23T00:30:00", False),
    (schedule("mon", timezone="Pacific/Auckland"), "2026-11-22T12:00:00", True),  # Monday has begun there
    (schedule("mon", timezone="America/Los_Angeles"), "2026-11-23T07:59:00", False),  # and not here
    (schedule("sun", "02:00", "03:00", "Europe/Berlin"), "2026-10-25T00:30:00", True),  # the hour that is there twice
    (schedule("sun", "02:00", "03:00", "Europe/Berlin"), "2026-10-25T01:30:00", True),
    (schedule("sun", "02:00", "03:00", "Europe/Berlin"), "2026-03-29T01:00:00", False),  # the hour that is not there
]


@pytest.mark.parametrize(("when", "moment", "expected"), MOMENTS)
def test_a_schedule_is_read_on_the_clocks_of_its_zone(when: Schedule, moment: str, expected: bool) -> None:
    assert in_schedule(when, at(moment)) is expected


def test_the_small_model_answers_off_peak_and_the_powerful_one_what_is_critical_at_peak() -> None:
    rules = (
        Rule("peak", When(schedule=OFFICE, priority=("high",)), model="large"),
        Rule("else", When(), model="small"),
    )
    assert taken(rules, make_facts(utc=at("2026-11-23T10:00"), priority="high")) == "peak"
    assert taken(rules, make_facts(utc=at("2026-11-23T10:00"))) == "else"
    assert taken(rules, make_facts(utc=at("2026-11-23T20:00"), priority="high")) == "else"
