"""Is the process up, and can it serve? Neither leaves a usage record: probes would drown the calls."""

import azure.functions as func

from gateway import container
from gateway.routes.http import Request, Response, plain_json

bp = func.Blueprint()


@bp.function_name("healthz")
@bp.route(route="healthz", methods=["GET"])
async def healthz(req: Request) -> Response:  # noqa: ARG001 - the host binds it by name
    """Answer 200 as long as the process runs."""
    return plain_json(200, {"status": "ok"})


@bp.function_name("readyz")
@bp.route(route="readyz", methods=["GET"])
async def readyz(req: Request) -> Response:  # noqa: ARG001 - the host binds it by name
    """Answer 200 when the configuration holds and the stores answer, 503 and what is wrong otherwise."""
    checks = await container.readiness()
    ready = all(state == "ok" for state in checks.values())
    return plain_json(200 if ready else 503, {"status": "ok" if ready else "unavailable", "checks": checks})
