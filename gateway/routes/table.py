"""The inference routes as a table: one row per URL shape and operation, and what becomes of every other path.

The Functions host tries functions in the order of their names and takes the first whose route and method fit; it does
not rank literals before catch-alls. So the catch-alls are named `zz_…`: they see exactly what no row serves, an unknown
path (404) or a known path with another method (405). There is no bare catch-all: `/admin` and `/runtime` belong to the
host.

Source: azure-functions-host, WebScriptHostHttpRoutesManager.cs and FunctionMetadataManager.cs (read 2026-11-22).
"""

import re
from collections.abc import Sequence

import azure.functions as func
import msgspec

from gateway.domain.call import Operation, Surface
from gateway.errors import GatewayError, MethodNotAllowed, NotFound
from gateway.routes.http import Request, Response, respond

ALL_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


class Row(msgspec.Struct, frozen=True):
    """One route: `name` is the function's name in the app, `path` its template."""

    name: str
    method: str
    path: str
    operation: Operation
    surface: Surface


def _stored(name: str, prefix: str, surface: Surface) -> tuple[Row, ...]:
    """Return the rows of stored responses below a prefix."""
    path = f"{prefix}/responses/{{response}}"
    return (
        Row(f"{name}_response", "GET", path, Operation.RESPONSE_ITEM, surface),
        Row(f"{name}_response_delete", "DELETE", path, Operation.RESPONSE_ITEM, surface),
        Row(f"{name}_response_cancel", "POST", f"{path}/cancel", Operation.RESPONSE_ITEM, surface),
        Row(f"{name}_response_input", "GET", f"{path}/input_items", Operation.RESPONSE_ITEM, surface),
    )


