"""`/manage/usage` and `/manage/costs`: what was used and what it cost, out of the usage records."""

from typing import Any

import azure.functions as func

from gateway.container import Gateway
from gateway.domain.management import Asked, Told, tenant_of
from gateway.errors import RequestError
from gateway.routes.http import Request, Response, administer

bp = func.Blueprint()

CSV = "text/csv; charset=utf-8; header=present"


@bp.function_name("manage_costs")
@bp.route(route="manage/costs", methods=["GET"])
async def costs(req: Request) -> Response:
    """Sum what calls cost, by tenant unless asked otherwise; as FOCUS's CSV with `format=csv`."""
    return await administer(req, 200, _costs, reads_body=False)


@bp.function_name("manage_usage")
@bp.route(route="manage/usage", methods=["GET"])
async def usage(req: Request) -> Response:
    """Sum the usage records, by model unless asked otherwise."""
    return await administer(req, 200, _usage, reads_body=False)


# Its name comes before the next one's: the Functions host tries functions in the order of their names.
@bp.function_name("manage_usage_list")
@bp.route(route="manage/usage/records", methods=["GET"])
async def usage_records(req: Request) -> Response:
    """List calls' records: of a session, a trace, a user and so on."""
    return await administer(req, 200, lambda gateway, asked: gateway.reports.records(asked.query, _tenant(asked)), reads_body=False)


@bp.function_name("manage_usage_record")
@bp.route(route="manage/usage/{request_id}", methods=["GET"])
async def usage_record(req: Request) -> Response:
    """Show one call's record, by its x-request-id."""
    request_id = req.path_params["request_id"]
    return await administer(req, 200, lambda gateway, asked: gateway.reports.record(request_id, tenant_of(asked, None)), reads_body=False)


async def _usage(gateway: Gateway, asked: Asked) -> object:
    return await _named(gateway, asked, await gateway.reports.usage(asked.query, _tenant(asked)))


async def _named(gateway: Gateway, asked: Asked, report: dict[str, Any]) -> dict[str, Any]:
    """Say beside each subscription's id what it is called today: nobody knows ids by heart."""
    rows = report["data"]
    ids = {row["subscription"] for row in rows if row.get("subscription")}
    names = await gateway.subscriptions.names(_tenant(asked), ids)
    return report | {"data": [_with_name(row, names) if "subscription" in row else row for row in rows]}


def _with_name(row: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    named = {"subscription": row["subscription"], "subscription_name": names.get(row["subscription"], "")}
    return {key: value for name, value in row.items() for key, value in (named if name == "subscription" else {name: value}).items()}


async def _costs(gateway: Gateway, asked: Asked) -> object:
    kind = asked.query.get("format", "json")
    if kind == "json":
        return await _named(gateway, asked, await gateway.reports.costs(asked.query, _tenant(asked)))
    if kind != "csv":
        raise RequestError("'format' must be json or csv", param="format", code="invalid_value")
    data = await gateway.reports.focus(asked.query, _tenant(asked))
    return Told(data, content_type=CSV, headers={"content-disposition": 'attachment; filename="costs.csv"'})


def _tenant(asked: Asked) -> str | None:
    return tenant_of(asked, asked.query.get("tenant"))
