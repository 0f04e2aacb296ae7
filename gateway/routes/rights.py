"""Who may use which route of /manage, and what the audit trail calls it. One table, and nobody may do what is not in it.

A row per method and route, as registered: its action and the least role. `Gateway.Admin` may do everything; a
`Gateway.TenantAdmin` what its row says, and then for its own tenant only, which the operation itself sees to
(`domain/management.tenant_of`). What has no row is for `Gateway.Admin` alone. A test walks all routes.
"""

import functools
import re
from collections.abc import Mapping

import msgspec

from gateway.domain.access import Principal, Role
from gateway.errors import PermissionDenied

ADMIN, TENANT = Role.ADMIN, Role.TENANT_ADMIN


class Right(msgspec.Struct, frozen=True):
    """A row of the table.

    Attributes:
        method: In capitals.
        route: As registered.
        action: What the audit trail calls it; reads have one too, and leave no entry.
        role: The least that who asks must have.
        shown: Members of the document and of the answer that alone the audit trail gets to see; empty for all.
    """

    method: str
    route: str
    action: str
    role: Role = ADMIN
    shown: tuple[str, ...] = ()


_SUBSCRIPTION = "manage/subscriptions/{subscription}"
_LOOKUP_VALUE = "manage/lookups/{lookup}/{key}"
_NO_VALUE = ("object", "lookup", "tenant", "key")  # what is looked up may be anybody's data
_PROMPT = "manage/prompts/{prompt}"
_EXPERIMENT = "manage/experiments/{experiment}"
# What is said of a version; its texts stay in the library, and not in the trail.
_VERSION = ("tenant", "name", "version", "model", "description", "note", "labels")

