"""What a kill -9 takes with it, and what it does not: records younger than a second, never a key; and a SIGTERM takes nothing."""

import http.client
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.host.asking import Reply, ask, bearer, chat, chat_body, connection_to, eventually, kill, marker, records_of, reply_of, subscribe
from tests.host.asking import upstream_requests as sent_upstream
from tests.host.conftest import MODES, Running, started

CALLING_S = 3.0
LOST_AT_MOST_S = 1.0  # what the README promises
MARGIN_S = 0.5  # for this test's clock and a busy machine
CALLERS = 2


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def start(folder: Path, mode: str, **settings: str) -> Any:
    worker = ["--worker"] if mode == "worker" else []
    return started(folder, "--data", str(folder / "data"), *worker, settings=settings)


@pytest.fixture
def running(mode: str, tmp_path: Path) -> Iterator[Running]:
    with start(tmp_path, mode) as running:
        assert running.url, running.errors()
        yield running


class Callers:
    """Threads that call as fast as they are answered, until the host is gone; `answered` maps request ids to moments."""

    def __init__(self, gateway: Running) -> None:
        self.answered: dict[str, float] = {}
        self._gateway = gateway
        self._threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        connection = connection_to(self._gateway.url)
        body = b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]}'
        try:
            while True:
                connection.request("POST", "/v1/chat/completions", body, bearer(self._gateway.demo_keys["unlimited"]))
                reply = reply_of(connection.getresponse())
                assert reply.status == 200
                self.answered[reply.request_id] = time.monotonic()
        except (OSError, http.client.HTTPException):
            pass  # the host is gone
        finally:
            connection.close()


def test_a_kill_takes_at_most_a_second_of_records_and_no_key(running: Running, mode: str, tmp_path: Path) -> None:
    with Callers(running) as callers:
        until_s = time.monotonic() + CALLING_S
        eventually(lambda: time.monotonic() > until_s, "the calls take their time")
        fresh = subscribe(running, requests_per_minute=1)
        killed_s = time.monotonic()
        kill(running)
    with start(tmp_path, mode) as again:
        assert again.demo_keys == running.demo_keys
        for key in (*again.demo_keys.values(), fresh):
            assert ask(again, "POST", "/v1/chat/completions", chat_body(), key=key).status == 200
        assert ask(again, "POST", "/v1/chat/completions", chat_body(), key=fresh).status == 429
        kept = [record["request_id"] for record in records_of(again.data)]
        assert again.stop() == 0
    assert len(kept) == len(set(kept))
    ages = {name: killed_s - moment for name, moment in callers.answered.items()}
    lost = {name: age for name, age in ages.items() if name not in set(kept)}
    oldest = max(lost.values(), default=0.0)
    sys.stdout.write(f"{mode}: {len(ages)} calls answered, {len(lost)} records lost with kill -9, the oldest {oldest:.2f} s old\n")
    assert sum(age > LOST_AT_MOST_S + MARGIN_S for age in ages.values()) > 20, "the test answered too few calls to mean anything"
    assert oldest <= LOST_AT_MOST_S + MARGIN_S


def test_a_sigterm_takes_nothing(running: Running) -> None:
    mark = marker()
    slow: list[Reply] = []
    waiting = threading.Thread(target=lambda: slow.append(chat(running, mark, "mock-slow")))
    waiting.start()
    eventually(lambda: sent_upstream(running, mark), "the slow call is at its backend")
    answered = [chat(running, model=model).request_id for model in ("gpt-4o", "mock-500", "nonesuch") * 10]
    assert running.stop() == 0
    waiting.join()
    assert slow[0].status == 200, "a call under way is finished first"
    kept = [record["request_id"] for record in records_of(running.data)]
    assert sorted(name for name in kept if name in {*answered, slow[0].request_id}) == sorted([*answered, slow[0].request_id])


def test_the_backends_key_is_nowhere_but_upstream(mode: str, tmp_path: Path) -> None:
    secret, mark = "upstream-" + marker(), marker()
    with start(tmp_path, mode, SIMULATOR_KEY=secret) as running:
        answers = [chat(running, mark, model) for model in ("gpt-4o", "llama-3.3-70b", "mock-500", "mock-malformed", "mock-abort")]
        answers += [chat(running, mark, model, stream=True) for model in ("gpt-4o", "mock-abort", "mock-malformed")]
        headers = [one["headers"] for one in sent_upstream(running, mark)]
        assert running.stop() == 0
        printed = running.process.stdout.read() if running.process.stdout else b""
    assert all(one.get("api-key") == secret or one.get("authorization") == f"Bearer {secret}" for one in headers)
    assert len(headers) >= len(answers)
    assert all(secret not in answer.body.decode() + str(answer.headers) for answer in answers)
    assert secret not in running.errors()
    assert secret.encode() not in printed
    for path in running.data.rglob("*"):
        assert path.is_dir() or secret.encode() not in path.read_bytes(), path
