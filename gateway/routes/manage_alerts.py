"""`/manage/alerts` and `/manage/budgets`: what somebody was told, and how much of every budget is charged."""

import azure.functions as func

from gateway.routes.http import Request, Response, administer

bp = func.Blueprint()


@bp.function_name("manage_alerts")
@bp.route(route="manage/alerts", methods=["GET"])
async def alerts(req: Request) -> Response:
    """List alerts, the newest first."""
    return await administer(req, 200, lambda gateway, asked: gateway.alerts.list(asked), reads_body=False)


@bp.function_name("manage_alert_replay")
@bp.route(route="manage/alerts/{alert}/replay", methods=["POST"])
async def replay(req: Request) -> Response:
    """Have an alert told once more, under the same id."""
    name = req.path_params["alert"]
    return await administer(req, 200, lambda gateway, asked: gateway.alerts.replay(asked, name), reads_body=False)


@bp.function_name("manage_budgets")
@bp.route(route="manage/budgets", methods=["GET"])
async def budgets(req: Request) -> Response:
    """List every calendar quota and budget, and what of it is charged."""
    return await administer(req, 200, lambda gateway, asked: gateway.budgets.page(asked), reads_body=False)
