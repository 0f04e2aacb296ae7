"""Whose limits a call is under: nested scopes, the outermost first, each with its own counters.

    gateway            all calls of all tenants                        catalogue: limits
    tenant|<t>         all of the tenant's subscriptions               tenant: limits
    product|<t>|<p>    the tenant's subscriptions to the product       product: shared_limits
    subscription|<t>|<s>   one subscription                            product: limits, subscription: limits; the tighter of each
    user|<t>|<s>|<hash>    one user of it, where the call names one    product: user_limits

The names are the partitions of the table `limits`. What could not stand in a key, and every user, is hashed.
Of a product's and a subscription's ceilings on the same metric and window one holds: an enforced one before a soft one before
a shadow, and of the same mode the lower one.
"""

import hashlib
import re

import msgspec

from gateway.domain.access import Principal, Product
from gateway.domain.limits import NO_LIMITS, Ceiling, Limits, Mode

REMEMBERED = 10_000
_PLAIN = re.compile(r"[A-Za-z0-9._:@-]{1,80}")
_STRICTNESS = {Mode.ENFORCE: 0, Mode.SOFT: 1, Mode.SHADOW: 2}


class Scope(msgspec.Struct, frozen=True):
    """One level at which calls are counted.

    Attributes:
        kind: gateway | tenant | product | subscription | user.
        partition: Of the table `limits`.
        ceilings: At most one of each metric and window.
    """

    kind: str
    partition: str
    ceilings: tuple[Ceiling, ...]


class _Known(msgspec.Struct, frozen=True):
    gateway: Limits
    principal: Principal
    product: Product
    scopes: tuple[Scope, ...]


_known: dict[tuple[str, str, str], _Known] = {}


def scopes_of(gateway: Limits, principal: Principal, product: Product, user: str) -> tuple[Scope, ...]:
    """Return the scopes that have limits; () for a call without any. The same values give the same tuple.

    Args:
        gateway: The whole gateway's limits.
        principal: Whose tenant and subscription.
        product: Whose limits apply to the subscription, to all of the tenant's together, and to each user.
        user: Whom the call is for; empty where nobody says.
    """
    if product.user_limits is NO_LIMITS or product.user_limits == NO_LIMITS:
        user = ""  # nothing is counted by user: one entry for all of them
    key = (principal.tenant, principal.subscription, user)
    found = _known.get(key)
    if found is not None and found.principal is principal and found.product is product and found.gateway is gateway:
        return found.scopes
    scopes = _scopes(gateway, principal, product, user)
    if found is not None and found.scopes == scopes:
        scopes = found.scopes
    elif len(_known) >= REMEMBERED:
        _known.pop(next(iter(_known)))
    _known[key] = _Known(gateway, principal, product, scopes)
    return scopes


def _scopes(gateway: Limits, principal: Principal, product: Product, user: str) -> tuple[Scope, ...]:
    names = partitions_of(principal.tenant, product.id, principal.subscription, user)
    own = (*product.limits.ceilings("product"), *principal.limits.ceilings("subscription"))
    levels = [
        Scope("gateway", names[0], gateway.ceilings("gateway")),
        Scope("tenant", names[1], principal.tenant_limits.ceilings("tenant")),
        Scope("product", names[2], product.shared_limits.ceilings("product")),
        Scope("subscription", names[3], _tightest(own)),
    ]
    if user:
        levels.append(Scope("user", names[4], product.user_limits.ceilings("user")))
    return tuple(scope for scope in levels if scope.ceilings)


def partitions_of(tenant: str, product: str, subscription: str, user: str) -> tuple[str, ...]:
    """Return the partitions of all scopes that such a call is in, with limits or without; the user's only where there is one."""
    of_tenant, of_subscription = _part(tenant), _part(subscription)
    outer = (
        "gateway",
        f"tenant|{of_tenant}",
        f"product|{of_tenant}|{_part(product)}",
        f"subscription|{of_tenant}|{of_subscription}",
    )
    return (*outer, f"user|{of_tenant}|{of_subscription}|{_hashed(user)}") if user else outer


def tenant_of_partition(partition: str) -> str | None:
    """Return whose scope it is; None for the gateway's, and where the tenant's name is hashed."""
    tenant = partition.split("|")[1] if "|" in partition else ""
    return tenant if tenant and not tenant.startswith("~") else None


def _tightest(ceilings: tuple[Ceiling, ...]) -> tuple[Ceiling, ...]:
    best: dict[str, Ceiling] = {}
    for ceiling in ceilings:
        other = best.get(ceiling.name)
        # What stands equal is called the subscription's: it comes last.
        if other is None or (_STRICTNESS[ceiling.mode], ceiling.amount) <= (_STRICTNESS[other.mode], other.amount):
            best[ceiling.name] = ceiling
    return tuple(best.values())


def _part(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else f"~{_hashed(name)}"


def _hashed(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
