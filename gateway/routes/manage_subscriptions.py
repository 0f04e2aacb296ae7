"""`/manage/subscriptions/…`: subscriptions, what becomes of them, and their keys."""

from urllib.parse import unquote

import azure.functions as func

from gateway.routes.http import Request, Response, administer

bp = func.Blueprint()


@bp.function_name("manage_subscriptions")
@bp.route(route="manage/subscriptions", methods=["GET", "POST"])
async def subscriptions(req: Request) -> Response:
    """List subscriptions, or create one and show its keys, once."""
    if req.method == "POST":
        return await administer(req, 201, lambda gateway, asked: gateway.subscriptions.create(asked))
    return await administer(req, 200, lambda gateway, asked: gateway.subscriptions.list(asked), reads_body=False)


@bp.function_name("manage_subscription")
@bp.route(route="manage/subscriptions/{subscription}", methods=["GET", "PATCH"])
async def subscription(req: Request) -> Response:
    """Show a subscription, or change it."""
    name = unquote(req.path_params["subscription"])
    if req.method == "PATCH":
        return await administer(req, 200, lambda gateway, asked: gateway.subscriptions.change(asked, name))
    return await administer(req, 200, lambda gateway, asked: gateway.subscriptions.read(asked, name), reads_body=False)


@bp.function_name("manage_subscription_approve")
@bp.route(route="manage/subscriptions/{subscription}/approve", methods=["POST"])
async def approve(req: Request) -> Response:
    """Let a submitted subscription work."""
    return await _transition(req, "approve")


@bp.function_name("manage_subscription_reject")
@bp.route(route="manage/subscriptions/{subscription}/reject", methods=["POST"])
async def reject(req: Request) -> Response:
    """Refuse a submitted subscription, for good."""
    return await _transition(req, "reject")


@bp.function_name("manage_subscription_suspend")
@bp.route(route="manage/subscriptions/{subscription}/suspend", methods=["POST"])
async def suspend(req: Request) -> Response:
    """Stop an active subscription."""
    return await _transition(req, "suspend")


@bp.function_name("manage_subscription_resume")
@bp.route(route="manage/subscriptions/{subscription}/resume", methods=["POST"])
async def resume(req: Request) -> Response:
    """Let a suspended subscription work again."""
    return await _transition(req, "resume")


@bp.function_name("manage_subscription_cancel")
@bp.route(route="manage/subscriptions/{subscription}/cancel", methods=["POST"])
async def cancel(req: Request) -> Response:
    """End a subscription, for good."""
    return await _transition(req, "cancel")


@bp.function_name("manage_key_regenerate")
@bp.route(route="manage/subscriptions/{subscription}/keys/{slot}/regenerate", methods=["POST"])
async def regenerate(req: Request) -> Response:
    """Put a new key into a slot and show it, once."""
    name, slot = unquote(req.path_params["subscription"]), req.path_params["slot"]
    return await administer(req, 200, lambda gateway, asked: gateway.subscriptions.regenerate(asked, name, slot), empty_body=True)


@bp.function_name("manage_key_revoke")
@bp.route(route="manage/subscriptions/{subscription}/keys/{slot}/revoke", methods=["POST"])
async def revoke(req: Request) -> Response:
    """Let no key of a slot work any more."""
    name, slot = unquote(req.path_params["subscription"]), req.path_params["slot"]
    return await administer(req, 200, lambda gateway, asked: gateway.subscriptions.revoke(asked, name, slot), reads_body=False)


async def _transition(req: Request, action: str) -> Response:
    name = unquote(req.path_params["subscription"])
    return await administer(req, 200, lambda gateway, asked: gateway.subscriptions.transition(asked, name, action), reads_body=False)
