"""`/manage/limits`: counters beside the ledger, and what dead processes held, taken back."""

import azure.functions as func

from gateway.routes.http import Request, Response, administer

bp = func.Blueprint()


@bp.function_name("manage_limits")
@bp.route(route="manage/limits", methods=["GET"])
async def limits(req: Request) -> Response:
    """List the scopes that are counted, or show one."""
    return await administer(req, 200, lambda gateway, asked: gateway.limits.get(asked), reads_body=False)


@bp.function_name("manage_limits_reconcile")
@bp.route(route="manage/limits/reconcile", methods=["POST"])
async def reconcile(req: Request) -> Response:
    """Take back what dead processes hold and the ledger proves unspent, without waiting for the timer."""
    return await administer(req, 200, lambda gateway, asked: gateway.limits.reconcile(asked), empty_body=True)
