"""The order in which guardrails run, what each is shown, and what ends it: cheap before dear, masked before seen, blocked at once."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from gateway.domain.guardrails import BOTH, Action, ContentSafety, Direction, Fail, Pii, Terms
from gateway.domain.verdicts import Finding, Passage, Reading, Role, Verdict
from gateway.errors import GuardrailUnavailable
from gateway.guardrails.chain import LARGE_CHARACTERS, Chain, Side
from gateway.guardrails.kinds import Guard
from tests.fakes.clock import FakeClock


class Word:
    """Finds a word, wherever it stands; as a detector and as a service, both of which remember what they were shown."""

    spans = True

    def __init__(self, word: str, clock: FakeClock | None = None, fails: Exception | None = None) -> None:
        self.word, self.clock, self.fails = word, clock, fails
        self.seen: list[str] = []
        self.tenants: set[str] = set()
        self.sources: list[str] = []
        self.open: asyncio.Event | None = None
        self.others: list[Word] = []

    def read(self, text: str, role: Role = Role.USER) -> Reading:
        self.seen.append(text)
        if self.clock is not None:
            self.clock.advance(0.25)
        start = text.find(self.word)
        return Reading((Finding(start, start + len(self.word), "word"),)) if start >= 0 else Reading(score=0.1)

    def open_from(self, text: str) -> int:
        raise AssertionError("only streams ask this")

    def replacement(self, finding: Finding, original: str) -> str:
        return "#" * len(original)

    async def inspect(self, passages: Sequence[Passage], sources: Sequence[Passage] = (), *, tenant: str) -> list[Reading]:
        self.tenants.add(tenant)
        self.sources += [each.text for each in sources]
        if self.open is not None:
            self.open.set()
            await asyncio.gather(*(each.open.wait() for each in self.others if each.open))
        if self.fails is not None:
            raise self.fails
        return [self.read(each.text) for each in passages]


class Run:
    """A chain and the verdicts that it gave."""

    def __init__(self, *guards: Guard, mask: Any = None) -> None:
        self.clock = FakeClock()
        self.told: list[Verdict] = []
        self.chain = Chain(guards, "contoso", self.clock, self.told.append, mask)

    async def over(self, *texts: str, **over: Any) -> tuple[Side, str | None]:
        side = Side([Passage((index,), text, over.get("role", Role.USER)) for index, text in enumerate(texts)], over.get("unread", ()))
        blocked = await self.chain.run(side)
        return side, blocked[1].guard if blocked else None

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(each.guard, each.outcome.value) for each in self.told]


def detects(name: str, word: Word, action: Action = Action.BLOCK, **over: Any) -> Guard:
    return Guard(**{"config": Terms(id=name, terms=("x",)), "directions": frozenset(BOTH), "action": action, "detector": word} | over)


def asks(name: str, word: Word, action: Action = Action.BLOCK, fail: Fail = Fail.CLOSED, **over: Any) -> Guard:
    config = ContentSafety(id=name, fail=fail, timeout_s=0.001)
    return Guard(**{"config": config, "directions": frozenset(BOTH), "action": action, "service": word} | over)


def redacts(name: str, word: Word, service: Word, fail: Fail = Fail.CLOSED) -> Guard:
    config = Pii(id=name, fail=fail)
    return Guard(config=config, directions=frozenset(BOTH), action=Action.REDACT, detector=word, service=service)


async def test_what_one_detector_redacts_the_next_one_and_every_service_sees_redacted() -> None:
    first, second, service = Word("ann"), Word("bob"), Word("evil")
    run = Run(asks("safety", service), detects("a", first, Action.REDACT), detects("b", second, Action.REDACT))
    side, blocked = await run.over("ann met bob", "nobody")
    assert (first.seen, second.seen, service.seen) == (["ann met bob", "nobody"], ["### met bob", "nobody"], ["### met ###", "nobody"])
    assert (side.texts, side.changed, blocked) == (["### met ###", "nobody"], {0}, None)
    assert [each.text for each in map(side.now, (0, 1))] == side.texts
    assert run.outcomes == [("a", "redacted"), ("b", "redacted"), ("safety", "passed")]
    assert service.tenants == {"contoso"}


async def test_the_first_detector_that_blocks_ends_it_and_nobody_else_is_asked() -> None:
    later, service = Word("ann"), Word("ann")
    run = Run(asks("safety", service), detects("a", Word("ann")), detects("b", later))
    _, blocked = await run.over("ann")
    assert (blocked, later.seen, service.seen, run.outcomes) == ("a", [], [], [("a", "blocked")])


async def test_a_report_goes_on_and_changes_nothing() -> None:
    run = Run(detects("a", Word("ann"), Action.REPORT))
    side, blocked = await run.over("ann")
    assert (side.texts, side.changed, blocked, run.outcomes) == (["ann"], set(), None, [("a", "reported")])


async def test_services_that_redact_come_before_the_others_one_after_the_other() -> None:
    names, places, safety = Word("ann"), Word("paris"), Word("evil")
    run = Run(asks("safety", safety), redacts("names", Word("-"), names), redacts("places", Word("-"), places))
    side, _ = await run.over("ann in paris")
    assert (names.seen, places.seen, safety.seen) == (["ann in paris"], ["### in paris"], ["### in #####"])
    assert side.texts == ["### in #####"]
    assert run.outcomes == [("safety", "passed"), ("names", "redacted"), ("places", "redacted")]


async def test_other_services_are_asked_at_the_same_time() -> None:
    both = [Word("-"), Word("-")]
    for each in both:
        each.open, each.others = asyncio.Event(), both
    run = Run(
        asks("a", both[0], config=ContentSafety(id="a", timeout_s=30)), asks("b", both[1], config=ContentSafety(id="b", timeout_s=30))
    )
    async with asyncio.timeout(20):
        await run.over("text")
    assert run.outcomes == [("a", "passed"), ("b", "passed")]


async def test_of_several_services_that_block_the_first_in_order_is_named_and_all_are_told() -> None:
    run = Run(asks("a", Word("-")), asks("b", Word("evil")), asks("c", Word("evil")))
    assert (await run.over("evil"))[1] == "b"
    assert run.outcomes == [("a", "passed"), ("b", "blocked"), ("c", "blocked")]


@pytest.mark.parametrize("order", [1, -1])
async def test_a_block_counts_more_than_a_service_that_could_not_run(order: int) -> None:
    guards = [asks("down", Word("-", fails=GuardrailUnavailable("down"))), asks("safety", Word("evil"))]
    run = Run(*guards[::order])
    assert (await run.over("evil"))[1] == "safety"
    assert sorted(run.outcomes) == [("down", "unavailable"), ("safety", "blocked")]


async def test_a_service_that_could_not_run_refuses_the_call_where_it_fails_closed() -> None:
    run = Run(asks("safety", Word("-", fails=GuardrailUnavailable("it is down"))), asks("other", Word("-")))
    with pytest.raises(GuardrailUnavailable, match="'safety'") as refused:
        await run.over("text")
    assert refused.value.retry_after_s == 1.0
    assert run.outcomes == [("safety", "unavailable"), ("other", "passed")]
    assert run.told[0].reason == "it is down"


async def test_of_several_that_could_not_run_the_first_that_fails_closed_is_named() -> None:
    down = GuardrailUnavailable("down")
    guards = [asks("open", Word("-", fails=down), fail=Fail.OPEN), asks("a", Word("-", fails=down)), asks("b", Word("-", fails=down))]
    with pytest.raises(GuardrailUnavailable, match="'a'"):
        await Run(*guards).over("text")


async def test_a_service_that_could_not_run_lets_the_call_pass_where_it_fails_open() -> None:
    run = Run(asks("safety", Word("-", fails=GuardrailUnavailable("it is down")), fail=Fail.OPEN))
    assert (await run.over("text"))[1] is None
    assert run.outcomes == [("safety", "unavailable")]


async def test_a_service_that_takes_too_long_could_not_run() -> None:
    slow = Word("-")
    slow.open, slow.others = asyncio.Event(), [Word("-")]
    slow.others[0].open = asyncio.Event()  # never set
    run = Run(asks("slow", slow, fail=Fail.OPEN))
    await run.over("text")
    assert (run.outcomes, run.told[0].reason) == ([("slow", "unavailable")], "timeout")


async def test_what_was_to_be_redacted_and_could_not_be_is_shown_to_nobody_else() -> None:
    safety = Word("evil")
    run = Run(asks("safety", safety), redacts("names", Word("-"), Word("-", fails=GuardrailUnavailable("down"))))
    with pytest.raises(GuardrailUnavailable, match="'names'"):
        await run.over("ann")
    assert (safety.seen, run.outcomes) == ([], [("names", "unavailable")])


async def test_where_it_fails_open_the_others_are_shown_what_the_detector_left() -> None:
    safety = Word("evil")
    run = Run(asks("safety", safety), redacts("names", Word("ann"), Word("-", fails=GuardrailUnavailable("down")), Fail.OPEN))
    side, _ = await run.over("ann met bob")
    assert (safety.seen, side.texts) == (["### met bob"], ["### met bob"])
    assert run.outcomes == [("safety", "passed"), ("names", "unavailable")]


async def test_each_direction_has_a_verdict_of_its_own_and_others_are_not_looked_at() -> None:
    word = Word("ann")
    run = Run(detects("a", word, Action.REPORT, directions=frozenset({Direction.TOOL_RESULTS, Direction.DOCUMENTS})))
    passages = [Passage((0,), "ann", Role.USER), Passage((1,), "ann", Role.TOOL), Passage((2,), "no", Role.DOCUMENT)]
    await run.chain.run(Side(passages))
    assert word.seen == ["ann", "no"]
    assert [(each.direction.value, each.outcome.value, each.scanned) for each in run.told] == [
        ("tool_results", "reported", 3),
        ("documents", "passed", 2),
    ]


async def test_a_guardrail_reads_its_own_roles_only() -> None:
    word = Word("ann")
    run = Run(detects("a", word, roles=frozenset({Role.USER})))
    await run.chain.run(Side([Passage((0,), "ann", Role.SYSTEM), Passage((1,), "hi", Role.USER)]))
    assert (word.seen, run.outcomes) == (["hi"], [("a", "passed")])


async def test_no_text_for_it_gives_no_verdict() -> None:
    run = Run(detects("a", Word("ann"), roles=frozenset({Role.USER})), detects("b", Word("ann"), directions=frozenset({Direction.OUTPUT})))
    await run.chain.run(Side([Passage((0,), "ann", Role.SYSTEM)]))
    assert run.told == []


async def test_what_cannot_be_read_makes_a_verdict_skipped_but_not_one_of_other_directions() -> None:
    run = Run(detects("a", Word("-")))
    passages = [Passage((0,), "hi", Role.USER), Passage((1,), "hi", Role.TOOL)]
    await run.chain.run(Side(passages, ["image", "file"]))
    assert [(each.direction.value, each.outcome.value, each.reason) for each in run.told] == [
        ("messages", "skipped", "unread: image file"),
        ("tool_results", "passed", ""),
    ]


async def test_an_image_alone_is_skipped_and_its_service_not_asked() -> None:
    service = Word("-")
    run = Run(asks("safety", service))
    await run.over(unread=("image",))
    assert (run.outcomes, service.tenants) == ([("safety", "skipped")], set())


async def test_what_was_found_beside_what_cannot_be_read_still_blocks() -> None:
    run = Run(detects("a", Word("ann")))
    assert (await run.over("ann", unread=("image",)))[1] == "a"
    assert run.outcomes == [("a", "blocked")]


async def test_reversible_placeholders_are_asked_for_together_and_only_on_the_way_in() -> None:
    asked: list[Any] = []

    async def mask(originals: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        asked.append(list(originals))
        return dict.fromkeys(originals, "<WORD_1>")

    pii = Guard(config=Pii(id="m"), directions=frozenset(BOTH), action=Action.REDACT, detector=Word("ann"))
    run = Run(pii, mask=mask)
    side, _ = await run.over("ann a", "b ann")
    assert (side.texts, asked) == (["<WORD_1> a", "b <WORD_1>"], [[("word", "ann"), ("word", "ann")]])
    out = Side([Passage((0,), "ann", Role.ASSISTANT)], output=True)
    await run.chain.run(out)
    assert (out.texts, len(asked)) == (["###"], 1)
    once = msgspec.structs.replace(pii, config=Pii(id="m", reversible=False))
    side, _ = await Run(once, mask=mask).over("ann")
    assert (side.texts, len(asked)) == (["###"], 1)


async def test_an_answers_sources_are_given_to_its_services() -> None:
    service = Word("-")
    await Run(asks("grounded", service)).chain.run(
        Side([Passage((0,), "answer", Role.ASSISTANT)], output=True, sources=[Passage((0,), "source", Role.TOOL)])
    )
    assert service.sources == ["source"]


async def test_time_and_size_are_added_up() -> None:
    word = Word("ann")
    run = Run(detects("a", word, Action.REPORT))
    word.clock = run.clock
    await run.over("ann", "bob!")
    assert (run.told[0].ms, run.told[0].scanned, run.told[0].count) == (500.0, 7, 1)


async def test_a_large_text_is_read_in_a_thread_all_the_same() -> None:
    side, _ = await Run(detects("a", Word("ann"), Action.REDACT)).over("x" * LARGE_CHARACTERS + "ann")
    assert side.large
    assert side.texts[0].endswith("x###")


def test_rules_are_judged_in_order_until_one_blocks_and_detectors_are_no_rules() -> None:
    asked: list[str] = []

    def read(guard: Guard) -> Reading | None:
        asked.append(guard.config.id)
        return None if guard.config.id == "none" else Reading((Finding(0, 0, "size"),) if guard.config.id != "fine" else ())

    def rule(name: str, action: Action = Action.BLOCK) -> Guard:
        return Guard(config=Terms(id=name, terms=("x",)), directions=frozenset(BOTH), action=action)

    run = Run(detects("d", Word("x")), rule("none"), rule("fine"), rule("told", Action.REPORT), rule("stop"), rule("late"))
    blocked = run.chain.judge(Direction.MESSAGES, read)
    assert blocked is not None
    assert (blocked[1].guard, asked) == ("stop", ["none", "fine", "told", "stop"])
    assert run.outcomes == [("fine", "passed"), ("told", "reported"), ("stop", "blocked")]
