"""`/manage/…`: tenants, products, models, deployments, the audit trail; and what no route of /manage serves.

Errors are RFC 9457 problems. A slash in a model's id is sent as %2F, as at /v1/models/{model}. Who may do what is in `rights.py`.
A function does what its method says and otherwise reads: hosts hand a HEAD to what takes GET.
"""

from typing import Any
from urllib.parse import unquote

import azure.functions as func

from gateway.container import Gateway
from gateway.errors import GatewayError, MethodNotAllowed, NotFound
from gateway.routes.http import Request, Response, administer
from gateway.routes.rights import methods_of
from gateway.routes.table import ALL_METHODS

bp = func.Blueprint()


@bp.function_name("manage_tenants")
@bp.route(route="manage/tenants", methods=["GET", "POST"])
async def tenants(req: Request) -> Response:
    """List tenants, or create one."""
    if req.method == "POST":
        return await administer(req, 201, lambda gateway, asked: gateway.administration.create_tenant(asked))
    return await administer(req, 200, lambda gateway, asked: gateway.administration.list_tenants(asked), reads_body=False)


@bp.function_name("manage_tenant")
@bp.route(route="manage/tenants/{tenant}", methods=["GET", "PATCH", "DELETE"])
async def tenant(req: Request) -> Response:
    """Show a tenant, change, suspend or resume it, or delete it."""
    name = unquote(req.path_params["tenant"])
    if req.method == "PATCH":
        return await administer(req, 200, lambda gateway, asked: gateway.administration.change_tenant(asked, name))
    if req.method == "DELETE":
        return await administer(req, 204, lambda gateway, asked: gateway.administration.delete_tenant(asked, name), reads_body=False)
    return await administer(req, 200, lambda gateway, asked: gateway.administration.tenant(asked, name), reads_body=False)


@bp.function_name("manage_products")
@bp.route(route="manage/products", methods=["GET", "POST"])
async def products(req: Request) -> Response:
    """List products, or create one."""
    if req.method == "POST":
        return await administer(req, 201, lambda gateway, asked: gateway.administration.create_product(asked))
    return await administer(req, 200, lambda gateway, asked: gateway.administration.list_products(asked), reads_body=False)


@bp.function_name("manage_product")
@bp.route(route="manage/products/{product}", methods=["GET", "PATCH", "DELETE"])
async def product(req: Request) -> Response:
    """Show a product, change or delete it."""
    name = unquote(req.path_params["product"])
    if req.method == "PATCH":
        return await administer(req, 200, lambda gateway, asked: gateway.administration.change_product(asked, name))
    if req.method == "DELETE":
        return await administer(req, 204, lambda gateway, asked: gateway.administration.delete_product(asked, name), reads_body=False)
    return await administer(req, 200, lambda gateway, asked: gateway.administration.product(asked, name), reads_body=False)


@bp.function_name("manage_audit")
@bp.route(route="manage/audit", methods=["GET"])
async def audit(req: Request) -> Response:
    """List the audit trail."""
    return await administer(req, 200, lambda gateway, asked: gateway.audit.list(asked), reads_body=False)


@bp.function_name("manage_models")
@bp.route(route="manage/models", methods=["GET"])
async def models(req: Request) -> Response:
    """List models as they stand: pools, weights, lifecycles, health."""
    return await administer(req, 200, lambda gateway, asked: gateway.control.list_models(asked.query), reads_body=False)


@bp.function_name("manage_model")
@bp.route(route="manage/models/{model}", methods=["GET", "PATCH"])
async def model(req: Request) -> Response:
    """Show a model, or change its weights and lifecycle without a restart."""
    name = unquote(req.path_params["model"])
    if req.method == "PATCH":
        return await administer(req, 200, lambda gateway, asked: gateway.control.change_model(name, asked.document, asked.if_match))
    return await administer(req, 200, lambda gateway, _: gateway.control.model(name), reads_body=False)


@bp.function_name("manage_deployments")
@bp.route(route="manage/deployments", methods=["GET"])
async def deployments(req: Request) -> Response:
    """List deployments as they stand."""
    return await administer(req, 200, lambda gateway, asked: gateway.control.list_deployments(asked.query), reads_body=False)


@bp.function_name("manage_deployment")
@bp.route(route="manage/deployments/{deployment}", methods=["GET", "PATCH"])
async def deployment(req: Request) -> Response:
    """Show a deployment, or drain it or change its price without a restart."""
    name = unquote(req.path_params["deployment"])
    if req.method == "PATCH":
        return await administer(req, 200, lambda gateway, asked: gateway.control.change_deployment(name, asked.document, asked.if_match))
    return await administer(req, 200, lambda gateway, _: gateway.control.deployment(name), reads_body=False)


@bp.function_name("zz_manage_unknown")
@bp.route(route="manage/{*path}", methods=ALL_METHODS)
async def unknown(req: Request) -> Response:
    """Refuse what no other route serves."""

    async def refuse(_gateway: Gateway, _asked: Any) -> Any:
        raise _refusal(req.method, req.scope["path"])

    return await administer(req, 200, refuse, reads_body=False)


def _refusal(method: str, path: str) -> GatewayError:
    allowed = methods_of(path)
    if allowed and method not in allowed:  # otherwise a slash that should have been %2F
        named = ", ".join(allowed)
        return MethodNotAllowed(f"{path} does not take {method}; it takes {named}", headers={"allow": named})
    return NotFound(f"there is no {path}", code="unknown_url")
