"""The modules of /manage, each with its blueprint: what `function_app.py` registers beside the calls."""

from gateway.routes import (
    manage,
    manage_alerts,
    manage_costs,
    manage_experiments,
    manage_guardrails,
    manage_limits,
    manage_lookups,
    manage_prompts,
    manage_replay,
    manage_sessions,
    manage_subscriptions,
)

MANAGEMENT = (
    manage,
    manage_alerts,
    manage_costs,
    manage_experiments,
    manage_guardrails,
    manage_limits,
    manage_lookups,
    manage_prompts,
    manage_replay,
    manage_sessions,
    manage_subscriptions,
)
