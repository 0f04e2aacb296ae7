"""May this caller do this with this model? The globs of its product decide, narrowed by those of its subscription.

Both have globs over model ids and over operations (`chat`, `images.*`); an empty list of the subscription leaves the product's
as it is, and an empty list of operations means all.

A call to a model of the catalogue that the product leaves out is told so (403), so that its sender knows what to ask
for; a name the catalogue has not got is 404. Lists show only what may be called.

An id of a stored response is no key to its model: where it leads out of what is asked for, both must be allowed.
"""

import msgspec

from gateway.domain.access import Principal, Product
from gateway.domain.call import Call, Operation, Surface
from gateway.domain.catalog import Catalog, Model, allows, matches
from gateway.errors import ModelNotFound, PermissionDenied


def find_model(catalog: Catalog, name: str, surface: Surface = Surface.OPENAI) -> Model:
    """Return the model of that id or alias; ModelNotFound (404) where there is none.

    Args:
        catalog: As it stands now.
        name: What the client calls it; at /ai the backend in its path.
        surface: Whose URL shape the client used.
    """
    model = catalog.find(name)
    if model is not None:
        return model
    if surface is Surface.AI:  # its backends are in no list that clients may see
        raise ModelNotFound(f"there is no backend {name!r} at /ai; check the name, or ask the gateway's operator for it", param="backend")
    raise ModelNotFound(f"the model {name!r} does not exist; GET /v1/models lists those you may call", param="model")


def find_origin(catalog: Catalog, call: Call, model: Model) -> tuple[Call, Model]:
    """Return the model whose state the call continues, where the pool of the one asked for does not hold it; else that one.

    Args:
        catalog: As it stands now.
        call: Its ids opened; `origin` of the returned one is empty where it needs no rights of its own.
        model: The one asked for.

    Raises:
        ModelNotFound: There is no such model any more.
    """
    pinned = catalog.deployments.get(call.pinned)
    own = pinned is None or any(member.deployment.backend.id == pinned.backend.id for member in model.pool)
    origin = model if own else find_model(catalog, call.origin)
    return msgspec.structs.replace(call, origin="" if origin is model else origin.id), origin


def authorize(principal: Principal, product: Product | None, model: Model, operation: Operation = Operation.CHAT) -> Product:
    """Return the caller's product if it, and the subscription, cover the model and the operation.

    Raises:
        PermissionDenied: The product is gone, or one of them does not.
    """
    if product is None:
        raise PermissionDenied(f"the product {principal.product!r} of your subscription no longer exists", code="product_not_found")
    if not allows(product, model, principal.models):
        whose = "your subscription" if allows(product, model) else f"the product {product.id!r}"
        raise PermissionDenied(
            f"{whose} does not include the model {model.id!r}; ask for a subscription to one that does",
            param="model",
            code="model_not_allowed",
        )
    if product.operations or principal.operations:
        _check_operation(principal, product, operation)
    return product


def _check_operation(principal: Principal, product: Product, operation: Operation) -> None:
    # Whoever may make a response may do with it what there is to do.
    names = ("responses", "responses.item") if operation is Operation.RESPONSE_ITEM else (operation.value,)
    for globs, whose in ((product.operations, f"the product {product.id!r}"), (principal.operations, "your subscription")):
        if globs and not any(matches(globs, name) for name in names):
            raise PermissionDenied(
                f"{whose} does not include the operation {operation.value!r}; ask for a subscription to one that does",
                code="operation_not_allowed",
            )
