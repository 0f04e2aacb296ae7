"""Requests to every function of the app, and what each must be answered with."""

from typing import Any

from tests.house.ask import Ask
from tests.house.asks_prompts import PROMPT_ASKS

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = {**CHAT, "stream": True}
FAILING = {**CHAT, "model": "mock-500"}
EMBED = {"model": "text-embedding-3-small", "input": "Hello"}
AZURE = "/openai/deployments/gpt-4o-mini"
MESSAGE = {**CHAT, "max_tokens": 50}
AZURE_OF = "/openai/deployments/{}/"  # a model
RESPOND = {"model": "gpt-5-mini", "input": "Hello"}
COMPLETE = {"model": "gpt-4o-mini", "prompt": "Hello"}
DRAW = {"model": "gpt-image-2", "prompt": "A lighthouse"}
SPEAK = {"model": "tts-1", "input": "Hello", "voice": "alloy"}
FORM = (
    b'--house\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--house\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--house--\r\n'
)
EXPERIMENT = "/manage/experiments/of-the-house"
EXPERIMENT_SAYS = {
    "id": "of-the-house",
    "on": {"model": "gpt-4o"},
    "variants": [{"id": "as-it-is", "weight": 95}, {"id": "cold", "weight": 5, "parameters": {"temperature": 0}}],
    "goal": {"metric": "cost_usd"},
}
EMBED_AZURE = "/openai/deployments/text-embedding-3-small/embeddings"

SAFETY = "/ai/sim-safety/contentsafety/text:analyze?api-version=2024-09-01"


def chats(path: str) -> list[Ask]:
    return [
        Ask(200, "POST", path, CHAT),
        Ask(200, "POST", path, STREAM),
        Ask(400, "POST", path, {"model": "gpt-4o-mini"}),
        Ask(401, "POST", path, CHAT, "nobody"),
    ]


def embeds(path: str) -> list[Ask]:
    return [Ask(200, "POST", path, EMBED), Ask(400, "POST", path, {"model": "text-embedding-3-small"})]


def responds(path: str) -> list[Ask]:
    return [
        Ask(200, "POST", path, RESPOND),
        Ask(200, "POST", path, {**RESPOND, "stream": True}),
        Ask(200, "POST", path, {**RESPOND, "model": "gpt-4o-mini"}),
        Ask(200, "POST", path, {**RESPOND, "model": "gpt-4o-mini", "stream": True}),
        Ask(400, "POST", path, {"model": "gpt-5-mini"}),
        Ask(404, "POST", path, {**RESPOND, "previous_response_id": "resp_nobody_made_this"}),
        Ask(401, "POST", path, RESPOND, "nobody"),
    ]


def stored(name: str, path: str) -> dict[str, list[Ask]]:
    """Ask for stored responses: each function's own is made first, because the last one of all deletes."""
    made, gone = f"{path}/{{made}}", f"{path}/resp_nobody_made_this"
    first = Ask(200, "POST", path, {**RESPOND, "background": True})
    return {
        f"{name}_response": [first, Ask(200, "GET", made), Ask(200, "GET", f"{made}?stream=true"), Ask(404, "GET", gone)],
        f"{name}_response_input": [first, Ask(200, "GET", f"{made}/input_items"), Ask(404, "GET", f"{gone}/input_items")],
        f"{name}_response_cancel": [first, Ask(200, "POST", f"{made}/cancel"), Ask(404, "POST", f"{gone}/cancel")],
        f"{name}_response_delete": [first, Ask(200, "DELETE", made), Ask(404, "DELETE", made), Ask(404, "DELETE", gone)],
    }


def completes(path: str) -> list[Ask]:
    return [
        Ask(200, "POST", path, COMPLETE),
        Ask(200, "POST", path, {**COMPLETE, "stream": True}),
        Ask(400, "POST", path, {**COMPLETE, "echo": True}),
        Ask(401, "POST", path, COMPLETE, "nobody"),
    ]


def says(path: str) -> list[Ask]:
    return [
        Ask(200, "POST", path, MESSAGE),
        Ask(200, "POST", path, {**MESSAGE, "stream": True}),
        Ask(400, "POST", path, CHAT),
        Ask(401, "POST", path, MESSAGE, "nobody"),
    ]


def draws(path: str) -> list[Ask]:
    return [Ask(200, "POST", path, DRAW), Ask(200, "POST", path, {**DRAW, "stream": True}), Ask(400, "POST", path, {**DRAW, "prompt": 1})]


