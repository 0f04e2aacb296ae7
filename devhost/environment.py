"""What the gateway needs to run on one machine: a folder, secrets that outlive a restart, and settings.

A setting that the caller has set is left alone. Secrets are files that only their owner reads.
"""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from devhost.functions import AppError
from devhost.host import ROOT
from devhost.simulator.config import AWS_KEY_ID, AWS_SECRET, ENTRA_AUDIENCE, ENTRA_TENANT

SIMULATOR_KEY = "simulator"
SAMPLE = ROOT / "catalog.yaml"
STANDALONE_SIMULATOR = "http://127.0.0.1:7072"


@contextmanager
def data_folder(given: Path | None) -> Iterator[Path]:
    """Yield the folder for all state: the given one, or a fresh one that is removed at the end.

    Raises:
        AppError: It cannot be made.
    """
    if given is not None:
        try:
            given.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise AppError(f"cannot keep data in {given}: {error.strerror}") from error
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="gateway-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads; readers see the old text or the new one, never half."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


def kept_secret(path: Path, prefix: str = "") -> str:
    """Read a secret, or make it if it does not exist yet; of several hosts that start at once the first one's counts."""
    if not path.exists():
        made = path.with_name(f".{path.name}.{os.getpid()}.new")
        write_private(made, prefix + secrets.token_urlsafe(32) + "\n")
        with contextlib.suppress(FileExistsError):
            os.link(made, path)
        made.unlink()
    return path.read_text(encoding="utf-8").strip()


def apply_settings(data: Path, catalog: str | None, simulator_url: str | None) -> None:
    """Set what is unset in the environment, before the app is imported.

    Args:
        data: The folder for all state.
        catalog: The catalogue that the command line names, a path or an https URL; it wins over the environment.
        simulator_url: Where the simulated backends listen; None if none were started.
    """
    if catalog is not None:
        os.environ["GATEWAY_CATALOG"] = catalog
    defaults: dict[str, Callable[[], str]] = {
        "GATEWAY_CATALOG": lambda: str(SAMPLE),
        "GATEWAY_TABLES": lambda: f"sqlite:///{data / 'tables.db'}",
        "GATEWAY_BLOBS": lambda: f"file:///{data / 'blobs'}",
        "GATEWAY_SPOOL": lambda: str(data / "spool"),
        "GATEWAY_ADMIN_KEY": lambda: kept_secret(data / "admin-key", "gwa_"),
        "GATEWAY_KEY_PEPPER": lambda: kept_secret(data / "key-pepper"),
        "SIMULATOR_URL": lambda: simulator_url or STANDALONE_SIMULATOR,
        "SIMULATOR_KEY": lambda: SIMULATOR_KEY,
        "SIMULATOR_AWS_KEY_ID": lambda: AWS_KEY_ID,
        "SIMULATOR_AWS_SECRET": lambda: AWS_SECRET,
    }
    _set_unset(defaults)
    simulated = simulator_url is not None or os.environ["GATEWAY_CATALOG"] == str(SAMPLE)
    if simulated and not os.environ.get("GATEWAY_CONTENT_SAFETY_ENDPOINT"):  # a real resource gets none of the simulator's keys
        os.environ["GATEWAY_CONTENT_SAFETY_ENDPOINT"] = os.environ["SIMULATOR_URL"]
        os.environ["GATEWAY_CONTENT_SAFETY_KEY"] = SIMULATOR_KEY
    if os.environ["GATEWAY_CATALOG"] == str(SAMPLE):
        # Its backends take the simulator's tokens; with any other catalogue an identity must be a real one.
        _set_unset({
            "IDENTITY_ENDPOINT": lambda: f"{os.environ['SIMULATOR_URL']}/msi/token",
            "IDENTITY_HEADER": lambda: SIMULATOR_KEY,
        })  # fmt: skip
        if not os.environ.get("GATEWAY_ENTRA_TENANT_ID"):  # whoever names a real tenant gets none of the simulator's keys
            os.environ["GATEWAY_ENTRA_TENANT_ID"] = ENTRA_TENANT
            os.environ["GATEWAY_ENTRA_AUDIENCE"] = ENTRA_AUDIENCE
            os.environ["GATEWAY_ENTRA_JWKS_URL"] = f"{os.environ['SIMULATOR_URL']}/entra/{{tid}}/discovery/v2.0/keys"


def _set_unset(defaults: Mapping[str, Callable[[], str]]) -> None:
    for name, value in defaults.items():
        if not os.environ.get(name):
            os.environ[name] = value()
