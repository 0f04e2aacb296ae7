"""Folders, secrets and settings of a local gateway."""

import multiprocessing
import stat
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from devhost.environment import apply_settings, data_folder, kept_secret, write_private
from devhost.simulator.config import ENTRA_AUDIENCE, ENTRA_TENANT

SAFETY = ("GATEWAY_CONTENT_SAFETY_ENDPOINT", "GATEWAY_CONTENT_SAFETY_KEY")
ENTRA = ("GATEWAY_ENTRA_TENANT_ID", "GATEWAY_ENTRA_AUDIENCE", "GATEWAY_ENTRA_JWKS_URL")

HOSTS, ROUNDS, START_S = 4, 3, 60


def test_a_secret_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "key"
    secret = kept_secret(path, "gwa_")
    assert secret.startswith("gwa_")
    assert len(secret) > 40
    assert kept_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def keep(path: Path, barrier: Barrier, found: "multiprocessing.Queue[str]") -> None:
    barrier.wait(START_S)
    found.put(kept_secret(path))


def test_hosts_that_start_at_once_agree_on_one_secret(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for number in range(ROUNDS):
        barrier, found = context.Barrier(HOSTS), context.Queue()
        hosts = [context.Process(target=keep, args=(tmp_path / f"key-{number}", barrier, found)) for _ in range(HOSTS)]
        for host in hosts:
            host.start()
        secrets = [found.get(timeout=START_S) for _ in hosts]
        for host in hosts:
            host.join(START_S)
        assert len(set(secrets)) == 1
        assert (tmp_path / f"key-{number}").read_text(encoding="utf-8").strip() == secrets[0]
    assert len(list(tmp_path.iterdir())) == ROUNDS, "parts were left behind"


def test_replacing_a_file_leaves_no_part_behind(tmp_path: Path) -> None:
    write_private(tmp_path / "a", "one")
    write_private(tmp_path / "a", "two")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "two")]


def test_a_temporary_folder_goes_and_a_given_one_stays(tmp_path: Path) -> None:
    with data_folder(None) as fresh, data_folder(tmp_path / "x" / "y") as given:
        assert fresh.is_dir()
    assert not fresh.exists()
    assert stat.S_IMODE(given.stat().st_mode) == 0o700


@pytest.fixture(autouse=True)
def no_content_safety(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SAFETY:
        monkeypatch.setenv(name, "")


def test_sets_only_what_is_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    names = ("CATALOG", "TABLES", "BLOBS", "ADMIN_KEY", "KEY_PEPPER")
    for name in [f"GATEWAY_{name}" for name in names] + [f"SIMULATOR_{name}" for name in ("URL", "KEY", "AWS_KEY_ID", "AWS_SECRET")]:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("GATEWAY_TABLES", "https://account.table.core.windows.net")
    apply_settings(tmp_path, "c.yaml", "http://127.0.0.1:5")
    assert os.environ["GATEWAY_TABLES"] == "https://account.table.core.windows.net"
    assert os.environ["GATEWAY_CATALOG"] == "c.yaml"
    assert os.environ["GATEWAY_BLOBS"] == f"file:///{tmp_path}/blobs"
    assert os.environ["SIMULATOR_URL"] == "http://127.0.0.1:5"
    assert (tmp_path / "admin-key").read_text().strip() == os.environ["GATEWAY_ADMIN_KEY"]


@pytest.mark.parametrize(("catalog", "simulated"), [(None, True), ("c.yaml", False)])
def test_only_the_sample_catalogue_gets_the_simulators_identity(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, catalog: str | None, simulated: bool
) -> None:
    import os

    for name in ("CATALOG", "TABLES", "BLOBS", "ADMIN_KEY", "KEY_PEPPER"):
        monkeypatch.setenv(f"GATEWAY_{name}", "")
    for name in ("SIMULATOR_URL", "SIMULATOR_KEY", "SIMULATOR_AWS_KEY_ID", "SIMULATOR_AWS_SECRET", "IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        monkeypatch.setenv(name, "")
    for name in ENTRA:
        monkeypatch.setenv(name, "")
    apply_settings(tmp_path, catalog, "http://127.0.0.1:5")
    assert os.environ["IDENTITY_ENDPOINT"] == ("http://127.0.0.1:5/msi/token" if simulated else "")
    keys = "http://127.0.0.1:5/entra/{tid}/discovery/v2.0/keys"
    assert [os.environ[name] for name in ENTRA] == ([ENTRA_TENANT, ENTRA_AUDIENCE, keys] if simulated else ["", "", ""])


def test_whoever_names_a_real_tenant_gets_none_of_the_simulators_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in ("GATEWAY_CATALOG", "SIMULATOR_URL", *ENTRA):
        monkeypatch.setenv(name, "")
    for name in ("GATEWAY_TABLES", "GATEWAY_BLOBS", "GATEWAY_ADMIN_KEY", "GATEWAY_KEY_PEPPER", "SIMULATOR_KEY", "SIMULATOR_AWS_KEY_ID"):
        monkeypatch.setenv(name, "x")
    for name in ("SIMULATOR_AWS_SECRET", "IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("GATEWAY_ENTRA_TENANT_ID", "72f988bf-86f1-41af-91ab-2d7cd011db47")
    apply_settings(tmp_path, None, "http://127.0.0.1:5")
    assert [os.environ[name] for name in ENTRA] == ["72f988bf-86f1-41af-91ab-2d7cd011db47", "", ""]


@pytest.mark.parametrize(
    ("catalog", "simulator_url", "given", "endpoint", "key"),
    [
        ("c.yaml", "http://127.0.0.1:5", "", "http://127.0.0.1:5", "simulator"),
        (None, None, "", "http://127.0.0.1:7072", "simulator"),
        ("c.yaml", None, "", "", ""),
        (None, "http://127.0.0.1:5", "https://real.cognitiveservices.azure.com", "https://real.cognitiveservices.azure.com", ""),
    ],
    ids=["simulator", "sample catalogue", "neither", "a real one"],
)
def test_content_safety_is_simulated_where_backends_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, catalog: str | None, simulator_url: str | None, given: str, endpoint: str, key: str
) -> None:
    import os

    for name in ("GATEWAY_CATALOG", "SIMULATOR_URL", "SIMULATOR_KEY", *ENTRA):
        monkeypatch.setenv(name, "")
    for name in ("TABLES", "BLOBS", "SPOOL", "ADMIN_KEY", "KEY_PEPPER"):
        monkeypatch.setenv(f"GATEWAY_{name}", "x")
    for name in ("SIMULATOR_AWS_KEY_ID", "SIMULATOR_AWS_SECRET", "IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv(SAFETY[0], given)
    apply_settings(tmp_path, catalog, simulator_url)
    assert [os.environ[name] for name in SAFETY] == [endpoint, key]
