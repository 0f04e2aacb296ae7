"""May this caller use this model? The product's globs decide.

A call to a model of the catalogue that the product leaves out is told so (403), so that its sender knows what to ask
for; a name the catalogue has not got is 404. Lists show only what may be called.
"""

from gateway.domain.access import Principal, Product
from gateway.domain.catalog import Catalog, Model, allows
from gateway.errors import ModelNotFound, PermissionDenied


def find_model(catalog: Catalog, name: str) -> Model:
    """Return the model of that id or alias; ModelNotFound (404) where there is none."""
    model = catalog.find(name)
    if model is None:
        raise ModelNotFound(f"the model {name!r} does not exist; GET /v1/models lists those you may call", param="model")
    return model


def authorize(principal: Principal, product: Product | None, model: Model) -> Product:
    """Return the caller's product if it covers the model.

    Raises:
        PermissionDenied: The product is gone, or does not cover the model.
    """
    if product is None:
        raise PermissionDenied(f"the product {principal.product!r} of your subscription no longer exists", code="product_not_found")
    if not allows(product, model):
        raise PermissionDenied(
            f"the product {product.id!r} does not include the model {model.id!r}; ask for a subscription to one that does",
            param="model",
            code="model_not_allowed",
        )
    return product
