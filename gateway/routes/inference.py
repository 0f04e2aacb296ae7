"""OpenAI's URL shapes: `/v1/…`."""

import azure.functions as func

from gateway.domain.call import Surface
from gateway.routes.table import OPENAI_ROWS, register

bp = func.Blueprint()
register(bp, OPENAI_ROWS, "v1", Surface.OPENAI)
