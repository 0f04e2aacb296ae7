"""The gateway's settings: the only reader of the environment, once, into a frozen value.

Their names stand in `NAMES`; `local.settings.sample.json` and README's table list the same names (a house test
compares the three). All faults are reported together, so that a deployment is mended in one go.
"""

import ipaddress
import os
import re
import tempfile
from collections.abc import Mapping

from gateway.settings_shapes import AlertSettings, DoorSettings, EntraSettings, SafetySettings, Settings, SettingsError

MIN_SECRET_CHARACTERS = 16
HTTP_CLIENTS = ("httptools", "aiohttp")
MAX_CLAIMS = 16
# Attributes that the gateway itself says of a call; claims that are about the token, not about who has it.
RESERVED_ATTRIBUTES = frozenset({"tenant", "product", "subscription", "user", "claimed_user", "session"})
TOKENS_OWN_CLAIMS = frozenset({"iss", "aud", "exp", "nbf", "iat", "tid", "ver", "aio", "rh", "uti", "nonce", "sid"})

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
    "GATEWAY_ENTRA_TENANT_ID",
    "GATEWAY_ENTRA_AUDIENCE",
    "GATEWAY_ENTRA_JWKS_URL",
    "GATEWAY_ENTRA_CONTEXT_CLAIMS",
    "GATEWAY_TRUSTED_FRONT_DOOR_ID",
    "GATEWAY_REQUIRE_FRONT_DOOR",
    "GATEWAY_TRUSTED_HOPS",
    "GATEWAY_IP_ALLOW",
    "GATEWAY_IP_DENY",
    "GATEWAY_COUNTRY_HEADER",
    "GATEWAY_COUNTRIES_DENIED",
    "GATEWAY_ALERTS_WEBHOOK",
    "GATEWAY_ALERTS_WEBHOOK_SECRET",
    "GATEWAY_ALERTS_QUEUE",
    "GATEWAY_SERVICEBUS",
    "GATEWAY_SERVICEBUS__fullyQualifiedNamespace",
    "GATEWAY_KEYVAULT_SUFFIX",
    "GATEWAY_CONTENT_SAFETY_ENDPOINT",
    "GATEWAY_CONTENT_SAFETY_KEY",
    "GATEWAY_EGRESS_HOSTS",
    "AZURE_CLIENT_ID",
)