def hears(path: str) -> list[Ask]:
    return [Ask(200, "POST", path, FORM), Ask(400, "POST", path, FORM[:-4]), Ask(415, "POST", path, SPEAK)]


def speaks(path: str) -> list[Ask]:
    return [Ask(200, "POST", path, SPEAK), Ask(400, "POST", path, {**SPEAK, "input": ""})]


def moderates(path: str) -> list[Ask]:
    return [Ask(200, "POST", path, {"input": "Hello"}), Ask(400, "POST", path, {"input": 7})]


def lists(path: str) -> list[Ask]:
    return [Ask(200, "GET", path), Ask(401, "GET", path, None, "nobody")]


def finds(path: str) -> list[Ask]:
    return [Ask(200, "GET", f"{path}/gpt-4o"), Ask(404, "GET", f"{path}/no-such-model")]


def shows(path: str, status: int, wrong: str) -> list[Ask]:
    """Ask for what administrators may see, for what is `wrong`, and as somebody who may not."""
    return [Ask(200, "GET", path, None, "admin"), Ask(status, "GET", wrong, None, "admin"), Ask(403, "GET", path)]


def manages(path: str, document: dict[str, Any]) -> list[Ask]:
    return [
        Ask(200, "GET", path, None, "admin"),
        Ask(201, "POST", path, document, "admin"),
        Ask(400, "POST", path, {"nonsense": True}, "admin"),
        Ask(403, "GET", path),
    ]


MADE = "/manage/subscriptions/{made}"


def subscribes(*asks: Ask) -> list[Ask]:
    """Ask about a subscription that is made first: to a product that requires approval."""
    return [Ask(201, "POST", "/manage/subscriptions", {"product": "house"}, "admin"), *asks]


def becomes(*actions: str) -> list[Ask]:
    """Ask for these one after the other, and for the last one again."""
    last = f"{MADE}/{actions[-1]}"
    return [
        *subscribes(*(Ask(200, "POST", f"{MADE}/{action}", None, "admin") for action in actions)),
        Ask(409, "POST", last, None, "admin"),
    ]


