"""`/manage/sessions`: what is kept of sessions is erased."""

import azure.functions as func

from gateway.routes.http import Request, Response, administer

bp = func.Blueprint()


@bp.function_name("manage_sessions")
@bp.route(route="manage/sessions", methods=["DELETE"])
async def sessions(req: Request) -> Response:
    """Erase a tenant's conversations, narrowed by what the query gives."""
    return await administer(req, 200, lambda gateway, asked: gateway.studio.sessions.erase_many(asked), reads_body=False)
