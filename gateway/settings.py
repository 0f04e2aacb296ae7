"""The gateway's settings: the only reader of the environment, once, into a frozen value.

Their names stand in `NAMES`; `local.settings.sample.json` and README's table list the same names (a house test
compares the three). All faults are reported together, so that a deployment is mended in one go.
"""

import os
import tempfile
from collections.abc import Mapping

import msgspec


class SettingsError(Exception):
    """The environment cannot be used; the message lists every fault with its setting's name."""


class Settings(msgspec.Struct, frozen=True):
    """What the environment says.

    Attributes:
        catalog: Path or https URL of the catalogue.
        tables: `sqlite:///path`, or a Table endpoint or connection string.
        blobs: `file:///path`, or a Blob endpoint or connection string.
        admin_key: Bootstrap administrator's bearer key for /manage; empty switches it off.
        key_pepper: Server-side secret mixed into the hash of every virtual key.
        max_body_bytes: Ceiling of a request body, counted after decompression.
        request_timeout_s: How long a call may take until its answer begins; the platform cuts at 230 s.
        stream_idle_timeout_s: How long a stream may be silent.
        http_client: What talks to the backends: our own pool (`httptools`), or `aiohttp`.
        spool: Folder in which usage records wait while the table store does not take them.
        spool_bytes: What it may hold.
        identity_client_id: The user-assigned identity for Azure; the system-assigned one if absent.
        environment: Everything, for `${env:NAME}` in the catalogue.
    """

    catalog: str
    tables: str
    blobs: str
    admin_key: str
    key_pepper: str
    max_body_bytes: int
    request_timeout_s: float
    stream_idle_timeout_s: float
    http_client: str
    spool: str
    spool_bytes: int
    identity_client_id: str | None
    environment: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Settings(catalog={self.catalog.partition('?')[0]!r}, …)"  # a URL's query may be a signature


MIN_SECRET_CHARACTERS = 16

HTTP_CLIENTS = ("httptools", "aiohttp")

NAMES = (
    "GATEWAY_CATALOG",
    "GATEWAY_TABLES",
    "GATEWAY_BLOBS",
    "GATEWAY_ADMIN_KEY",
    "GATEWAY_KEY_PEPPER",
    "GATEWAY_MAX_BODY_MB",
    "GATEWAY_REQUEST_TIMEOUT_S",
    "GATEWAY_STREAM_IDLE_TIMEOUT_S",
    "GATEWAY_HTTP_CLIENT",
    "GATEWAY_SPOOL",
    "GATEWAY_SPOOL_MB",
    "AZURE_CLIENT_ID",
)


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Args:
        environment: Instead of the process's own, for tests.

    Raises:
        SettingsError: With all faults, one a line.
    """
    env = dict(os.environ if environment is None else environment)
    faults: list[str] = []

    def number(name: str, default: float, low: float, high: float) -> float:
        text = env.get(name, "")
        try:
            value = float(text) if text else default
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            faults.append(f"{name}={text!r} must be a number from {low:g} to {high:g}")
            return default
        return value

    storage = env.get("AzureWebJobsStorage", "")
    tables, blobs = (env.get(name) or storage for name in ("GATEWAY_TABLES", "GATEWAY_BLOBS"))
    for name, location in (("GATEWAY_TABLES", tables), ("GATEWAY_BLOBS", blobs)):
        if not location:
            faults.append(f"{name} is not set, and neither is AzureWebJobsStorage, its default")
    if tables.startswith("sqlite:") and not tables.removeprefix("sqlite:///"):
        faults.append("GATEWAY_TABLES must name a file after sqlite:///")
    if blobs.startswith("file:") and not blobs.startswith("file:///"):
        faults.append("GATEWAY_BLOBS must name an absolute folder, such as file:///var/gateway")
    for name, needed in (("GATEWAY_KEY_PEPPER", True), ("GATEWAY_ADMIN_KEY", False)):
        secret = env.get(name, "")
        if (secret or needed) and len(secret) < MIN_SECRET_CHARACTERS:
            faults.append(f"{name} must be a secret of at least {MIN_SECRET_CHARACTERS} characters")
    http_client = env.get("GATEWAY_HTTP_CLIENT") or HTTP_CLIENTS[0]
    if http_client not in HTTP_CLIENTS:
        faults.append(f"GATEWAY_HTTP_CLIENT={http_client!r} must be {' or '.join(HTTP_CLIENTS)}")
    settings = Settings(
        catalog=env.get("GATEWAY_CATALOG") or "catalog.yaml",
        tables=tables,
        blobs=blobs,
        admin_key=env.get("GATEWAY_ADMIN_KEY", ""),
        key_pepper=env.get("GATEWAY_KEY_PEPPER", ""),
        max_body_bytes=int(number("GATEWAY_MAX_BODY_MB", 20, 0.001, 100) * 1024 * 1024),
        request_timeout_s=number("GATEWAY_REQUEST_TIMEOUT_S", 220, 0.1, 225),
        stream_idle_timeout_s=number("GATEWAY_STREAM_IDLE_TIMEOUT_S", 120, 0.1, 225),
        http_client=http_client,
        spool=env.get("GATEWAY_SPOOL") or f"{tempfile.gettempdir()}/gateway-spool",
        spool_bytes=int(number("GATEWAY_SPOOL_MB", 256, 1, 100_000) * 1024 * 1024),
        identity_client_id=env.get("AZURE_CLIENT_ID") or None,
        environment=env,
    )
    if faults:
        raise SettingsError("the settings cannot be used:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return settings