# By function: plausible requests and refused ones. A new route needs a line here.
ASKS = {
    "v1_chat_completions": [*chats("/v1/chat/completions"), Ask(502, "POST", "/v1/chat/completions", FAILING)],
    "v1_embeddings": embeds("/v1/embeddings"),
    "v1_images": draws("/v1/images/generations"),
    "v1_transcriptions": hears("/v1/audio/transcriptions"),
    "v1_speech": speaks("/v1/audio/speech"),
    "v1_moderations": moderates("/v1/moderations"),
    "v1_responses": responds("/v1/responses"),
    **stored("v1", "/v1/responses"),
    "v1_completions": completes("/v1/completions"),
    "v1_messages": says("/v1/messages"),
    "v1_models": lists("/v1/models"),
    "v1_model": finds("/v1/models"),
    "zz_v1_unknown": [Ask(404, "GET", "/v1/nothing"), Ask(405, "PUT", "/v1/models"), Ask(404, "POST", "/v1/nothing", CHAT, "nobody")],
    "azure_chat_completions": chats(f"{AZURE}/chat/completions?api-version=2024-10-21"),
    "azure_embeddings": embeds(EMBED_AZURE),
    "azure_images": draws(AZURE_OF.format("gpt-image-2") + "images/generations"),
    "azure_transcriptions": hears(AZURE_OF.format("whisper-1") + "audio/transcriptions"),
    "azure_speech": speaks(AZURE_OF.format("tts-1") + "audio/speech"),
    "azure_moderations": moderates(AZURE_OF.format("omni-moderation-latest") + "moderations"),
    "azure_responses": responds("/openai/responses?api-version=2025-04-01-preview"),
    **stored("azure", "/openai/responses"),
    "azure_completions": completes(f"{AZURE}/completions?api-version=2024-10-21"),
    "azure_models": lists("/openai/models"),
    "azure_model": finds("/openai/models"),
    "azure_v1_chat_completions": chats("/openai/v1/chat/completions"),
    "azure_v1_embeddings": embeds("/openai/v1/embeddings"),
    "azure_v1_images": draws("/openai/v1/images/generations"),
    "azure_v1_transcriptions": hears("/openai/v1/audio/transcriptions"),
    "azure_v1_speech": speaks("/openai/v1/audio/speech"),
    "azure_v1_moderations": moderates("/openai/v1/moderations"),
    "azure_v1_responses": responds("/openai/v1/responses"),
    **stored("azure_v1", "/openai/v1/responses"),
    "azure_v1_completions": completes("/openai/v1/completions"),
    "azure_v1_models": lists("/openai/v1/models"),
    "azure_v1_model": finds("/openai/v1/models"),
    "zz_openai_unknown": [Ask(404, "GET", "/openai/nothing"), Ask(405, "DELETE", "/openai/v1/models/gpt-4o")],
    "anthropic_messages": says("/anthropic/v1/messages"),
    "zz_anthropic_unknown": [Ask(404, "GET", "/anthropic/nothing"), Ask(405, "GET", "/anthropic/v1/messages")],
    "zz_ai_forward": [
        Ask(200, "POST", SAFETY, {"text": "Hello"}),
        Ask(400, "POST", SAFETY, {"text": 7}),
        Ask(404, "GET", "/ai/no-such-backend/x"),
        Ask(400, "GET", "/ai/sim-safety/%2e%2e/x"),
        Ask(405, "HEAD", SAFETY),
        Ask(401, "POST", SAFETY, {"text": "Hello"}, "nobody"),
    ],
    "zz_ai_unknown": [Ask(404, "GET", "/ai"), Ask(405, "OPTIONS", SAFETY)],
    "manage_tenants": manages("/manage/tenants", {"id": "house"}),
    "manage_products": manages("/manage/products", {"id": "house", "models": ["*"]}),
    "manage_tenant": [
        Ask(200, "GET", "/manage/tenants/house", None, "admin"),
        Ask(200, "PATCH", "/manage/tenants/house", {"name": "House"}, "admin"),
        Ask(409, "PATCH", "/manage/tenants/default", {"name": "House"}, "admin"),
        Ask(204, "DELETE", "/manage/tenants/house", None, "admin"),
        Ask(404, "GET", "/manage/tenants/house", None, "admin"),
        Ask(403, "DELETE", "/manage/tenants/default"),
    ],
    "manage_tenant_rules": [
        Ask(201, "POST", "/manage/tenants", {"id": "house-rules"}, "admin"),
        Ask(200, "PUT", "/manage/tenants/house-rules/rules", {"rules": [{"id": "names", "type": "terms", "terms": ["x"]}]}, "admin"),
        Ask(200, "GET", "/manage/tenants/house-rules/rules", None, "admin"),
        Ask(400, "PUT", "/manage/tenants/house-rules/rules", {"rules": [{"id": "mine", "type": "pii"}]}, "admin"),
        Ask(404, "GET", "/manage/tenants/nobody/rules", None, "admin"),
        Ask(403, "PUT", "/manage/tenants/house-rules/rules", {"rules": []}),
    ],
    "manage_guardrails": [Ask(200, "GET", "/manage/guardrails", None, "admin"), Ask(403, "GET", "/manage/guardrails")],
    "manage_guardrails_test": [
        Ask(200, "POST", "/manage/guardrails/test", {"guardrails": ["mask-pii"], "text": "I am ann@example.com"}, "admin"),
        Ask(200, "POST", "/manage/guardrails/test", {"guardrails": ["shield-prompts"], "request": CHAT}, "admin"),
        Ask(400, "POST", "/manage/guardrails/test", {"guardrails": ["nobody"], "text": "Hello"}, "admin"),
        Ask(403, "POST", "/manage/guardrails/test", {"guardrails": ["mask-pii"], "text": "Hello"}),
    ],
    "manage_guardrails_report": shows("/manage/guardrails/report?group_by=guard,direction", 400, "/manage/guardrails/report?outcome=x"),
    "manage_lookups": [Ask(200, "GET", "/manage/lookups", None, "admin"), Ask(403, "GET", "/manage/lookups")],
    "manage_lookup": shows("/manage/lookups/customer", 404, "/manage/lookups/nobody"),
    "manage_lookup_value": [
        Ask(200, "PUT", "/manage/lookups/customer/house", {"value": {"plan": "gold"}}, "admin"),
        Ask(200, "GET", "/manage/lookups/customer/house", None, "admin"),
        Ask(400, "PUT", "/manage/lookups/customer/house", {"values": 1}, "admin"),
        Ask(204, "DELETE", "/manage/lookups/customer/house", None, "admin"),
        Ask(404, "GET", "/manage/lookups/customer/house", None, "admin"),
        Ask(403, "PUT", "/manage/lookups/customer/house", {"value": 1}),
    ],
    "manage_product": [
        Ask(200, "GET", "/manage/products/house", None, "admin"),
        Ask(200, "PATCH", "/manage/products/house", {"requires_approval": True}, "admin"),
        Ask(400, "PATCH", "/manage/products/house", {"models": None}, "admin"),
        Ask(409, "DELETE", "/manage/products/unlimited", None, "admin"),
        Ask(201, "POST", "/manage/products", {"id": "gone", "models": ["*"]}, "admin"),
        Ask(204, "DELETE", "/manage/products/gone", None, "admin"),
        Ask(404, "DELETE", "/manage/products/gone", None, "admin"),
    ],
    "manage_subscriptions": manages("/manage/subscriptions", {"product": "house"}),
    "manage_subscription": [
        *subscribes(Ask(200, "GET", MADE, None, "admin"), Ask(200, "PATCH", MADE, {"name": "house"}, "admin")),
        Ask(400, "PATCH", MADE, {"roles": []}, "admin"),
        Ask(404, "GET", "/manage/subscriptions/sub_nobody", None, "admin"),
        Ask(403, "GET", MADE),
    ],
    "manage_subscription_approve": becomes("approve"),
    "manage_subscription_reject": becomes("reject"),
    "manage_subscription_suspend": becomes("approve", "suspend"),
    "manage_subscription_resume": becomes("approve", "suspend", "resume"),
    "manage_subscription_cancel": becomes("cancel"),
    "manage_key_regenerate": subscribes(
        Ask(200, "POST", f"{MADE}/keys/primary/regenerate", None, "admin"),
        Ask(200, "POST", f"{MADE}/keys/primary/regenerate", {"overlap_s": 60}, "admin"),
        Ask(400, "POST", f"{MADE}/keys/primary/regenerate", {"overlap_s": -1}, "admin"),
        Ask(404, "POST", f"{MADE}/keys/third/regenerate", None, "admin"),
    ),
    "manage_key_revoke": subscribes(
        Ask(200, "POST", f"{MADE}/keys/secondary/revoke", None, "admin"), Ask(404, "POST", f"{MADE}/keys/third/revoke", None, "admin")
    ),
    **PROMPT_ASKS,
    "manage_experiments": manages("/manage/experiments", EXPERIMENT_SAYS),
    "manage_experiment": [
        Ask(200, "GET", EXPERIMENT, None, "admin"),
        Ask(200, "PATCH", EXPERIMENT, {"alpha": 0.01}, "admin"),
        Ask(400, "PATCH", EXPERIMENT, {"alpha": 1}, "admin"),
        Ask(403, "DELETE", EXPERIMENT),
        Ask(201, "POST", "/manage/experiments", {**EXPERIMENT_SAYS, "id": "gone"}, "admin"),
        Ask(204, "DELETE", "/manage/experiments/gone", None, "admin"),
        Ask(404, "GET", "/manage/experiments/gone", None, "admin"),
    ],
    "manage_experiment_start": [
        Ask(200, "POST", f"{EXPERIMENT}/start", None, "admin"),
        Ask(409, "POST", f"{EXPERIMENT}/start", None, "admin"),
    ],
    "manage_experiment_results": shows(f"{EXPERIMENT}/results", 404, "/manage/experiments/nobody/results"),
    "manage_experiment_promote": [
        Ask(400, "POST", f"{EXPERIMENT}/promote", {"winner": "nobody"}, "admin"),
        Ask(200, "POST", f"{EXPERIMENT}/promote", {"winner": "as-it-is"}, "admin"),
        Ask(409, "POST", f"{EXPERIMENT}/promote", {"winner": "cold"}, "admin"),
    ],
    "manage_experiment_rollback": [
        Ask(409, "POST", f"{EXPERIMENT}/rollback", {"reason": "too late"}, "admin"),
        Ask(201, "POST", "/manage/experiments", {**EXPERIMENT_SAYS, "id": "worse"}, "admin"),
        Ask(200, "POST", "/manage/experiments/worse/start", None, "admin"),
        Ask(200, "POST", "/manage/experiments/worse/rollback", None, "admin"),
    ],
    "manage_experiment_stop": [
        Ask(200, "POST", f"{EXPERIMENT}/stop", None, "admin"),
        Ask(409, "POST", f"{EXPERIMENT}/stop", None, "admin"),
        Ask(400, "POST", f"{EXPERIMENT}/stop", {"because": "so"}, "admin"),
    ],
    "manage_audit": [
        Ask(200, "GET", "/manage/audit?action=key.revoke&limit=2", None, "admin"),
        Ask(400, "GET", "/manage/audit?from=x", None, "admin"),
        Ask(403, "GET", "/manage/audit"),
    ],
    "manage_models": [Ask(200, "GET", "/manage/models?limit=2", None, "admin"), Ask(403, "GET", "/manage/models")],
    "manage_model": [
        Ask(200, "GET", "/manage/models/gpt-4o-mini", None, "admin"),
        Ask(200, "PATCH", "/manage/models/gpt-4o-mini", {"weights": None}, "admin"),
        Ask(400, "PATCH", "/manage/models/gpt-4o-mini", {"weights": {"nobody": 1}}, "admin"),
        Ask(404, "GET", "/manage/models/no-such-model", None, "admin"),
        Ask(403, "PATCH", "/manage/models/gpt-4o-mini", {}),
    ],
    "manage_deployments": [
        Ask(200, "GET", "/manage/deployments", None, "admin"),
        Ask(400, "GET", "/manage/deployments?limit=0", None, "admin"),
    ],
    "manage_deployment": [
        Ask(200, "GET", "/manage/deployments/gpt-4o-mini-eastus", None, "admin"),
        Ask(200, "PATCH", "/manage/deployments/gpt-4o-mini-eastus", {"draining": None}, "admin"),
        Ask(400, "PATCH", "/manage/deployments/gpt-4o-mini-eastus", {"draining": 1}, "admin"),
        Ask(404, "PATCH", "/manage/deployments/nobody", {}, "admin"),
    ],
    "manage_costs": [
        Ask(200, "GET", "/manage/costs?group_by=tag:team&interval=day", None, "admin"),
        Ask(200, "GET", "/manage/costs?format=csv", None, "admin"),
        Ask(400, "GET", "/manage/costs?format=xlsx", None, "admin"),
        Ask(403, "GET", "/manage/costs"),
    ],
    "manage_alerts": shows("/manage/alerts?type=gateway.cost.spike&limit=2", 400, "/manage/alerts?state=nonsense"),
    "manage_budgets": shows("/manage/budgets?tenant=default", 404, "/manage/budgets?tenant=nobody"),
    "manage_limits": [
        Ask(200, "GET", "/manage/limits?limit=2", None, "admin"),
        Ask(404, "GET", "/manage/limits?scope=subscription%7Cdefault%7Cnobody", None, "admin"),
        Ask(400, "GET", "/manage/limits?scope=a%2Fb", None, "admin"),
        Ask(403, "GET", "/manage/limits"),
    ],
    "manage_limits_reconcile": [
        Ask(200, "POST", "/manage/limits/reconcile", {}, "admin"),
        Ask(200, "POST", "/manage/limits/reconcile", None, "admin"),
        Ask(400, "POST", "/manage/limits/reconcile", {"scopes": "all"}, "admin"),
        Ask(403, "POST", "/manage/limits/reconcile", {}),
    ],
    "manage_alert_replay": [
        Ask(404, "POST", "/manage/alerts/alert_nobody_was_told/replay", None, "admin"),
        Ask(403, "POST", "/manage/alerts/alert_nobody_was_told/replay"),
    ],
    "manage_replay": [
        Ask(200, "POST", "/manage/replay", {"tenant": "default", "limit": 1}, "admin"),
        Ask(400, "POST", "/manage/replay", {"tenant": "default", "mode": "live"}, "admin"),
        Ask(403, "POST", "/manage/replay", {}),
    ],
    "manage_captures": [Ask(200, "DELETE", "/manage/captures?tenant=default", None, "admin"), Ask(403, "DELETE", "/manage/captures")],
    "manage_usage_list": shows("/manage/usage/records?session=s-1&limit=2", 400, "/manage/usage/records?limit=0"),
    "manage_usage": [Ask(200, "GET", "/manage/usage", None, "admin"), Ask(400, "GET", "/manage/usage?group_by=x", None, "admin")],
    "manage_usage_record": [
        Ask(200, "GET", "/manage/usage/{last}", None, "admin"),
        Ask(404, "GET", "/manage/usage/req_nobody_made_this", None, "admin"),
        Ask(403, "GET", "/manage/usage/{last}"),
    ],
    "zz_manage_unknown": [
        Ask(404, "GET", "/manage/nothing", None, "admin"),
        Ask(405, "POST", "/manage/usage", {}, "admin"),
        Ask(405, "PUT", "/manage/models/gpt-4o", {}, "admin"),
    ],
}
