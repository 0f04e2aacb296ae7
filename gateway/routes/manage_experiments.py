"""`/manage/experiments/…`: experiments, what becomes of them, and what they found."""

from urllib.parse import unquote

import azure.functions as func

from gateway.routes.http import Request, Response, administer

bp = func.Blueprint()


@bp.function_name("manage_experiments")
@bp.route(route="manage/experiments", methods=["GET", "POST"])
async def experiments(req: Request) -> Response:
    """List experiments, or make a draft."""
    if req.method == "POST":
        return await administer(req, 201, lambda gateway, asked: gateway.studio.experiments.create(asked))
    return await administer(req, 200, lambda gateway, asked: gateway.studio.experiments.list(asked), reads_body=False)


@bp.function_name("manage_experiment")
@bp.route(route="manage/experiments/{experiment}", methods=["GET", "PATCH", "DELETE"])
async def experiment(req: Request) -> Response:
    """Show an experiment, change it, or delete it."""
    name = _name(req)
    if req.method == "PATCH":
        return await administer(req, 200, lambda gateway, asked: gateway.studio.experiments.change(asked, name))
    if req.method == "DELETE":
        return await administer(req, 204, lambda gateway, asked: gateway.studio.experiments.delete(asked, name), reads_body=False)
    return await administer(req, 200, lambda gateway, asked: gateway.studio.experiments.read(asked, name), reads_body=False)


@bp.function_name("manage_experiment_start")
@bp.route(route="manage/experiments/{experiment}/start", methods=["POST"])
async def start(req: Request) -> Response:
    """Let a draft run."""
    name = _name(req)
    return await administer(req, 200, lambda gateway, asked: gateway.studio.experiments.start(asked, name), reads_body=False)


@bp.function_name("manage_experiment_stop")
@bp.route(route="manage/experiments/{experiment}/stop", methods=["POST"])
async def stop(req: Request) -> Response:
    """Let calls get nothing from it any more."""
    name = _name(req)
    return await administer(req, 200, lambda gateway, asked: gateway.studio.experiments.stop(asked, name), empty_body=True)


@bp.function_name("manage_experiment_promote")
@bp.route(route="manage/experiments/{experiment}/promote", methods=["POST"])
async def promote(req: Request) -> Response:
    """Give everybody the winner."""
    name = _name(req)
    return await administer(req, 200, lambda gateway, asked: gateway.studio.experiments.promote(asked, name), empty_body=True)


@bp.function_name("manage_experiment_rollback")
@bp.route(route="manage/experiments/{experiment}/rollback", methods=["POST"])
async def rollback(req: Request) -> Response:
    """Give everybody the control."""
    name = _name(req)
    return await administer(req, 200, lambda gateway, asked: gateway.studio.experiments.roll_back(asked, name), empty_body=True)


@bp.function_name("manage_experiment_results")
@bp.route(route="manage/experiments/{experiment}/results", methods=["GET"])
async def results(req: Request) -> Response:
    """Show what an experiment found so far."""
    name = _name(req)
    return await administer(req, 200, lambda gateway, asked: gateway.studio.experiments.results(asked, name), reads_body=False)


def _name(req: Request) -> str:
    return unquote(req.path_params["experiment"])
