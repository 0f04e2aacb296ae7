"""Models and deployments at /manage, over a host of its own: canaries, draining and retirement without a restart."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.host.asking import Reply, ask, chat, eventually
from tests.host.conftest import MODES, started

CATALOG = """\
version: 1
backends:
  - {id: sim, protocol: azure-openai, endpoint: "${env:SIMULATOR_URL}", auth: {type: api-key, key: "${env:SIMULATOR_KEY}"}, data_zone: eu}
deployments:
  - {id: stable, backend: sim, name: gpt-4o, price: {input: 1, output: 2}}
  - {id: canary, backend: sim, name: gpt-4o-mini}
models:
  - {id: org/model, aliases: [model], strategy: weighted, pool: [{deployment: stable, weight: 100}, {deployment: canary, weight: 0}]}
  - {id: next, pool: [{deployment: stable}]}
"""
MODEL = "/manage/models/org%2Fmodel"


@pytest.fixture(scope="module", params=MODES)
def managed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder: Path = tmp_path_factory.mktemp(f"managed-{request.param}")
    (folder / "catalog.yaml").write_text(CATALOG, encoding="utf-8")
    mode = ["--worker"] if request.param == "worker" else []
    with started(folder, "--catalog", str(folder / "catalog.yaml"), *mode) as running:
        assert running.url, running.errors()
        yield running


def manage(gateway: Any, method: str, path: str, body: Any = None) -> Reply:
    return ask(gateway, method, path, body, key=gateway.admin_key)


@contextlib.contextmanager
def changed(gateway: Any, path: str, **members: Any) -> Iterator[Reply]:
    """Make a change for the time of a block."""
    reply = manage(gateway, "PATCH", path, members)
    try:
        yield reply
    finally:
        assert manage(gateway, "PATCH", path, dict.fromkeys(members)).status == 200


def served(gateway: Any, calls: int = 20) -> Counter[str]:
    replies = [chat(gateway, model="org/model") for _ in range(calls)]
    assert {reply.status for reply in replies} == {200}
    return Counter(reply.headers["x-gateway-deployment"] for reply in replies)


def test_a_model_is_shown_with_its_pool(managed: Any) -> None:
    reply = manage(managed, "GET", MODEL)
    assert reply.status == 200
    shown = reply.json()
    assert (shown["id"], shown["lifecycle"], shown["overridden"]) == ("org/model", {"state": "active"}, [])
    pool = [(member["deployment"], member["weight"], member["data_zone"]) for member in shown["pool"]]
    assert pool == [("stable", 100, "eu"), ("canary", 0, "eu")]
    assert [item["id"] for item in manage(managed, "GET", "/manage/models").json()["data"]] == ["org/model", "next"]
    assert "http" not in reply.body.decode()


def test_a_canary_goes_from_nothing_to_everything_without_a_restart(managed: Any) -> None:
    assert served(managed) == {"stable": 20}
    with changed(managed, MODEL, weights={"stable": 50, "canary": 50}) as reply:
        assert [member["weight"] for member in reply.json()["pool"]] == [50, 50]
        assert served(managed, 60).keys() == {"stable", "canary"}
    with changed(managed, MODEL, weights={"stable": 0, "canary": 100}):
        assert served(managed) == {"canary": 20}
    assert served(managed) == {"stable": 20}


def test_a_deployment_that_drains_gets_no_new_call(managed: Any) -> None:
    with changed(managed, MODEL, weights={"canary": 1}), changed(managed, "/manage/deployments/stable", draining=True) as reply:
        assert reply.json()["draining"] is True
        assert served(managed) == {"canary": 20}
    shown = manage(managed, "GET", "/manage/deployments/stable").json()
    assert (shown["draining"], shown["overridden"], shown["price"]) == (False, [], {"input": 1.0, "output": 2.0})
    assert [place["model"] for place in shown["pools"]] == ["org/model", "next"]


def test_a_price_counts_from_now_on(managed: Any) -> None:
    before = float(chat(managed, model="next").headers["x-gateway-cost-usd"])
    with changed(managed, "/manage/deployments/stable", price={"input": 1000, "output": 2000}):
        assert float(chat(managed, model="next").headers["x-gateway-cost-usd"]) == pytest.approx(1000 * before, rel=0.05)


def test_a_model_is_deprecated_and_then_gone(managed: Any) -> None:
    with changed(
        managed, MODEL, lifecycle={"state": "deprecated", "deprecated": "2026-01-01", "sunset": "2999-01-01", "successor": "next"}
    ):
        reply = chat(managed, model="org/model")
        assert (reply.status, reply.headers["deprecation"]) == (200, "@1767225600")
        assert reply.headers["sunset"] == "Tue, 01 Jan 2999 00:00:00 GMT"
        listed = {model["id"]: model.get("lifecycle") for model in ask(managed, "GET", "/v1/models").json()["data"]}
        assert listed == {"org/model": {"state": "deprecated", "sunset": "2999-01-01", "successor": "next"}, "next": None}
    with changed(managed, MODEL, lifecycle={"state": "retired", "successor": "next"}):
        reply = chat(managed, model="model")
        assert (reply.status, reply.error["code"]) == (410, "model_retired")
        assert "'next'" in reply.error["message"]
        assert [model["id"] for model in ask(managed, "GET", "/v1/models").json()["data"]] == ["next"]
    assert chat(managed, model="model").status == 200


def test_what_is_wrong_is_a_problem_that_names_its_field(managed: Any) -> None:
    wrong = manage(managed, "PATCH", MODEL, {"weights": {"nobody": 1}})
    assert (wrong.status, wrong.headers["content-type"]) == (400, "application/problem+json")
    assert (wrong.json()["code"], wrong.json()["param"]) == ("invalid_value", "weights.nobody")
    missing = manage(managed, "GET", "/manage/deployments/nobody")
    assert (missing.status, missing.json()["code"]) == (404, "deployment_not_found")
    refused = manage(managed, "DELETE", MODEL)
    assert (refused.status, refused.headers["allow"]) == (405, "GET, PATCH")
    assert manage(managed, "GET", "/manage/models/org/model").status == 404
    assert ask(managed, "PATCH", MODEL, {}).status == 403


def test_a_change_outlives_the_worker(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text(CATALOG, encoding="utf-8")
    arguments = ["--catalog", str(tmp_path / "catalog.yaml"), "--data", str(tmp_path / "data")]
    with started(tmp_path, *arguments) as running:
        assert manage(running, "PATCH", MODEL, {"weights": {"stable": 0, "canary": 1}}).status == 200
    with started(tmp_path, *arguments) as running:
        assert served(running, 5) == {"canary": 5}


def test_another_workers_change_is_followed(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text(CATALOG, encoding="utf-8")
    arguments = ["--catalog", str(tmp_path / "catalog.yaml"), "--data", str(tmp_path / "data")]
    second = tmp_path / "second"
    second.mkdir()
    with started(tmp_path, *arguments) as one, started(second, *arguments) as other:
        assert served(other, 2) == {"stable": 2}
        assert manage(one, "PATCH", MODEL, {"weights": {"stable": 0, "canary": 1}}).status == 200
        eventually(lambda: "canary" in served(other, 1), "the other worker follows")
