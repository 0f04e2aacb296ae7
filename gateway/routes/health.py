"""Is the process up, and can it serve? Neither leaves a usage record: probes would drown the calls."""

import azure.functions as func
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response

bp = func.Blueprint()


@bp.function_name("healthz")
@bp.route(route="healthz", methods=["GET"])
async def healthz(req: Request) -> Response:  # noqa: ARG001 - the host binds it by name
    """Answer 200 as long as the process runs."""
    return JSONResponse({"status": "ok"})


@bp.function_name("readyz")
@bp.route(route="readyz", methods=["GET"])
async def readyz(req: Request) -> Response:  # noqa: ARG001 - the host binds it by name
    """Answer 200 when it serves."""
    return JSONResponse({"status": "ok"})
