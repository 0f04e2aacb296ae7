"""What a worker remembers of who may ask, and how it forgets what it changed itself.

Other workers follow within STALE_S: a revoked key, a suspended tenant and a changed product are everywhere in effect within
5 s. The worker that made the change follows at once.
"""

from collections.abc import Iterable

from gateway.access.directory import Directory, KeyRecord
from gateway.cached import Cached
from gateway.domain.access import Product
from gateway.ports import Clock

FRESH_S = 2.5
STALE_S = 4.0


class Memory:
    """Records of keys and identities, and products.

    Args:
        directory: What they are read from.
        clock: What ages them.
    """

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self.records: Cached[KeyRecord] = Cached(directory.key_record, clock, fresh_s=FRESH_S, stale_s=STALE_S)
        self.identities: Cached[KeyRecord] = Cached(directory.identity_record, clock, fresh_s=FRESH_S, stale_s=STALE_S)
        self.products: Cached[Product] = Cached(directory.product, clock, fresh_s=FRESH_S, stale_s=STALE_S)

    def forget_subscription(self, subscription_id: str, identities: Iterable[str] = ()) -> None:
        """Forget what a subscription's keys and identities stand for; `identities` are those that had none before."""
        for cached in (self.records, self.identities):
            cached.forget_all(lambda record: record.principal.subscription == subscription_id)
        for identity in identities:
            self.identities.forget(identity)

    def forget_tenant(self, tenant: str) -> None:
        """Forget what all keys and identities of a tenant stand for."""
        for cached in (self.records, self.identities):
            cached.forget_all(lambda record: record.principal.tenant == tenant)

    def forget_product(self, product_id: str) -> None:
        """Forget a product."""
        self.products.forget(product_id)
