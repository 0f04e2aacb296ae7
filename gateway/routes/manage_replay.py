"""`/manage/replay`: recorded requests, run again under something else before it is deployed; and what was recorded, erased."""

import azure.functions as func

from gateway.routes.http import Request, Response, administer

bp = func.Blueprint()


@bp.function_name("manage_replay")
@bp.route(route="manage/replay", methods=["POST"])
async def replay(req: Request) -> Response:
    """Run captured calls again, and report what changed."""
    return await administer(req, 200, lambda gateway, asked: gateway.replaying.replay(asked))


@bp.function_name("manage_captures")
@bp.route(route="manage/captures", methods=["DELETE"])
async def erase(req: Request) -> Response:
    """Erase what was captured of a tenant, or of one of its users or sessions."""
    return await administer(req, 200, lambda gateway, asked: gateway.replaying.erase(asked), reads_body=False)
