"""How the embedded host starts and ends."""

import json
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devhost.functions import HttpFunction, read_function
from devhost.routing import shadowed
from tests.host.conftest import ROOT, SAMPLE_APP
from tests.host.test_host_app import ask, connect

SAMPLE = ("--app", str(SAMPLE_APP), "--no-simulator")


QUEUE_APP = """
import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

app = func.FunctionApp()


@app.queue_trigger(queue_name="work", connection="", arg_name="message")
async def take(message: func.QueueMessage) -> None: ...
"""
RESERVED_APP = """
import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

app = func.FunctionApp(func.AuthLevel.ANONYMOUS)


@app.route(route="admin/x")
async def x(req: Request) -> Response: ...
"""
LIST_FUNCTIONS = """
import json, function_app
print(json.dumps([(one.get_function_name(), one.get_raw_bindings()) for one in function_app.app.get_functions()]))
"""


def write_app(folder: Path, text: str) -> str:
    folder.mkdir()
    (folder / "host.json").write_text((SAMPLE_APP / "host.json").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "function_app.py").write_text(text, encoding="utf-8")
    return str(folder)


def test_is_ready_in_both_modes(gateway: Any) -> None:
    assert ask(gateway, "GET", "/readyz")[0] == 200
    assert ask(gateway, "GET", "/healthz")[0] == 200


@pytest.mark.parametrize("mode", ["direct", "worker"])
def test_finishes_a_running_stream_before_it_ends(mode: str, run_host: Any) -> None:
    running = run_host(*SAMPLE, *(["--worker"] if mode == "worker" else []))
    stream = connect(running.url)
    stream.putrequest("POST", "/echo")
    stream.putheader("transfer-encoding", "chunked")
    stream.endheaders()
    stream.send(b"3\r\none\r\n")
    response = stream.getresponse()
    assert response.read(3) == b"one"
    running.terminate()
    while "stopping" not in running.line():
        pass
    while running.process.poll() is None:  # until it stops accepting
        try:
            ask(running, "GET", "/plain")
        except OSError:
            break
    assert running.process.poll() is None
    stream.send(b"3\r\ntwo\r\n0\r\n\r\n")
    assert response.read() == b"two"
    stream.close()
    assert running.wait() == 0


def test_cuts_a_stream_that_outlives_the_bound(run_host: Any) -> None:
    running = run_host(*SAMPLE, "--drain-s", "1")
    stream = connect(running.url)
    stream.request("GET", "/stream")
    with stream.getresponse() as response:
        assert response.readline() == b"one\n"
        assert running.stop() == 0
    stream.close()


def test_keeps_its_keys_over_a_restart_with_data(run_host: Any, tmp_path: Path) -> None:
    arguments = (*SAMPLE, "--data", str(tmp_path / "data"))
    first = run_host(*arguments)
    assert first.stop() == 0
    second = run_host(*arguments)
    assert (second.admin_key, second.demo_keys) == (first.admin_key, first.demo_keys)
    assert list(second.demo_keys) == ["unlimited", "starter", "guarded"]
    for name in ("admin-key", "key-pepper", "demo-keys.json"):
        assert stat.S_IMODE((second.data / name).stat().st_mode) == 0o600


def test_removes_its_folder_without_data(run_host: Any) -> None:
    running = run_host(*SAMPLE)
    assert running.data.is_dir()
    assert running.stop() == 0
    assert not running.data.exists()


def test_takes_settings_from_the_environment_first(run_host: Any) -> None:
    running = run_host(*SAMPLE, settings={"GATEWAY_ADMIN_KEY": "given-by-the-environment"})
    assert running.admin_key == "given-by-the-environment"
    assert not (running.data / "admin-key").exists()


def test_says_in_one_line_that_the_port_is_taken(run_host: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        running = run_host(*SAMPLE, "--port", str(port))
        assert running.wait() == 1
    assert running.errors().count("\n") == 1
    assert f"127.0.0.1:{port}" in running.errors()


def test_says_in_one_line_that_a_store_is_nowhere(run_host: Any) -> None:
    running = run_host("--no-simulator", settings={"GATEWAY_TABLES": "foo"})
    assert running.wait() == 1
    assert running.errors() == "error: GATEWAY_TABLES is no sqlite:/// path, no endpoint and no connection string\n"


@pytest.mark.parametrize("mode", ["direct", "worker"])
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("raise ValueError('the catalogue has no models')", "the catalogue has no models"),
        (QUEUE_APP, "a trigger that the embedded host does not serve yet: queueTrigger"),
        (RESERVED_APP, "belongs to the Functions host"),
    ],
)
def test_refuses_an_app_that_it_cannot_serve(run_host: Any, tmp_path: Path, mode: str, text: str, complaint: str) -> None:
    folder = write_app(tmp_path / "app", text)
    running = run_host("--app", folder, "--no-simulator", *(["--worker"] if mode == "worker" else []))
    assert running.wait() == 1
    assert complaint in running.errors()
    assert "Traceback" not in running.errors()


def test_no_function_hides_another_in_the_order_of_the_functions_host() -> None:
    listed = subprocess.run([sys.executable, "-c", LIST_FUNCTIONS], cwd=ROOT, capture_output=True, text=True, check=True)
    listed_functions = [read_function(name, bindings) for name, bindings in json.loads(listed.stdout)]
    routes = [function.route for function in listed_functions if isinstance(function, HttpFunction)]
    assert [(hidden.name, hiding.name) for hidden, hiding in shadowed(routes)] == []


def test_says_that_it_cannot_keep_data_there(run_host: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    running = run_host(*SAMPLE, "--data", str(tmp_path / "file"))
    assert running.wait() == 1
    assert "cannot keep data in" in running.errors()
    assert "Traceback" not in running.errors()


KEEPS_NOTHING = """
import asyncio, sys
from pathlib import Path
from devhost.host import build

async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}

async def main(app):
    host, statuses = await build("worker", Path(app)), []
    async def send(message):
        statuses.append(message.get("status"))
    for path in ("/plain", "/readyz", "/fail", "/items/1"):
        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": [], "query_string": b"",
                 "http_version": "1.1", "asgi": {"version": "3.0"}, "scheme": "http", "root_path": ""}
        await host(scope, receive, send)
    from azure_functions_runtime.http_v2 import http_coordinator
    print([status for status in statuses if status], len(http_coordinator._context_references))

asyncio.run(main(sys.argv[1]))
"""


def test_the_worker_keeps_nothing_of_a_finished_request() -> None:
    done = subprocess.run([sys.executable, "-c", KEEPS_NOTHING, str(SAMPLE_APP)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[200, 200, 500, 200] 0"
