"""`/manage/lookups`: what prompts can look up, and the values of table lookups."""

from urllib.parse import unquote

import azure.functions as func

from gateway.routes.http import Request, Response, administer

bp = func.Blueprint()


@bp.function_name("manage_lookups")
@bp.route(route="manage/lookups", methods=["GET"])
async def lookups(req: Request) -> Response:
    """List lookups."""
    return await administer(req, 200, lambda gateway, asked: gateway.studio.lookups.list(asked), reads_body=False)


@bp.function_name("manage_lookup")
@bp.route(route="manage/lookups/{lookup}", methods=["GET"])
async def keys(req: Request) -> Response:
    """List the keys of a table lookup."""
    name = unquote(req.path_params["lookup"])
    return await administer(req, 200, lambda gateway, asked: gateway.studio.lookups.keys(asked, name), reads_body=False)


@bp.function_name("manage_lookup_value")
@bp.route(route="manage/lookups/{lookup}/{key}", methods=["GET", "PUT", "DELETE"])
async def value(req: Request) -> Response:
    """Show, write or delete the value of a key."""
    name, key = unquote(req.path_params["lookup"]), unquote(req.path_params["key"])
    if req.method == "PUT":
        return await administer(req, 200, lambda gateway, asked: gateway.studio.lookups.set_value(asked, name, key))
    if req.method == "DELETE":
        return await administer(req, 204, lambda gateway, asked: gateway.studio.lookups.delete_value(asked, name, key), reads_body=False)
    return await administer(req, 200, lambda gateway, asked: gateway.studio.lookups.value(asked, name, key), reads_body=False)
