"""`/manage/guardrails`: what guardrails there are, what they said, and trying them; and tenants' own rules."""

from urllib.parse import unquote

import azure.functions as func

from gateway.domain.management import tenant_of
from gateway.routes.http import Request, Response, administer

bp = func.Blueprint()


@bp.function_name("manage_guardrails")
@bp.route(route="manage/guardrails", methods=["GET"])
async def guardrails(req: Request) -> Response:
    """List guardrails, the built-in ones too."""
    return await administer(req, 200, lambda gateway, asked: gateway.guardrails.list(asked), reads_body=False)


@bp.function_name("manage_guardrails_test")
@bp.route(route="manage/guardrails/test", methods=["POST"])
async def test(req: Request) -> Response:
    """Run guardrails over a text or a chat's body, without a model."""
    return await administer(req, 200, lambda gateway, asked: gateway.guardrails.test(asked))


@bp.function_name("manage_guardrails_report")
@bp.route(route="manage/guardrails/report", methods=["GET"])
async def report(req: Request) -> Response:
    """Sum what guardrails said."""
    return await administer(
        req,
        200,
        lambda gateway, asked: gateway.reports.guardrails(asked.query, tenant_of(asked, asked.query.get("tenant"))),
        reads_body=False,
    )


@bp.function_name("manage_tenant_rules")
@bp.route(route="manage/tenants/{tenant}/rules", methods=["GET", "PUT"])
async def rules(req: Request) -> Response:
    """Show a tenant's own guardrails, or put others in their place."""
    name = unquote(req.path_params["tenant"])
    if req.method == "PUT":
        return await administer(req, 200, lambda gateway, asked: gateway.administration.set_rules(asked, name))
    return await administer(req, 200, lambda gateway, asked: gateway.administration.rules(asked, name), reads_body=False)
