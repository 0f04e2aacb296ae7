"""`/manage/prompts/…`: prompts, their versions, and the labels that say which version a call gets."""

from urllib.parse import unquote

import azure.functions as func

from gateway.routes.http import Request, Response, administer

bp = func.Blueprint()


@bp.function_name("manage_prompts")
@bp.route(route="manage/prompts", methods=["GET"])
async def prompts(req: Request) -> Response:
    """List prompts."""
    return await administer(req, 200, lambda gateway, asked: gateway.studio.prompts.list(asked), reads_body=False)


@bp.function_name("manage_prompt")
@bp.route(route="manage/prompts/{prompt}", methods=["GET", "DELETE"])
async def prompt(req: Request) -> Response:
    """Show a prompt, or retire it."""
    name = unquote(req.path_params["prompt"])
    if req.method == "DELETE":
        return await administer(req, 204, lambda gateway, asked: gateway.studio.prompts.delete(asked, name), reads_body=False)
    return await administer(req, 200, lambda gateway, asked: gateway.studio.prompts.read(asked, name), reads_body=False)


@bp.function_name("manage_prompt_versions")
@bp.route(route="manage/prompts/{prompt}/versions", methods=["GET", "POST"])
async def versions(req: Request) -> Response:
    """List a prompt's versions, or make one."""
    name = unquote(req.path_params["prompt"])
    if req.method == "POST":
        return await administer(req, 201, lambda gateway, asked: gateway.studio.prompts.create(asked, name))
    return await administer(req, 200, lambda gateway, asked: gateway.studio.prompts.versions(asked, name), reads_body=False)


@bp.function_name("manage_prompt_version")
@bp.route(route="manage/prompts/{prompt}/versions/{version}", methods=["GET"])
async def version(req: Request) -> Response:
    """Show a version."""
    name, wanted = unquote(req.path_params["prompt"]), unquote(req.path_params["version"])
    return await administer(req, 200, lambda gateway, asked: gateway.studio.prompts.version(asked, name, wanted), reads_body=False)


@bp.function_name("manage_prompt_labels")
@bp.route(route="manage/prompts/{prompt}/labels", methods=["GET"])
async def labels(req: Request) -> Response:
    """Show where a prompt's labels are."""
    name = unquote(req.path_params["prompt"])
    return await administer(req, 200, lambda gateway, asked: gateway.studio.prompts.labels(asked, name), reads_body=False)


@bp.function_name("manage_prompt_label")
@bp.route(route="manage/prompts/{prompt}/labels/{label}", methods=["PUT", "DELETE"])
async def label(req: Request) -> Response:
    """Put a label on a version, or take it away."""
    name, wanted = unquote(req.path_params["prompt"]), unquote(req.path_params["label"])
    if req.method == "DELETE":
        return await administer(req, 204, lambda gateway, asked: gateway.studio.prompts.delete_label(asked, name, wanted), reads_body=False)
    return await administer(req, 200, lambda gateway, asked: gateway.studio.prompts.set_label(asked, name, wanted))


@bp.function_name("manage_prompt_rollback")
@bp.route(route="manage/prompts/{prompt}/labels/{label}/rollback", methods=["POST"])
async def rollback(req: Request) -> Response:
    """Put a label back to where it was before."""
    name, wanted = unquote(req.path_params["prompt"]), unquote(req.path_params["label"])
    return await administer(req, 200, lambda gateway, asked: gateway.studio.prompts.roll_back(asked, name, wanted), reads_body=False)


@bp.function_name("manage_prompt_diff")
@bp.route(route="manage/prompts/{prompt}/diff", methods=["GET"])
async def diff(req: Request) -> Response:
    """Compare two versions."""
    name = unquote(req.path_params["prompt"])
    return await administer(req, 200, lambda gateway, asked: gateway.studio.prompts.diff(asked, name), reads_body=False)
