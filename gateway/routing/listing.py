"""GET /v1/models and /v1/models/{model}: the models that a caller's product includes."""

from collections.abc import Awaitable, Callable

from gateway.domain import models_list
from gateway.domain.access import Principal, Product
from gateway.domain.call import Answer, Inbound, Operation
from gateway.domain.catalog import Catalog, allows
from gateway.errors import ModelNotFound
from gateway.ports import Clock
from gateway.routing.lifecycle import refuse_retired


class Listing:
    """Lists models.

    Args:
        product: Returns a product by its id; None where there is none.
        clock: The time.
    """

    def __init__(self, product: Callable[[str], Awaitable[Product | None]], clock: Clock) -> None:
        self._product = product
        self._clock = clock

    async def answer(
        self, inbound: Inbound, _receive_body: Callable[[], Awaitable[bytes]], principal: Principal, catalog: Catalog
    ) -> Answer:
        """Return all of them, or the one that the path names.

        Raises:
            ModelNotFound: There is none of this name, or the caller's product does not include it.
        """
        product = await self._product(principal.product)
        if inbound.operation is Operation.LIST_MODELS:
            return Answer(
                headers={}, body=models_list.render(catalog.visible(product, self._clock.utc(), principal.models) if product else [])
            )
        found = catalog.find(inbound.path_model)
        if found is None or product is None or not allows(product, found, principal.models):
            raise ModelNotFound(f"the model {inbound.path_model!r} does not exist, or your product does not include it", param="model")
        refuse_retired(found, self._clock.utc())
        return Answer(headers={}, body=models_list.render_one(found))
