"""How the embedded host stops while calls run: it drains, it is cut short, and nobody has to read what it prints."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.asking import Reply, bearer, chat_body, connection_to, eventually, marker, open_socket, records_of, upstream_requests
from tests.host.conftest import MODES, ROOT, SAMPLE_APP, STOP_S, Running, environment, started

SHORT_S = 1.0  # what "cut it short" promises
MARGIN_S = 3.0  # for a busy machine, and for the process to end; without the cut it would be the drain's 30 s


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@contextlib.contextmanager
def start(folder: Path, mode: str, *arguments: str) -> Iterator[Running]:
    worker = ["--worker"] if mode == "worker" else []
    with started(folder, "--data", str(folder / "data"), *worker, *arguments) as running:
        assert running.url, running.errors()
        yield running


class Hanging:
    """A call whose backend falls silent, whole or streamed, made in a thread; it is under way once this is made."""

    def __init__(self, running: Running, *, stream: bool) -> None:
        self.mark = marker()
        self._running = running
        self._begun = threading.Event()
        self._replies: list[Reply] = []
        self._thread = threading.Thread(target=self._call, args=(stream,))
        self._thread.start()
        if stream:
            assert self._begun.wait(STOP_S)
        else:
            eventually(lambda: upstream_requests(running, self.mark), "the backend is asked")

    def _call(self, stream: bool) -> None:
        connection = connection_to(self._running.url, STOP_S)
        headers = {**bearer(self._running.demo_keys["unlimited"]), "x-gateway-user": self.mark}
        connection.request("POST", "/v1/chat/completions", json.dumps(chat_body(self.mark, "mock-hang", stream=stream)), headers)
        response = connection.getresponse()
        first = response.readline() if stream else b""
        self._begun.set()
        given = {name.lower(): value for name, value in response.getheaders()}
        self._replies.append(Reply(response.status, given, first + response.read()))
        connection.close()

    def ended(self) -> Reply:
        self._thread.join(STOP_S)
        (reply,) = self._replies
        return reply

    def record(self) -> tuple[int, str]:
        """Return status and code of the one record that it left."""
        (record,) = (record for record in records_of(self._running.data) if record["user"] == self.mark)
        return record["status"], record["error_code"]


def check_stopped(running: Running, plain: Hanging, stream: Hanging) -> None:
    refused, cut = plain.ended(), stream.ended()
    assert refused.status == 503
    assert refused.error["code"] == "stopping"
    assert refused.request_id.startswith("req_")
    assert cut.status == 200
    *_, last, rest = cut.body.split(b"\n\n")
    assert rest == b""
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "stopping"
    assert plain.record() == stream.record() == (503, "stopping")
    assert "Traceback" not in running.errors()


def test_calls_that_outlive_the_drain_are_told_that_it_stops(mode: str, tmp_path: Path) -> None:
    with start(tmp_path, mode, "--drain-s", "1") as running:
        plain, stream = Hanging(running, stream=False), Hanging(running, stream=True)
        assert running.stop() == 0
        check_stopped(running, plain, stream)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_cuts_the_drain_short(mode: str, number: signal.Signals, tmp_path: Path) -> None:
    with start(tmp_path, mode) as running:
        plain, stream = Hanging(running, stream=False), Hanging(running, stream=True)
        running.process.send_signal(number)
        while "stopping" not in running.line():
            pass
        assert running.process.poll() is None
        began_s = time.monotonic()
        running.process.send_signal(number)
        assert running.wait() == 0
        took_s = time.monotonic() - began_s
        check_stopped(running, plain, stream)
    sys.stdout.write(f"{mode}: {took_s:.2f} s from the second signal to the end\n")
    assert took_s < SHORT_S + MARGIN_S


def test_a_second_signal_cuts_what_does_not_answer_for_itself(mode: str, tmp_path: Path) -> None:
    with start(tmp_path, mode, "--app", str(SAMPLE_APP), "--no-simulator") as running, open_socket(running) as raw:
        raw.sendall(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        assert raw.recv(1).startswith(b"H")
        running.terminate()
        while "stopping" not in running.line():
            pass
        running.terminate()
        assert running.wait() == 0
        assert "Traceback" not in running.errors()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stops_when_nobody_reads_what_it_prints(number: signal.Signals, tmp_path: Path) -> None:
    with start(tmp_path, "direct", "--app", str(SAMPLE_APP), "--no-simulator") as running:
        assert running.process.stdout is not None
        running.process.stdout.close()
        running.process.send_signal(number)
        assert running.wait() == 0
        assert running.errors() == ""


def test_serves_when_nobody_reads_what_it_prints(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "devhost", "--port", "0", "--ready-file", str(ready), "--app", str(SAMPLE_APP), "--no-simulator"]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        eventually(lambda: ready.exists() or process.poll() is not None, "it serves", STOP_S)
        process.terminate()
        assert process.wait(STOP_S) == 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize("port", ["80000", "-1"])
def test_says_in_one_line_that_there_is_no_such_port(port: str) -> None:
    command = [sys.executable, "-m", "devhost", "--port", port]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=STOP_S)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert f"there is no port {port}" in done.stderr
