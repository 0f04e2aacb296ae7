"""What the settings are, once they are read: frozen values, whose secrets do not show."""

from collections.abc import Mapping

import msgspec


class SettingsError(Exception):
    """The environment cannot be used; the message lists every fault with its setting's name."""


class EntraSettings(msgspec.Struct, frozen=True):
    """Whose access tokens are believed.

    Attributes:
        tenants: Ids of Entra tenants, in small letters; empty where no token is.
        audiences: Our application's id URI and client id.
        jwks_url: Where the keys are, if not where Microsoft publishes them; `{tid}` in it stands for the tenant.
        claims: Claims that become attributes of a call: claim → attribute.
    """

    tenants: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    jwks_url: str = ""
    claims: Mapping[str, str] = {}


class DoorSettings(msgspec.Struct, frozen=True):
    """What stands before the gateway, and who gets in.

    Attributes:
        front_id: What the front proves itself with; empty where none is trusted.
        front_required: Whoever does not come through it is refused.
        trusted_hops: How many proxies append to `x-forwarded-for`.
        allow: CIDR blocks that may call; empty for all.
        deny: CIDR blocks that may not.
        country_header: In which header the front says the country, in small letters.
        countries_denied: Two capital letters each.
    """

    front_id: str = ""
    front_required: bool = False
    trusted_hops: int = 0
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    country_header: str = ""
    countries_denied: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"DoorSettings(front_required={self.front_required!r}, …)"  # whoever knows the front's id can pass for it


class AlertSettings(msgspec.Struct, frozen=True):
    """Who is told of alerts; empty for nobody.

    Attributes:
        webhook: An https URL.
        webhook_secret: What signs posts to it.
        queue: A queue of Service Bus.
    """

    webhook: str = ""
    webhook_secret: str = ""
    queue: str = ""

    def __repr__(self) -> str:
        return f"AlertSettings(queue={self.queue!r}, …)"  # a webhook's URL may hold a secret of its own


class SafetySettings(msgspec.Struct, frozen=True):
    """Where Azure AI Content Safety is.

    Attributes:
        endpoint: Its resource's, without a slash at the end; empty where there is none.
        key: Its key; empty where the gateway's identity asks.
    """

    endpoint: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"SafetySettings(endpoint={self.endpoint!r}, …)"


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
        entra: Whose access tokens are believed.
        door: What stands before the gateway, and who gets in.
        alerts: Who is told of alerts.
        servicebus: A connection string, or a namespace's host; empty for no queues.
        keyvault_suffix: What follows a vault's name in its host; or `http://` and a loopback address.
        environment: Everything, for `${env:NAME}` in the catalogue.
        safety: Where Azure AI Content Safety is.
        egress: Hosts that the gateway may call on somebody else's word: `host`, `*.suffix`, either with a port.
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
    entra: EntraSettings
    door: DoorSettings
    alerts: AlertSettings
    servicebus: str
    keyvault_suffix: str
    environment: Mapping[str, str]
    safety: SafetySettings = SafetySettings()
    egress: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Settings(catalog={self.catalog.partition('?')[0]!r}, …)"  # a URL's query may be a signature
