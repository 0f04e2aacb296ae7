"""Names and addresses come back with their exact places, whatever the length of the text; an answer in doubt is no answer."""

import asyncio
import itertools
import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.call import UpstreamRequest
from gateway.domain.deployment import Protocol
from gateway.domain.verdicts import Finding, Passage, Reading, Role
from gateway.errors import GuardrailUnavailable, UpstreamThrottled, UpstreamTimeout
from gateway.guardrails.services.language_pii import CATEGORIES, LIMIT, MOST_DOCUMENTS, LanguagePii, joined
from gateway.guardrails.services.remembered import Remembered
from tests.builders import make_backend
from tests.fakes.clock import FakeClock
from tests.fakes.upstream import FOREVER, FakeUpstream, Reply

NAME = re.compile(r"Anna Müller|Bahnhofstrasse 7")


class Language:
    """Answers as the service does."""

    def __init__(self, score: float = 0.9) -> None:
        self.upstream = FakeUpstream(FakeClock())
        self.upstream.does = self.answer
        self.score = score
        self.documents: list[str] = []

    def answer(self, request: UpstreamRequest) -> Reply:
        body = json.loads(request.body)
        documents = body["analysisInput"]["documents"]
        assert len(documents) <= MOST_DOCUMENTS
        assert all(0 < len(each["text"]) <= LIMIT and each["text"].strip() for each in documents)
        self.documents += [each["text"] for each in documents]
        return said([{"id": each["id"], "entities": self.entities(each["text"])} for each in reversed(documents)])

    def entities(self, text: str) -> list[dict[str, Any]]:
        return [
            entity(match.start(), match.end(), "Person" if match[0][0] == "A" else "Address", self.score) for match in NAME.finditer(text)
        ]


def entity(start: int, end: int, category: str = "Person", score: float = 0.9) -> dict[str, Any]:
    return {"text": "…", "category": category, "offset": start, "length": end - start, "confidenceScore": score}


def said(documents: list[dict[str, Any]], **over: Any) -> Reply:
    return Reply(steps=[json.dumps({"results": {"documents": documents, "errors": [], **over}}).encode()])


def service(upstream: FakeUpstream, memory: Remembered | None = None, at_least: float = 0.8, entities: Sequence[str] = ()) -> LanguagePii:
    backend = make_backend(id="language", protocol=Protocol.AZURE_AI, endpoint="https://contoso.cognitiveservices.azure.com")
    return LanguagePii(backend, upstream, at_least, memory or Remembered(FakeClock()), entities)


async def inspect(upstream: FakeUpstream, *texts: str, tenant: str = "contoso", **over: Any) -> list[Reading]:
    return await service(upstream, **over).inspect([Passage((), text, Role.USER) for text in texts], tenant=tenant)


def places(reading: Reading, text: str) -> list[tuple[str, str]]:
    return [(each.category, text[each.start : each.end]) for each in reading.findings]


async def test_names_and_addresses_are_found_where_they_stand() -> None:
    text = "😀 Anna Müller lives at Bahnhofstrasse 7."
    (reading,) = await inspect(Language().upstream, text)
    assert places(reading, text) == [("person", "Anna Müller"), ("address", "Bahnhofstrasse 7")]
    assert {each.score for each in reading.findings} == {0.9}


async def test_it_is_asked_as_the_service_wants_it() -> None:
    language = Language()
    await inspect(language.upstream, "text")
    (request,) = language.upstream.requests
    assert (request.method, request.url) == (
        "POST",
        "https://contoso.cognitiveservices.azure.com/language/:analyze-text?api-version=2023-04-01",
    )
    assert json.loads(request.body) == {
        "kind": "PiiEntityRecognition",
        "parameters": {"piiCategories": list(CATEGORIES), "stringIndexType": "UnicodeCodePoint", "loggingOptOut": True},
        "analysisInput": {"documents": [{"id": "0", "text": "text"}]},
    }


@pytest.mark.parametrize(("score", "count"), [(0.8, 1), (0.79, 0)])
async def test_what_the_service_is_not_sure_of_does_not_count(score: float, count: int) -> None:
    (reading,) = await inspect(Language(score).upstream, "Anna Müller")
    assert len(reading.findings) == count


async def test_a_remembered_answer_holds_for_another_confidence() -> None:
    language, memory = Language(0.5), Remembered(FakeClock())
    counts = [len((await inspect(language.upstream, "Anna Müller", memory=memory, at_least=least))[0].findings) for least in (0.8, 0.4)]
    assert (counts, len(language.upstream.requests)) == ([0, 1], 1)


@pytest.mark.parametrize(
    ("entities", "expected", "asked"),
    [((), ["person", "address"], 1), (("pers*", "email"), ["person"], 1), (("email",), [], 0)],
)
async def test_only_what_the_guardrail_looks_for_counts(entities: tuple[str, ...], expected: list[str], asked: int) -> None:
    language = Language()
    (reading,) = await inspect(language.upstream, "Anna Müller, Bahnhofstrasse 7", entities=entities)
    assert ([each.category for each in reading.findings], len(language.documents)) == (expected, asked)


