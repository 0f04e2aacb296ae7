"""What was said of a text is remembered for its tenant and its question, for a while, and a failure never."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GuardrailUnavailable
from gateway.guardrails.services.asking import AT_ONCE, ask_new, in_parallel
from gateway.guardrails.services.remembered import KEPT_S, Remembered, key_of
from tests.fakes.clock import FakeClock


class Counting:
    """Judges a text by its length, and counts."""

    def __init__(self, faulty: str | None = None) -> None:
        self.faulty = faulty
        self.asked: list[str] = []
        self.open = self.most = 0

    async def __call__(self, text: str) -> int:
        self.asked.append(text)
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        if text == self.faulty:
            raise GuardrailUnavailable("no verdict")
        return len(text)


TEXTS = st.lists(st.text(max_size=3), max_size=12)


@given(TEXTS, TEXTS)
async def test_a_remembered_verdict_is_the_one_that_was_given_and_only_new_texts_are_asked_about(
    first: list[str], second: list[str]
) -> None:
    memory, ask = Remembered(FakeClock()), Counting()
    for texts in (first, second):
        assert await ask_new(memory, texts, ask, asked="length", tenant="contoso") == [len(text) for text in texts]
    assert sorted(ask.asked) == sorted({*first, *second})


@given(st.text("a1:", max_size=6), st.data())
def test_no_two_keys_of_different_tenants_questions_or_texts_are_alike(whole: str, data: st.DataObject) -> None:
    def split() -> tuple[str, str, str]:
        first, second = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
        return whole[:first], whole[first:second], whole[second:]

    one, other = split(), split()
    assert (key_of(*one) == key_of(*other)) == (one == other)


def test_where_a_tenants_name_ends_is_part_of_the_key() -> None:
    assert len({key_of(*each) for each in (("a", "b", "c"), ("ab", "", "c"), ("", "ab", "c"), ("a", "", "bc"), ("", "", "abc"))}) == 5


def test_half_a_character_has_a_key_too() -> None:
    assert key_of("contoso", "length", "\ud800") != key_of("contoso", "length", "\udfff")


@given(TEXTS.filter(bool), st.data())
async def test_a_failure_is_the_failure_of_all_and_is_never_remembered(texts: list[str], data: st.DataObject) -> None:
    memory, ask = Remembered(FakeClock()), Counting(data.draw(st.sampled_from(texts)))
    for _ in range(2):
        with pytest.raises(GuardrailUnavailable, match="no verdict"):
            await ask_new(memory, texts, ask, asked="length", tenant="contoso")
    assert ask.asked.count(ask.faulty) == 2
    assert memory.get(key_of("contoso", "length", ask.faulty)) is None


async def test_another_tenant_and_another_question_ask_for_themselves() -> None:
    memory, ask = Remembered(FakeClock()), Counting()
    for tenant, asked in (("contoso", "length"), ("fabrikam", "length"), ("contoso", "width")):
        await ask_new(memory, ["text"], ask, asked=asked, tenant=tenant)
    assert ask.asked == ["text"] * 3


async def test_a_verdict_is_asked_for_again_after_a_while_however_often_it_was_used() -> None:
    clock = FakeClock()
    memory, ask = Remembered(clock), Counting()
    for wait_s in (0, KEPT_S / 2, KEPT_S / 2 - 1, 1):
        clock.advance(wait_s)
        await ask_new(memory, ["text"], ask, asked="length", tenant="contoso")
    assert len(ask.asked) == 2


def test_the_least_recently_used_go_first() -> None:
    memory = Remembered(FakeClock(), entries=2)
    memory.put(b"a", 1)
    memory.put(b"b", 2)
    assert memory.get(b"a") == 1
    memory.put(b"c", 3)
    assert [memory.get(key) for key in (b"a", b"b", b"c")] == [1, None, 3]


async def test_only_so_many_are_asked_at_once() -> None:
    ask = Counting()
    texts = [str(number) for number in range(50)]
    await ask_new(Remembered(FakeClock()), texts, ask, asked="", tenant="")
    assert ask.most == AT_ONCE


async def test_nothing_to_ask_is_nothing_answered() -> None:
    assert await in_parallel([]) == []


@pytest.mark.parametrize("count", [1, 5])
async def test_what_is_under_way_is_broken_off_with_the_first_failure_and_with_its_caller(count: int) -> None:
    broken: list[int] = []

    async def hang(number: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            broken.append(number)
            raise

    async def fail() -> None:
        raise GuardrailUnavailable("no verdict")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await in_parallel([lambda number=number: hang(number) for number in range(count)])
    assert sorted(broken) == list(range(count))
    with pytest.raises(GuardrailUnavailable, match="no verdict"):
        await in_parallel([*(lambda number=number: hang(number) for number in range(count)), fail])
    assert sorted(broken) == sorted(2 * list(range(count)))
