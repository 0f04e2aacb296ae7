"""The Function App. The worker indexes by importing this file: it registers blueprints and does nothing else."""

import azure.functions as func

from gateway.routes import ai, anthropic, azure_openai, health, inference, management
from orchestrations import housekeeping

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
CALLS, MANAGEMENT = (health, inference, azure_openai, anthropic, ai), management.MANAGEMENT
for part in (*CALLS, *MANAGEMENT, housekeeping):
    app.register_functions(part.bp)