RIGHTS = (
    Right("GET", "manage/tenants", "tenant.list"),
    Right("POST", "manage/tenants", "tenant.create"),
    Right("GET", "manage/tenants/{tenant}", "tenant.read", TENANT),
    Right("PATCH", "manage/tenants/{tenant}", "tenant.change"),
    Right("DELETE", "manage/tenants/{tenant}", "tenant.delete"),
    Right("GET", "manage/tenants/{tenant}/rules", "tenant.rules.read", TENANT),
    Right("PUT", "manage/tenants/{tenant}/rules", "tenant.rules.change", TENANT),
    Right("GET", "manage/guardrails", "guardrail.list"),
    Right("POST", "manage/guardrails/test", "guardrail.test", TENANT, ("guardrails", "direction", "outcome", "verdicts")),
    Right("GET", "manage/guardrails/report", "guardrail.report", TENANT),
    Right("GET", "manage/lookups", "lookup.list", TENANT),
    Right("GET", "manage/lookups/{lookup}", "lookup.keys", TENANT),
    Right("GET", _LOOKUP_VALUE, "lookup.value.read", TENANT),
    Right("PUT", _LOOKUP_VALUE, "lookup.value.change", TENANT, _NO_VALUE),
    Right("DELETE", _LOOKUP_VALUE, "lookup.value.delete", TENANT, _NO_VALUE),
    Right("GET", "manage/products", "product.list", TENANT),
    Right("POST", "manage/products", "product.create"),
    Right("GET", "manage/products/{product}", "product.read"),
    Right("PATCH", "manage/products/{product}", "product.change"),
    Right("DELETE", "manage/products/{product}", "product.delete"),
    Right("GET", "manage/subscriptions", "subscription.list", TENANT),
    Right("POST", "manage/subscriptions", "subscription.create", TENANT),
    Right("GET", _SUBSCRIPTION, "subscription.read", TENANT),
    Right("PATCH", _SUBSCRIPTION, "subscription.change"),
    Right("POST", f"{_SUBSCRIPTION}/approve", "subscription.approve"),
    Right("POST", f"{_SUBSCRIPTION}/reject", "subscription.reject"),
    Right("POST", f"{_SUBSCRIPTION}/suspend", "subscription.suspend", TENANT),
    Right("POST", f"{_SUBSCRIPTION}/resume", "subscription.resume", TENANT),
    Right("POST", f"{_SUBSCRIPTION}/cancel", "subscription.cancel", TENANT),
    Right("POST", _SUBSCRIPTION + "/keys/{slot}/regenerate", "key.regenerate", TENANT),
    Right("POST", _SUBSCRIPTION + "/keys/{slot}/revoke", "key.revoke", TENANT),
    Right("GET", "manage/prompts", "prompt.list", TENANT),
    Right("GET", _PROMPT, "prompt.read", TENANT),
    Right("DELETE", _PROMPT, "prompt.delete", TENANT),
    Right("GET", f"{_PROMPT}/versions", "prompt.version.list", TENANT),
    Right("POST", f"{_PROMPT}/versions", "prompt.version.create", TENANT, _VERSION),
    Right("GET", _PROMPT + "/versions/{version}", "prompt.version.read", TENANT),
    Right("GET", f"{_PROMPT}/labels", "prompt.label.list", TENANT),
    Right("PUT", _PROMPT + "/labels/{label}", "prompt.label.change", TENANT),
    Right("DELETE", _PROMPT + "/labels/{label}", "prompt.label.delete", TENANT),
    Right("POST", _PROMPT + "/labels/{label}/rollback", "prompt.label.rollback", TENANT),
    Right("GET", f"{_PROMPT}/diff", "prompt.diff", TENANT),
    Right("DELETE", "manage/sessions", "session.erase", TENANT),
    Right("GET", "manage/audit", "audit.list", TENANT),
    Right("GET", "manage/models", "model.list"),
    Right("GET", "manage/models/{model}", "model.read"),
    Right("PATCH", "manage/models/{model}", "model.change"),
    Right("GET", "manage/experiments", "experiment.list", TENANT),
    Right("POST", "manage/experiments", "experiment.create", TENANT),
    Right("GET", _EXPERIMENT, "experiment.read", TENANT),
    Right("PATCH", _EXPERIMENT, "experiment.change", TENANT),
    Right("DELETE", _EXPERIMENT, "experiment.delete", TENANT),
    Right("POST", f"{_EXPERIMENT}/start", "experiment.start", TENANT),
    Right("POST", f"{_EXPERIMENT}/stop", "experiment.stop", TENANT),
    Right("POST", f"{_EXPERIMENT}/promote", "experiment.promote", TENANT),
    Right("POST", f"{_EXPERIMENT}/rollback", "experiment.rollback", TENANT),
    Right("GET", f"{_EXPERIMENT}/results", "experiment.results", TENANT),
    Right("GET", "manage/deployments", "deployment.list"),
    Right("GET", "manage/deployments/{deployment}", "deployment.read"),
    Right("PATCH", "manage/deployments/{deployment}", "deployment.change"),
    Right("GET", "manage/alerts", "alert.list", TENANT),
    Right("POST", "manage/alerts/{alert}/replay", "alert.replay", TENANT),
    Right("GET", "manage/budgets", "budget.list", TENANT),
    Right("GET", "manage/limits", "limits.read", TENANT),
    Right("POST", "manage/limits/reconcile", "limits.reconcile"),
    Right("POST", "manage/replay", "replay", TENANT, ("tenant", "from", "to", "mode", "limit", "replayed", "cost_usd")),
    Right("DELETE", "manage/captures", "capture.erase", TENANT),
    Right("GET", "manage/costs", "costs.read", TENANT),
    Right("GET", "manage/usage", "usage.read", TENANT),
    Right("GET", "manage/usage/records", "usage.list", TENANT),
    Right("GET", "manage/usage/{request_id}", "usage.record", TENANT),
)


def right_of(method: str, path: str) -> tuple[Right, Mapping[str, str]]:
    """Return the row of a request and what its path names; one for `Gateway.Admin` alone where the table has none.

    Args:
        method: As sent.
        path: Decoded, as the host matched it. Literals match in any case, as they do there.
    """
    wanted = "GET" if method == "HEAD" else method
    for right in RIGHTS:
        if right.method == wanted and (found := _pattern(right.route).fullmatch(path.strip("/"))):
            return right, found.groupdict()
    return Right(wanted, path, f"{method.lower()}"), {}


def methods_of(path: str) -> list[str]:
    """Return the methods that a path takes; none where no route is registered for it."""
    return list(dict.fromkeys(right.method for right in RIGHTS if _pattern(right.route).fullmatch(path.strip("/"))))


def check_right(right: Right, principal: Principal) -> None:
    """Raise PermissionDenied where the principal's roles do not reach."""
    if Role.ADMIN in principal.roles or right.role in principal.roles:
        return
    raise PermissionDenied(f"this needs the role {right.role.value}; your key's subscription, or your token, has not got it")


@functools.cache
def _pattern(route: str) -> re.Pattern[str]:
    """Return what matches a route's paths; a slash of a model's name, or of a key's, comes decoded, so these alone may hold one."""
    parts = [
        f"(?P<{part[1:-1]}>{'.+' if part in {'{model}', '{key}'} else '[^/]+'})" if part.startswith("{") else f"(?i:{part})"
        for part in route.split("/")
    ]
    return re.compile("/".join(parts))