OPENAI_ROWS = (
    Row("v1_chat_completions", "POST", "v1/chat/completions", Operation.CHAT, Surface.OPENAI),
    Row("v1_embeddings", "POST", "v1/embeddings", Operation.EMBEDDINGS, Surface.OPENAI),
    Row("v1_images", "POST", "v1/images/generations", Operation.IMAGES, Surface.OPENAI),
    Row("v1_transcriptions", "POST", "v1/audio/transcriptions", Operation.TRANSCRIPTION, Surface.OPENAI),
    Row("v1_speech", "POST", "v1/audio/speech", Operation.SPEECH, Surface.OPENAI),
    Row("v1_moderations", "POST", "v1/moderations", Operation.MODERATIONS, Surface.OPENAI),
    Row("v1_completions", "POST", "v1/completions", Operation.COMPLETIONS, Surface.OPENAI),
    Row("v1_responses", "POST", "v1/responses", Operation.RESPONSES, Surface.OPENAI),
    *_stored("v1", "v1", Surface.OPENAI),
    Row("v1_messages", "POST", "v1/messages", Operation.MESSAGES, Surface.ANTHROPIC),
    Row("v1_prompt_invoke", "POST", "v1/prompts/{invoked}/invoke", Operation.CHAT, Surface.OPENAI),
    Row("v1_prompts", "GET", "v1/prompts", Operation.LIST_PROMPTS, Surface.OPENAI),
    Row("v1_prompt", "GET", "v1/prompts/{prompt}", Operation.GET_PROMPT, Surface.OPENAI),
    Row("v1_prompt_api", "GET", "v1/prompts/{prompt}/openapi.json", Operation.PROMPT_API, Surface.OPENAI),
    Row("v1_feedback", "POST", "v1/feedback", Operation.FEEDBACK, Surface.OPENAI),
    Row("v1_session_erase", "DELETE", "v1/sessions/{session}", Operation.ERASE_SESSION, Surface.OPENAI),
    Row("v1_models", "GET", "v1/models", Operation.LIST_MODELS, Surface.OPENAI),
    Row("v1_model", "GET", "v1/models/{model}", Operation.GET_MODEL, Surface.OPENAI),
)
ANTHROPIC_ROWS = (Row("anthropic_messages", "POST", "anthropic/v1/messages", Operation.MESSAGES, Surface.ANTHROPIC),)
AZURE_ROWS = (
    Row("azure_chat_completions", "POST", "openai/deployments/{deployment}/chat/completions", Operation.CHAT, Surface.AZURE),
    Row("azure_embeddings", "POST", "openai/deployments/{deployment}/embeddings", Operation.EMBEDDINGS, Surface.AZURE),
    Row("azure_images", "POST", "openai/deployments/{deployment}/images/generations", Operation.IMAGES, Surface.AZURE),
    Row("azure_transcriptions", "POST", "openai/deployments/{deployment}/audio/transcriptions", Operation.TRANSCRIPTION, Surface.AZURE),
    Row("azure_speech", "POST", "openai/deployments/{deployment}/audio/speech", Operation.SPEECH, Surface.AZURE),
    Row("azure_moderations", "POST", "openai/deployments/{deployment}/moderations", Operation.MODERATIONS, Surface.AZURE),
    Row("azure_completions", "POST", "openai/deployments/{deployment}/completions", Operation.COMPLETIONS, Surface.AZURE),
    Row("azure_responses", "POST", "openai/responses", Operation.RESPONSES, Surface.AZURE),
    *_stored("azure", "openai", Surface.AZURE),
    Row("azure_models", "GET", "openai/models", Operation.LIST_MODELS, Surface.AZURE),
    Row("azure_model", "GET", "openai/models/{model}", Operation.GET_MODEL, Surface.AZURE),
    Row("azure_v1_chat_completions", "POST", "openai/v1/chat/completions", Operation.CHAT, Surface.AZURE_V1),
    Row("azure_v1_embeddings", "POST", "openai/v1/embeddings", Operation.EMBEDDINGS, Surface.AZURE_V1),
    Row("azure_v1_images", "POST", "openai/v1/images/generations", Operation.IMAGES, Surface.AZURE_V1),
    Row("azure_v1_transcriptions", "POST", "openai/v1/audio/transcriptions", Operation.TRANSCRIPTION, Surface.AZURE_V1),
    Row("azure_v1_speech", "POST", "openai/v1/audio/speech", Operation.SPEECH, Surface.AZURE_V1),
    Row("azure_v1_moderations", "POST", "openai/v1/moderations", Operation.MODERATIONS, Surface.AZURE_V1),
    Row("azure_v1_completions", "POST", "openai/v1/completions", Operation.COMPLETIONS, Surface.AZURE_V1),
    Row("azure_v1_responses", "POST", "openai/v1/responses", Operation.RESPONSES, Surface.AZURE_V1),
    *_stored("azure_v1", "openai/v1", Surface.AZURE_V1),
    Row("azure_v1_models", "GET", "openai/v1/models", Operation.LIST_MODELS, Surface.AZURE_V1),
    Row("azure_v1_model", "GET", "openai/v1/models/{model}", Operation.GET_MODEL, Surface.AZURE_V1),
)


def register(bp: func.Blueprint, rows: Sequence[Row], prefix: str, surface: Surface) -> None:
    """Register the rows, and the catch-all under their prefix.

    Args:
        bp: Where to.
        rows: The routes.
        prefix: The first path segment they share.
        surface: Whose shape an unknown path under the prefix is taken to be.
    """
    for row in rows:
        _register_row(bp, row)

    async def unknown(req: Request) -> Response:
        # Not `req.url`: it is built from the Host header, which may be anything.
        return await respond(req, Operation.UNKNOWN, surface, error=refusal(req.method, req.scope["path"], rows))

    bp.function_name(f"zz_{prefix}_unknown")(bp.route(route=f"{prefix}/{{*path}}", methods=ALL_METHODS)(unknown))


def refusal(method: str, path: str, rows: Sequence[Row]) -> GatewayError:
    """Return what to answer to a request that no row serves: 405 where another method would do, 404 otherwise."""
    allowed = {row.method for row in rows if _pattern(row.path).fullmatch(path)}
    if allowed:
        names = ", ".join(sorted(allowed))
        return MethodNotAllowed(f"{path} does not take {method}; it takes {names}", headers={"allow": names})
    return NotFound(f"there is no {path}; the README lists the routes", code="unknown_url")


def _register_row(bp: func.Blueprint, row: Row) -> None:
    async def serve(req: Request) -> Response:
        return await respond(req, row.operation, row.surface)

    bp.function_name(row.name)(bp.route(route=row.path, methods=[row.method])(serve))


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("/" + re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), re.IGNORECASE)
