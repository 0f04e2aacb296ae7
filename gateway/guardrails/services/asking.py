"""Asks a service about many texts: only about those that nobody knows of yet, each once, several at a time.

A failure of one is a failure of all: whoever waits gets the first, and what is still under way is broken off. What was
answered by then is remembered, so that the next try has less to ask.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence

from gateway.guardrails.services.remembered import Remembered, key_of

AT_ONCE = 8


async def in_parallel[T](asks: Sequence[Callable[[], Awaitable[T]]], at_once: int = AT_ONCE) -> list[T]:
    """Ask all, at most `at_once` at a time, and return the answers in their order; raises the first failure as it is."""
    if len(asks) == 1:
        return [await asks[0]()]
    answers: dict[int, T] = {}
    waiting = iter(enumerate(asks))

    async def work() -> None:
        for index, ask in waiting:
            answers[index] = await ask()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_once, len(asks))):
                group.create_task(work())
    except BaseExceptionGroup as failures:
        failure = failures.exceptions[0]
        raise failure from failure.__cause__
    return [answers[index] for index in range(len(asks))]


async def ask_new[T](memory: Remembered, texts: Sequence[str], ask: Callable[[str], Awaitable[T]], *, asked: str, tenant: str) -> list[T]:
    """Return a verdict for each text, in their order.

    Args:
        memory: What is known.
        texts: What is judged.
        ask: Judges one.
        asked: What it judges them by.
        tenant: Whose texts they are.
    """
    keys = [key_of(tenant, asked, text) for text in texts]
    known: dict[bytes, T] = {key: verdict for key in keys if (verdict := memory.get(key)) is not None}
    new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}

    async def learn(key: bytes, text: str) -> None:
        verdict = known[key] = await ask(text)
        memory.put(key, verdict)

    await in_parallel([functools.partial(learn, key, text) for key, text in new.items()])
    return [known[key] for key in keys]
