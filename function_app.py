"""The Function App. The worker indexes by importing this file: it registers blueprints and does nothing else."""

import azure.functions as func

from gateway.routes import ai, anthropic, azure_openai, health, inference, manage, manage_alerts, manage_costs, manage_subscriptions
from orchestrations import housekeeping

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
for part in (health, inference, azure_openai, anthropic, ai, manage, manage_alerts, manage_costs, manage_subscriptions, housekeeping):
    app.register_functions(part.bp)
