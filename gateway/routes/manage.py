"""`/manage/…`: tenants, products, subscriptions, models, deployments and usage, for administrators.

Errors are RFC 9457 problems. A slash in a model's id is sent as %2F, as at /v1/models/{model}.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import azure.functions as func

from gateway.access.administration import Administration
from gateway.container import Gateway
from gateway.errors import GatewayError, MethodNotAllowed, NotFound
from gateway.routes.http import Request, Response, administer
from gateway.routes.table import ALL_METHODS

bp = func.Blueprint()

LISTS = ("tenants", "products", "subscriptions")
READS = ("usage", "models", "deployments")
_RECORD = re.compile("usage/[^/]+")
_CONTROLLED = re.compile("models/.+|deployments/[^/]+")  # the path comes decoded, so a model's own slash is a slash here


@bp.function_name("manage_tenants")
@bp.route(route="manage/tenants", methods=["GET", "POST"])
async def tenants(req: Request) -> Response:
    """List tenants, or create one."""
    return await _list_or_create(req, lambda admin: (admin.list_tenants, admin.create_tenant))


@bp.function_name("manage_products")
@bp.route(route="manage/products", methods=["GET", "POST"])
async def products(req: Request) -> Response:
    """List products, or create one."""
    return await _list_or_create(req, lambda admin: (admin.list_products, admin.create_product))


@bp.function_name("manage_subscriptions")
@bp.route(route="manage/subscriptions", methods=["GET", "POST"])
async def subscriptions(req: Request) -> Response:
    """List subscriptions, or create one and show its keys, once."""
    return await _list_or_create(req, lambda admin: (admin.list_subscriptions, admin.create_subscription))


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
    if req.method == "GET":
        return await administer(req, 200, lambda gateway, _: gateway.control.model(name), reads_body=False)
    return await administer(req, 200, lambda gateway, asked: gateway.control.change_model(name, asked.document))


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
    if req.method == "GET":
        return await administer(req, 200, lambda gateway, _: gateway.control.deployment(name), reads_body=False)
    return await administer(req, 200, lambda gateway, asked: gateway.control.change_deployment(name, asked.document))


@bp.function_name("manage_usage")
@bp.route(route="manage/usage", methods=["GET"])
async def usage(req: Request) -> Response:
    """Sum the usage records."""
    return await administer(req, 200, lambda gateway, asked: gateway.reports.usage(asked.query), reads_body=False)


@bp.function_name("manage_usage_record")
@bp.route(route="manage/usage/{request_id}", methods=["GET"])
async def usage_record(req: Request) -> Response:
    """Show one call's record, by its x-request-id."""
    return await administer(req, 200, lambda gateway, _: gateway.reports.record(req.path_params["request_id"]), reads_body=False)


@bp.function_name("zz_manage_unknown")
@bp.route(route="manage/{*path}", methods=ALL_METHODS)
async def unknown(req: Request) -> Response:
    """Refuse what no other route serves."""

    async def refuse(_gateway: Gateway, _asked: Any) -> Any:
        raise _refusal(req.method, req.scope["path"])

    return await administer(req, 200, refuse, reads_body=False)


type Pick = Callable[[Administration], tuple[Callable[[Any], Awaitable[Any]], Callable[[Any], Awaitable[Any]]]]


async def _list_or_create(req: Request, pick: Pick) -> Response:
    if req.method == "GET":
        return await administer(req, 200, lambda gateway, asked: pick(gateway.administration)[0](asked.query), reads_body=False)
    return await administer(req, 201, lambda gateway, asked: pick(gateway.administration)[1](asked.document))


def _refusal(method: str, path: str) -> GatewayError:
    name = path.lower().removeprefix("/manage/")
    if name in (*LISTS, *READS) or _RECORD.fullmatch(name) or _CONTROLLED.fullmatch(name):
        allowed = "GET, POST" if name in LISTS else "GET, PATCH" if _CONTROLLED.fullmatch(name) else "GET"
        if method in allowed.split(", "):  # a slash that should have been %2F
            return NotFound(f"there is no {path}", code="unknown_url")
        return MethodNotAllowed(f"{path} does not take {method}; it takes {allowed}", headers={"allow": allowed})
    return NotFound(f"there is no {path}", code="unknown_url")
