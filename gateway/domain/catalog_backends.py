"""The catalogue's backends and deployments: entries become the values of `deployment.py`.

What a protocol or a vendor always means is filled in here, so that nobody has to write it:

| protocol | endpoint | header of `api-key` | else |
| --- | --- | --- | --- |
| `openai` | the vendor's, or https://api.openai.com/v1 | `api-key` | `auth` is the vendor's way |
| `azure-openai` | | `api-key` | api_version 2024-10-21 |
| `anthropic` | https://api.anthropic.com | `x-api-key` | api_version 2023-06-01 |
| `gemini` | https://generativelanguage.googleapis.com | `x-goog-api-key` | |
| `bedrock` | https://bedrock-runtime.{region}.amazonaws.com | `api-key` | |
| `cohere` | https://api.cohere.com | `api-key` | |
| `azure-ai` | | `Ocp-Apim-Subscription-Key` | |
| `azure-ml` | | `api-key` | a managed identity's scope is https://ml.azure.com/.default |
| `rest` | | `api-key` | |
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import SplitResult, urlsplit

from gateway.domain.capabilities import CAPABILITIES
from gateway.domain.catalog_prices import deployment_price
from gateway.domain.catalog_schema import AuthEntry, BackendEntry, CapacityEntry, CapEntry, CatalogError, DeploymentEntry
from gateway.domain.deployment import Auth, AuthType, Backend, Capacity, Deployment, Protocol, UsageCap
from gateway.domain.price_book import NO_PRICES, PriceBook
from gateway.domain.secret_references import REFERENCE_RULE, SCHEME, parse_reference
from gateway.domain.vendors import VENDORS

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
SKUS = frozenset({"standard", "global-standard", "data-zone", "provisioned", "batch", "self-hosted"})
# Asked for at /ai/{backend}, not by a model's name.
BY_BACKEND = frozenset({Protocol.AZURE_AI, Protocol.AZURE_ML, Protocol.REST})
PERIODS = ("day", "month")
MAX_USD = 1_000_000
_ENDPOINTS = {
    Protocol.OPENAI: "https://api.openai.com/v1",
    Protocol.ANTHROPIC: "https://api.anthropic.com",
    Protocol.GEMINI: "https://generativelanguage.googleapis.com",
    Protocol.COHERE: "https://api.cohere.com",
}
_HEADERS = {
    Protocol.ANTHROPIC: "x-api-key",
    Protocol.GEMINI: "x-goog-api-key",
    Protocol.AZURE_AI: "Ocp-Apim-Subscription-Key",
}
_API_VERSIONS = {Protocol.AZURE_OPENAI: "2024-10-21", Protocol.ANTHROPIC: "2023-06-01"}
_ML_SCOPE = "https://ml.azure.com/.default"
_KEYED = frozenset({AuthType.API_KEY, AuthType.BEARER, AuthType.QUERY, AuthType.AWS_SIGV4})
# Which type each other member of `auth` belongs to.
_BELONGS = {
    "name": frozenset({AuthType.API_KEY, AuthType.QUERY}),
    "scope": frozenset({AuthType.MANAGED_IDENTITY}),
    "client_id": frozenset({AuthType.MANAGED_IDENTITY}),
    "key_id": frozenset({AuthType.AWS_SIGV4}),
    "session_token": frozenset({AuthType.AWS_SIGV4}),
    "region": frozenset({AuthType.AWS_SIGV4}),
    "service": frozenset({AuthType.AWS_SIGV4}),
}
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}\Z")  # RFC 9110, 5.6.2: what can name a header
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}\Z")


def build_backend(entry: BackendEntry, path: str) -> Backend:
    """Check a backend and fill in what its protocol and vendor say."""
    vendor = VENDORS.get(entry.vendor) if entry.vendor else None
    if entry.vendor and vendor is None:
        raise CatalogError(f"{path}.vendor", f"{entry.vendor!r} is not one of {', '.join(sorted(VENDORS))}")
    if vendor is not None and entry.protocol is not Protocol.OPENAI:
        raise CatalogError(f"{path}.vendor", f"belongs to the protocol openai, not to {entry.protocol.value}; leave it out")
    if entry.internal and entry.protocol not in BY_BACKEND:
        raise CatalogError(f"{path}.internal", f"means nothing to the protocol {entry.protocol.value}, which nobody asks for at /ai/")
    auth = _auth(entry, vendor.auth if vendor is not None else None, path)
    endpoint = entry.endpoint or (vendor.endpoint if vendor is not None else _default_endpoint(entry, path))
    if not endpoint:
        raise CatalogError(f"{path}.endpoint", "is needed: neither the protocol nor the vendor has one of its own")
    _check_endpoint(endpoint, f"{path}.endpoint")
    version = entry.api_version or _API_VERSIONS.get(entry.protocol, "")
    return Backend(entry.id, entry.protocol, endpoint.rstrip("/"), auth, entry.region, entry.data_zone, version, entry.vendor)


def _default_endpoint(entry: BackendEntry, path: str) -> str:
    if entry.protocol is not Protocol.BEDROCK:
        return _ENDPOINTS.get(entry.protocol, "")
    region = (entry.auth.region if entry.auth else "") or entry.region
    if not _REGION.match(region):
        raise CatalogError(f"{path}.region", "must be the AWS region, such as us-east-1, unless there is an `endpoint`")
    return f"https://bedrock-runtime.{region}.amazonaws.com"


def _check_endpoint(endpoint: str, path: str) -> None:
    parts = _split(endpoint)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise CatalogError(path, "must be an absolute https URL without user, query or fragment")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise CatalogError(path, "http:// is refused, except on loopback; use https://")


def _split(endpoint: str) -> SplitResult | None:
    """Split a URL; None where it cannot be one, or where a path cannot simply be added to it."""
    try:
        parts = urlsplit(endpoint)
        good = endpoint.isprintable() and " " not in endpoint and not parts.query and not parts.fragment and parts.port != 0
    except ValueError:  # a broken IPv6 address or port
        return None
    return parts if good else None


def _auth(backend: BackendEntry, usual: AuthType | None, path: str) -> Auth:
    entry = backend.auth
    if entry is None:
        if usual is not AuthType.NONE:
            raise CatalogError(f"{path}.auth", "is needed; {type: none} says that the backend asks for nothing")
        return Auth(type=AuthType.NONE)
    path = f"{path}.auth"
    kind = entry.type or usual
    if kind is None:
        raise CatalogError(path, "needs a `type`: " + ", ".join(item.value for item in AuthType))
    if (kind in _KEYED) != bool(entry.key):
        raise CatalogError(f"{path}.key", f"auth type {kind.value} " + ("needs a key" if kind in _KEYED else "takes no key"))
    for member, kinds in _BELONGS.items():
        if getattr(entry, member) and kind not in kinds:
            raise CatalogError(f"{path}.{member}", f"auth type {kind.value} takes no {member}")
    for member in ("key", "key_id", "session_token"):
        value: str = getattr(entry, member)
        if not value.isprintable() or value != value.strip():
            raise CatalogError(f"{path}.{member}", "the secret has white space around it, or a line break or control character in it")
        # Checked here, where a setting's value is in its place: it may be a reference as well, or a part of one.
        if value.startswith(SCHEME) and (member == "key_id" or parse_reference(value) is None):
            known = "is no secret, so it is no reference to a vault" if member == "key_id" else f"is no reference: {REFERENCE_RULE}"
            raise CatalogError(f"{path}.{member}", known)
    return _filled(entry, kind, backend, path)


def _filled(entry: AuthEntry, kind: AuthType, backend: BackendEntry, path: str) -> Auth:
    given = {member: value for member in _BELONGS if (value := getattr(entry, member))}
    if kind is AuthType.API_KEY:
        given.setdefault("name", _HEADERS.get(backend.protocol, "api-key"))
    elif kind is AuthType.MANAGED_IDENTITY and backend.protocol is Protocol.AZURE_ML:
        given.setdefault("scope", _ML_SCOPE)
    elif kind is AuthType.QUERY and not entry.name:
        raise CatalogError(f"{path}.name", "auth type query needs the name of the parameter")
    elif kind is AuthType.AWS_SIGV4:
        if not entry.key_id:
            raise CatalogError(f"{path}.key_id", "auth type aws-sigv4 needs the access key's id")
        given.setdefault("region", backend.region)
        if not _REGION.match(given["region"]):
            raise CatalogError(f"{path}.region", "auth type aws-sigv4 needs the region, here or at the backend, such as us-east-1")
    if "name" in given and not _TOKEN.match(given["name"]):
        raise CatalogError(f"{path}.name", "cannot name a header or parameter: letters, digits and - _ . only")
    return Auth(type=kind, key=entry.key, **given)


def build_deployment(entry: DeploymentEntry, path: str, backends: Mapping[str, Backend], book: PriceBook = NO_PRICES) -> Deployment:
    """Check a deployment against the backends, and look its price up where the file says none."""
    if entry.backend not in backends:
        raise CatalogError(f"{path}.backend", f"there is no backend {entry.backend!r}")
    if entry.sku not in SKUS:
        raise CatalogError(f"{path}.sku", f"{entry.sku!r} is not one of {', '.join(sorted(SKUS))}")
    check_share(entry.quality, f"{path}.quality")
    check_least(entry.context_window, f"{path}.context_window")
    check_capabilities(entry.capabilities, f"{path}.capabilities")
    backend = backends[entry.backend]
    capacity = _capacity(entry.capacity, f"{path}.capacity") if entry.capacity else Capacity()
    price, origin = deployment_price(entry, path, backend, capacity, book)
    return Deployment(
        id=entry.id,
        backend=backend,
        name=entry.name or entry.id,
        sku=entry.sku,
        quota_group=entry.quota_group,
        price=price,
        price_origin=origin,
        capacity=capacity,
        capabilities=entry.capabilities,
        context_window=entry.context_window,
        quality=entry.quality,
        cap=_cap(entry.cap, f"{path}.cap", priced=price is not None) if entry.cap else None,
        draining=entry.draining,
    )


def _capacity(entry: CapacityEntry, path: str) -> Capacity:
    for name in ("ptu", "tpm", "rpm", "concurrency"):
        check_least(getattr(entry, name), f"{path}.{name}")
    check_least(entry.queue, f"{path}.queue", 0)
    return Capacity(entry.ptu, entry.tpm, entry.rpm, entry.concurrency, entry.queue)


def _cap(entry: CapEntry, path: str, *, priced: bool) -> UsageCap:
    if entry.period not in PERIODS:
        raise CatalogError(f"{path}.period", f"{entry.period!r} is not one of {', '.join(PERIODS)}")
    if entry.tokens is None and entry.usd is None:
        raise CatalogError(path, "needs `tokens`, `usd`, or both")
    check_least(entry.tokens, f"{path}.tokens")
    if entry.usd is not None and not 0 < entry.usd <= MAX_USD**2:
        raise CatalogError(f"{path}.usd", "must be more than 0")
    if entry.usd is not None and not priced:
        raise CatalogError(f"{path}.usd", "needs a `price`: nothing is known of what its calls cost, so it would never be reached")
    return UsageCap(entry.period, entry.tokens, None if entry.usd is None else round(entry.usd * 1_000_000))


def check_least(value: int | None, path: str, least: int = 1) -> None:
    """Refuse a number below `least`; None is none."""
    if value is not None and value < least:
        raise CatalogError(path, f"must be at least {least}")


def check_share(value: float | None, path: str) -> None:
    """Refuse what is not from 0 to 1; None is none."""
    if value is not None and not 0 <= value <= 1:
        raise CatalogError(path, "must be from 0 to 1")


def check_capabilities(names: Sequence[str], path: str) -> None:
    """Refuse a capability that nobody knows, because a misspelt one would shut its model out of what it can do."""
    for index, name in enumerate(names):
        if name not in CAPABILITIES:
            raise CatalogError(f"{path}[{index}]", f"{name!r} is not one of {', '.join(sorted(CAPABILITIES))}")
