"""A text's language is told where it can be, and nothing is said where it cannot."""

import pytest

from gateway.guardrails.rules.languages import LANGUAGES, LanguagesDetector, likely
from tests.unit.guardrails.sentences import SENTENCES


def first(text: str) -> str:
    found = likely(text)
    return found[0][0] if found else ""


@pytest.mark.parametrize("language", sorted(SENTENCES))
def test_one_sentence_is_enough_to_tell_its_language(language: str) -> None:
    assert first(SENTENCES[language]) == language
    assert first(SENTENCES[language].upper()) == language


def test_half_a_sentence_is_seldom_mistaken() -> None:
    halves = {language: likely(text[: len(text) // 2]) for language, text in SENTENCES.items()}
    wrong = [language for language, found in halves.items() if found and language not in dict(found)]
    told = [language for language, found in halves.items() if language in dict(found)]
    assert (len(wrong) <= 1, len(told) >= 0.85 * len(halves)) == (True, True), (wrong, len(told))


UNCLEAR = {
    "nothing": "",
    "short": "Danke und Grüße",
    "names": "Kubernetes, Docker, Terraform, Redis, PostgreSQL, Grafana",
    "numbers": "12,000 34,000 56,000 78,000 1,2,3,4,5",
    "an address": "John Smith, 12 Main Street, Springfield, IL 62704, USA",
    "filler": "lorem ipsum dolor sit amet consectetur adipiscing elit",
    "code": "for (let i = 0; i < x.length; i++) { if (x[i] is not y) { return this.and(x[i]); } }",
    "a code block": "```\nif this is not the one that we have then it will be as they were\n```",
    "links": "https://example.com/this/is/not/the/way/that/we/have/been/and/will/be",
}


@pytest.mark.parametrize("text", UNCLEAR.values(), ids=UNCLEAR)
def test_of_what_is_too_short_or_unclear_nothing_is_said(text: str) -> None:
    assert likely(text) == ()
    assert LanguagesDetector(("fi",), ()).read(text).findings == ()


@pytest.mark.parametrize(
    "text",
    [
        "Please reset my password today",
        "Hello my friend, come along again",
        "Remind me at noon, no later please",
        "My hand is warm and my pen is red",
        "Type the word, then a word, then words",
        "Suggest me an idea that costs a little",
    ],
)
def test_short_english_is_no_other_language_for_the_words_that_they_share(text: str) -> None:
    assert not LanguagesDetector(("en",), ()).read(text).findings


def test_only_what_is_allowed_passes_and_deny_wins() -> None:
    german, english = SENTENCES["de"], SENTENCES["en"]
    (finding,) = LanguagesDetector(("en", "fr"), ()).read(german).findings
    assert (finding.start, finding.end, finding.category) == (0, len(german), "language.de")
    assert 0 < finding.score <= 1
    assert LanguagesDetector(("en", "fr"), ()).read(english).findings == ()
    assert LanguagesDetector((), ("de",)).read(german).findings != ()
    assert LanguagesDetector((), ("de",)).read(english).findings == ()
    assert LanguagesDetector(("de",), ("de",)).read(german).findings != ()


def test_languages_that_are_alike_are_refused_only_together() -> None:
    text = "Jeg kan ikke finde ud af det, og han var her ikke, da jeg skulle have det med"
    assert {language for language, _ in likely(text)} == {"da", "no"}
    assert LanguagesDetector(("da",), ()).read(text).findings == ()
    assert LanguagesDetector(("en",), ()).read(text).findings != ()


def test_each_script_with_a_large_share_is_judged() -> None:
    mixed = f"{SENTENCES['en']} {SENTENCES['ru']}"
    assert {language for language, _ in likely(mixed)} == {"en", "ru"}
    assert LanguagesDetector(("en",), ()).read(mixed).findings[0].category == "language.ru"
    assert LanguagesDetector(("en",), ()).read(f"{SENTENCES['en'] * 3} Привет, мой дорогой друг из города").findings == ()


def test_japanese_is_not_chinese_for_its_chinese_letters() -> None:
    assert first("東京都庁舎展望室入場無料案内所にて予約受付中です") == "ja"
    assert first("我们在东京的の店里买了很多东西然后回到了饭店休息") == "zh"


def test_enough_languages_are_known() -> None:
    assert len(LANGUAGES) >= 30
    assert set(SENTENCES) <= LANGUAGES
    with pytest.raises(ValueError, match="'xx' cannot be told from others"):
        LanguagesDetector(("en", "xx"), ())
