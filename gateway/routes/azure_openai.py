"""Azure OpenAI's URL shapes: `/openai/deployments/{deployment}/…?api-version=` and `/openai/v1/…`."""

import azure.functions as func

from gateway.domain.call import Surface
from gateway.routes.table import AZURE_ROWS, register

bp = func.Blueprint()
register(bp, AZURE_ROWS, "openai", Surface.AZURE)
