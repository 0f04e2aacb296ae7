"""Who comes in: what tells callers, and what stands before us, as the settings say."""

from gateway.access.authenticate import Authenticator
from gateway.access.entra_tokens import TokenVerifier
from gateway.access.front import Front
from gateway.access.jwks import SigningKeys
from gateway.access.memory import Memory
from gateway.domain.access import Network
from gateway.ports import Clock
from gateway.settings_shapes import Settings


def authenticator_of(settings: Settings, memory: Memory, clock: Clock) -> Authenticator:
    """Return who tells callers; what it needs for tokens is imported where they are believed."""
    tokens = None
    if settings.entra.tenants:
        from gateway.adapters.jwks import KeySetEndpoint, keys_url  # noqa: PLC0415 - only where it is used

        keys = {
            tenant: SigningKeys(KeySetEndpoint(keys_url(settings.entra.jwks_url, tenant)).fetch, tenant, clock)
            for tenant in settings.entra.tenants
        }
        tokens = TokenVerifier(frozenset(settings.entra.audiences), keys, clock, settings.entra.claims)
    return Authenticator(
        memory.records,
        settings.key_pepper.encode(),
        settings.admin_key,
        identities=memory.identities,
        tokens=tokens,
        products=memory.products,
        front=front_of(settings),
    )


def front_of(settings: Settings) -> Front:
    """Return what stands before us, and from where one may call."""
    door = settings.door
    network = Network(allow=door.allow, deny=door.deny)
    return Front(door.front_id, door.front_required, network, door.country_header, frozenset(door.countries_denied))