FILLER = st.tuples(st.sampled_from(["word ", "x", "日本", "😀 "]), st.integers(0, 4000)).map(lambda each: each[0] * each[1])


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.tuples(FILLER, st.sampled_from(["Anna Müller", "Bahnhofstrasse 7", ""])), max_size=3), FILLER), max_size=4
    )
)
async def test_every_name_is_found_once_in_texts_of_any_length(made: list[Any]) -> None:
    texts = ["".join(filler + name for filler, name in parts) + last for parts, last in made]
    readings = await inspect(Language().upstream, *texts)
    for text, reading in zip(texts, readings, strict=True):
        assert [(each.start, each.end) for each in reading.findings] == [match.span() for match in NAME.finditer(text)]


async def test_texts_are_sent_five_at_a_time_and_each_only_once() -> None:
    language, memory = Language(), Remembered(FakeClock())
    texts = [f"text {number}" for number in range(11)]
    for _ in range(2):
        await inspect(language.upstream, *texts, "", " ", texts[0], memory=memory)
    assert language.documents == texts
    assert len(language.upstream.requests) == 3
    await inspect(language.upstream, texts[0], memory=memory, tenant="fabrikam")
    assert len(language.upstream.requests) == 4


FINE = {"id": "0", "entities": []}


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(status=429, headers={"retry-after": "1"}), "answered 429"),
        (Reply(status=500), "answered 500"),
        (Reply(status=302, headers={"location": "https://elsewhere.example"}), "answered 302"),
        (Reply(steps=[b"{"]), "cannot be read"),
        (Reply(steps=[b"\xff"]), "cannot be read"),
        (Reply(steps=[b'{"kind": "x"}']), "cannot be read"),
        (Reply(fault=UpstreamTimeout("too late at https://contoso.example")), "did not answer"),
        (Reply(fault=UpstreamThrottled("no", retry_after_s=7.0)), "did not answer"),
        (Reply(steps=[UpstreamTimeout("too late")]), "did not answer"),
        (said([]), "for every text"),
        (said([FINE, FINE]), "for every text"),
        (said([{"id": "1", "entities": []}]), "for every text"),
        (said([FINE], errors=[{"id": "1", "error": {}}]), "could not read"),
        (said([{"id": "0", "entities": [entity(0, 5)]}]), "outside"),
        (said([{"id": "0", "entities": [entity(-1, 2)]}]), "outside"),
        (said([{"id": "0", "entities": [entity(2, 2)]}]), "outside"),
    ],
    ids=str,
)
async def test_an_answer_in_doubt_is_no_answer_and_is_not_remembered(reply: Reply, why: str) -> None:
    upstream, memory = FakeUpstream(FakeClock()), Remembered(FakeClock())
    upstream.will(reply, said([FINE]))
    with pytest.raises(GuardrailUnavailable, match=why) as raised:
        await inspect(upstream, "four", memory=memory)
    assert "contoso" not in raised.value.message
    assert await inspect(upstream, "four", memory=memory) == [Reading()]
    assert all(each.closed for each in upstream.responses)


async def test_the_wait_that_the_network_names_is_passed_on() -> None:
    upstream = FakeUpstream(FakeClock())
    upstream.will(Reply(fault=UpstreamThrottled("no", retry_after_s=7.0)))
    with pytest.raises(GuardrailUnavailable) as raised:
        await inspect(upstream, "text")
    assert raised.value.retry_after_s == 7.0


async def test_categories_that_nobody_asked_for_are_left_out() -> None:
    upstream = FakeUpstream(FakeClock())
    upstream.will(said([{"id": "0", "entities": [entity(0, 4, "DateTime")]}]))
    assert await inspect(upstream, "four") == [Reading()]


async def test_half_a_character_cannot_be_sent_and_says_so() -> None:
    with pytest.raises(GuardrailUnavailable, match="half a character"):
        await inspect(Language().upstream, "\ud800")


async def test_a_call_that_ends_takes_its_question_with_it() -> None:
    upstream = FakeUpstream(FakeClock())
    upstream.will(Reply(wait_s=FOREVER))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await inspect(upstream, "text")
    assert upstream.cancelled == 1


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=8))
def test_findings_that_overlap_become_one_and_cover_the_same_characters(spans: list[tuple[int, int]]) -> None:
    made = joined([Finding(start, start + length, "person") for start, length in spans])
    assert all(earlier.end <= later.start for earlier, later in itertools.pairwise(made))
    covered = {place for each in made for place in range(each.start, each.end)}
    assert covered == {place for start, length in spans for place in range(start, start + length)}


def test_of_findings_that_overlap_the_longest_gives_the_name() -> None:
    made = joined([Finding(0, 4, "person", 0.9), Finding(2, 12, "address", 0.8)])
    assert made == (Finding(0, 12, "address", 0.9),)
