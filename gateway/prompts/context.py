"""What the gateway knows of a call, for prompts: `{{context.NAME}}` and `when`. No client can forge it, except where the name says so.

| name | is |
| --- | --- |
| `tenant`, `product`, `subscription` | whose call it is |
| `user` | the user whom a token proves; empty where none does |
| `claimed_user` | what `x-gateway-user` says, or the proved user: a client may write anything there |
| `session` | `x-gateway-session`, which is a client's word too |
| any other | an attribute of the tenant, the subscription or the token |
"""

from collections.abc import Mapping

from gateway.domain.access import Principal
from gateway.domain.labels import Labels

# What no attribute can be called.
RESERVED = frozenset({"tenant", "product", "subscription", "user", "claimed_user", "session"})


def context_of(principal: Principal, labels: Labels) -> Mapping[str, str]:
    """Return the context variables of a call.

    Args:
        principal: Who calls, with attributes that no client sets.
        labels: What the call says about itself.
    """
    return {
        **principal.attributes,
        "tenant": principal.tenant,
        "product": principal.product,
        "subscription": principal.subscription,
        "user": principal.user,
        "claimed_user": labels.user,
        "session": labels.session,
    }