__all__ = ("AlertSettings", "DoorSettings", "EntraSettings", "SafetySettings", "Settings", "SettingsError", "load_settings")

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_VAULTS = re.compile(r"vault(?:\.[a-z0-9-]+){2,}|http://(?:127\.0\.0\.1|\[::1\]|localhost)(?::[0-9]+)?")
_SERVICE = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]+)?|http://(?:127\.0\.0\.1|\[::1\]|localhost)(?::[0-9]+)?")
_HOSTS = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*(?::[0-9]{1,5})?|\[[0-9a-f:.]+\](?::[0-9]{1,5})?")
_CLAIM = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]{0,127}")
_ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_KEYS_URL = re.compile(r"https://[^/\s]+/\S*|http://(?:127\.0\.0\.1|\[::1\]|localhost)(?::[0-9]+)?/\S*")


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
        try:
            value = float(env.get(name) or default)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            faults.append(f"{name}={env[name]!r} must be a number from {low:g} to {high:g}")
            return default
        return value

    tables, blobs = _stores(env, faults)
    for name, needed in (("GATEWAY_KEY_PEPPER", True), ("GATEWAY_ADMIN_KEY", False)):
        secret = env.get(name, "")
        if (secret or needed) and len(secret) < MIN_SECRET_CHARACTERS:
            faults.append(f"{name} must be a secret of at least {MIN_SECRET_CHARACTERS} characters")
    http_client = env.get("GATEWAY_HTTP_CLIENT") or HTTP_CLIENTS[0]
    if http_client not in HTTP_CLIENTS:
        faults.append(f"GATEWAY_HTTP_CLIENT={http_client!r} must be {' or '.join(HTTP_CLIENTS)}")
    if not _VAULTS.fullmatch(vaults := env.get("GATEWAY_KEYVAULT_SUFFIX") or "vault.azure.net"):
        faults.append("GATEWAY_KEYVAULT_SUFFIX must be what follows a vault's name in its host, such as vault.azure.cn")
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
        entra=_entra(env, faults),
        door=_door(env, faults, int(number("GATEWAY_TRUSTED_HOPS", 0, 0, 10))),
        alerts=_alerts(env, faults),
        servicebus=_servicebus(env, faults),
        keyvault_suffix=vaults,
        environment=env,
        safety=_safety(env, faults),
        egress=_egress(env, faults),
    )
    if faults:
        raise SettingsError("the settings cannot be used:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return settings


def _stores(env: Mapping[str, str], faults: list[str]) -> tuple[str, str]:
    tables, blobs = (env.get(name) or env.get("AzureWebJobsStorage", "") for name in ("GATEWAY_TABLES", "GATEWAY_BLOBS"))
    for name, location in (("GATEWAY_TABLES", tables), ("GATEWAY_BLOBS", blobs)):
        if not location:
            faults.append(f"{name} is not set, and neither is AzureWebJobsStorage, its default")
    if tables.startswith("sqlite:") and not tables.removeprefix("sqlite:///"):
        faults.append("GATEWAY_TABLES must name a file after sqlite:///")
    if blobs.startswith("file:") and not blobs.startswith("file:///"):
        faults.append("GATEWAY_BLOBS must name an absolute folder, such as file:///var/gateway")
    return tables, blobs


def _entra(env: Mapping[str, str], faults: list[str]) -> EntraSettings:
    tenants = tuple(each.lower() for each in _list(env, "GATEWAY_ENTRA_TENANT_ID"))
    audiences = _list(env, "GATEWAY_ENTRA_AUDIENCE")
    url = env.get("GATEWAY_ENTRA_JWKS_URL", "")
    if any(not _GUID.fullmatch(each) for each in tenants):
        faults.append("GATEWAY_ENTRA_TENANT_ID must be the id of an Entra tenant, such as 72f988bf-86f1-41af-91ab-2d7cd011db47, or a few")
    if tenants and not audiences:
        faults.append("GATEWAY_ENTRA_AUDIENCE must name the gateway's own application (api://… or its client id) where tokens are accepted")
    if url and not _KEYS_URL.fullmatch(url):
        faults.append("GATEWAY_ENTRA_JWKS_URL must be an https:// address; http:// is for loopback only")
    return EntraSettings(tenants, audiences, url, _claims(env, faults))


def _claims(env: Mapping[str, str], faults: list[str]) -> Mapping[str, str]:
    """Return which claims become attributes: `claim`, or `claim=attribute`."""
    name = "GATEWAY_ENTRA_CONTEXT_CLAIMS"
    claims: dict[str, str] = {}
    for each in _list(env, name):
        claim, given, attribute = (part.strip() for part in each.partition("="))
        attribute = attribute if given else claim
        if not _CLAIM.fullmatch(claim) or claim in TOKENS_OWN_CLAIMS:
            faults.append(f"{name}: {claim[:64]!r} is no claim about a caller, such as department or jobTitle=role")
        elif not _ATTRIBUTE.fullmatch(attribute) or attribute in RESERVED_ATTRIBUTES:
            rule = f"letters, digits, _ and -, a letter or _ first, none of {', '.join(sorted(RESERVED_ATTRIBUTES))}"
            faults.append(f"{name}: {attribute[:64]!r} cannot be an attribute: {rule}")
        elif claim in claims or attribute in claims.values():
            faults.append(f"{name}: {each[:64]!r} names a claim or an attribute that another entry has")
        else:
            claims[claim] = attribute
    if len(claims) > MAX_CLAIMS:
        faults.append(f"{name} takes at most {MAX_CLAIMS} claims")
    return claims


def _door(env: Mapping[str, str], faults: list[str], trusted_hops: int) -> DoorSettings:
    front_id = env.get("GATEWAY_TRUSTED_FRONT_DOOR_ID", "")
    required = env.get("GATEWAY_REQUIRE_FRONT_DOOR", "").lower() or "false"
    header = env.get("GATEWAY_COUNTRY_HEADER", "").lower()
    denied = tuple(each.upper() for each in _list(env, "GATEWAY_COUNTRIES_DENIED"))
    if front_id and len(front_id) < MIN_SECRET_CHARACTERS:
        faults.append(f"GATEWAY_TRUSTED_FRONT_DOOR_ID must be a secret of at least {MIN_SECRET_CHARACTERS} characters")
    if required not in {"true", "false"}:
        faults.append("GATEWAY_REQUIRE_FRONT_DOOR must be true or false")
    if required == "true" and not front_id:
        faults.append("GATEWAY_REQUIRE_FRONT_DOOR needs GATEWAY_TRUSTED_FRONT_DOOR_ID")
    if not re.fullmatch(r"[a-z0-9-]{0,64}", header):
        faults.append("GATEWAY_COUNTRY_HEADER must be the name of a header")
    if any(not re.fullmatch("[A-Z]{2}", each) for each in denied):
        faults.append("GATEWAY_COUNTRIES_DENIED must be country codes of two letters, with commas between")
    if denied and not (front_id and header):
        faults.append("GATEWAY_COUNTRIES_DENIED needs GATEWAY_TRUSTED_FRONT_DOOR_ID and GATEWAY_COUNTRY_HEADER: only fronts know countries")
    allow, deny = _blocks(env, "GATEWAY_IP_ALLOW", faults), _blocks(env, "GATEWAY_IP_DENY", faults)
    return DoorSettings(front_id, required == "true", trusted_hops, allow, deny, header, denied)


def _alerts(env: Mapping[str, str], faults: list[str]) -> AlertSettings:
    webhook, secret, queue = (
        env.get(name, "") for name in ("GATEWAY_ALERTS_WEBHOOK", "GATEWAY_ALERTS_WEBHOOK_SECRET", "GATEWAY_ALERTS_QUEUE")
    )
    if secret and len(secret) < MIN_SECRET_CHARACTERS:
        faults.append(f"GATEWAY_ALERTS_WEBHOOK_SECRET must be a secret of at least {MIN_SECRET_CHARACTERS} characters")
    if secret and not webhook:
        faults.append("GATEWAY_ALERTS_WEBHOOK_SECRET needs GATEWAY_ALERTS_WEBHOOK")
    return AlertSettings(webhook, secret, queue)


def _servicebus(env: Mapping[str, str], faults: list[str]) -> str:
    """Return where queues are; the two names are those that the Functions host reads for its triggers."""
    string, namespace = (env.get(name, "").strip() for name in ("GATEWAY_SERVICEBUS", "GATEWAY_SERVICEBUS__fullyQualifiedNamespace"))
    if string and namespace:
        faults.append("GATEWAY_SERVICEBUS and GATEWAY_SERVICEBUS__fullyQualifiedNamespace are both set: one says where the queues are")
    if string and "endpoint=sb://" not in string.lower():
        faults.append("GATEWAY_SERVICEBUS must be a connection string, which holds Endpoint=sb://…")
    if namespace and not re.fullmatch(r"[A-Za-z0-9.-]+\.[A-Za-z]+", namespace):
        faults.append("GATEWAY_SERVICEBUS__fullyQualifiedNamespace must be a host, such as name.servicebus.windows.net")
    if env.get("GATEWAY_ALERTS_QUEUE") and not (string or namespace):
        faults.append("GATEWAY_ALERTS_QUEUE needs GATEWAY_SERVICEBUS, or GATEWAY_SERVICEBUS__fullyQualifiedNamespace")
    return string or namespace


def _safety(env: Mapping[str, str], faults: list[str]) -> SafetySettings:
    endpoint, key = env.get("GATEWAY_CONTENT_SAFETY_ENDPOINT", "").strip().rstrip("/"), env.get("GATEWAY_CONTENT_SAFETY_KEY", "")
    if endpoint and not _SERVICE.fullmatch(endpoint):
        faults.append(
            "GATEWAY_CONTENT_SAFETY_ENDPOINT must be https:// and a host, such as https://name.cognitiveservices.azure.com;"
            " http:// is for the loopback alone"
        )
    if key and not endpoint:
        faults.append("GATEWAY_CONTENT_SAFETY_KEY needs GATEWAY_CONTENT_SAFETY_ENDPOINT")
    return SafetySettings(endpoint, key)


def _egress(env: Mapping[str, str], faults: list[str]) -> tuple[str, ...]:
    hosts = tuple(each.lower() for each in _list(env, "GATEWAY_EGRESS_HOSTS"))
    form = "must be a host, *.suffix or an address, without https://; :port may follow"
    faults.extend(f"GATEWAY_EGRESS_HOSTS: {host[:64]!r} {form}" for host in hosts if not _HOSTS.fullmatch(host))
    return hosts


def _blocks(env: Mapping[str, str], name: str, faults: list[str]) -> tuple[str, ...]:
    for block in (blocks := _list(env, name)):
        try:
            ipaddress.ip_network(block)
        except ValueError:
            faults.append(f"{name}: {block[:64]!r} is no CIDR block, such as 203.0.113.0/24 or 2001:db8::/32")
    return blocks


def _list(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(each for part in env.get(name, "").split(",") if (each := part.strip()))
