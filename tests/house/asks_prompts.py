"""Requests to the management of prompts, in their order: the first makes what the others ask for."""

from tests.house.ask import Ask

PROMPT = "/manage/prompts/of-the-house"
PROMPT_SAYS = {"model": "gpt-4o-mini", "messages": [{"role": "system", "content": "You answer for {{company}}."}]}
INVOKED = "/v1/prompts/invoked/invoke"
INVOKED_SAYS = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "{{question}}"}], "description": "Answers."}
INVOKED_ASK = Ask(200, "POST", INVOKED, {"version": 1, "variables": {"question": "Hello"}})
MAKE_INVOKED = Ask(201, "POST", "/manage/prompts/invoked/versions", INVOKED_SAYS, "admin")
PUBLISH_INVOKED = Ask(200, "PUT", "/manage/prompts/invoked/labels/production", {"version": 1}, "admin")
PROMPT_ASKS = {
    "v1_prompt_invoke": [
        MAKE_INVOKED,
        INVOKED_ASK,
        Ask(200, "POST", INVOKED, {"version": 1, "variables": {"question": "Hello"}, "stream": True}),
        Ask(400, "POST", INVOKED, {"version": 1}),
        Ask(404, "POST", INVOKED, {"version": 9, "variables": {"question": "Hello"}}),
        Ask(404, "POST", "/v1/prompts/nobody/invoke", {}),
        Ask(401, "POST", INVOKED, {}, "nobody"),
    ],
    "v1_prompts": [PUBLISH_INVOKED, Ask(200, "GET", "/v1/prompts"), Ask(401, "GET", "/v1/prompts", None, "nobody")],
    "v1_prompt": [Ask(200, "GET", "/v1/prompts/invoked"), Ask(404, "GET", "/v1/prompts/nobody")],
    "v1_prompt_api": [Ask(200, "GET", "/v1/prompts/invoked/openapi.json"), Ask(404, "GET", "/v1/prompts/nobody/openapi.json")],
    "v1_feedback": [
        Ask(200, "POST", "/v1/feedback", {"session_id": "s-1", "metric": "thumbs", "value": 1}),
        Ask(400, "POST", "/v1/feedback", {"metric": "thumbs", "value": 1}),
    ],
    "v1_session_erase": [Ask(200, "DELETE", "/v1/sessions/s-1"), Ask(401, "DELETE", "/v1/sessions/s-1", None, "nobody")],
    "manage_sessions": [
        Ask(200, "DELETE", "/manage/sessions?tenant=default&session=s-1", None, "admin"),
        Ask(400, "DELETE", "/manage/sessions", None, "admin"),
        Ask(403, "DELETE", "/manage/sessions?tenant=default"),
    ],
    "manage_prompts": [
        Ask(200, "GET", "/manage/prompts?limit=2", None, "admin"),
        Ask(400, "GET", "/manage/prompts?state=nonsense", None, "admin"),
        Ask(403, "GET", "/manage/prompts"),
    ],
    "manage_prompt_versions": [
        Ask(201, "POST", f"{PROMPT}/versions", PROMPT_SAYS, "admin"),
        Ask(200, "POST", f"{PROMPT}/versions", PROMPT_SAYS, "admin"),
        Ask(201, "POST", f"{PROMPT}/versions", {**PROMPT_SAYS, "note": "colder", "parameters": {"temperature": 0}}, "admin"),
        Ask(200, "GET", f"{PROMPT}/versions?limit=2", None, "admin"),
        Ask(400, "POST", f"{PROMPT}/versions", {"model": "gpt-4o-mini"}, "admin"),
        Ask(403, "POST", f"{PROMPT}/versions", PROMPT_SAYS),
    ],
    "manage_prompt_label": [
        *(Ask(200, "PUT", f"{PROMPT}/labels/house", {"version": number}, "admin") for number in (1, 2)),
        Ask(404, "PUT", f"{PROMPT}/labels/house", {"version": 9}, "admin"),
        Ask(400, "PUT", f"{PROMPT}/labels/latest", {"version": 1}, "admin"),
        Ask(404, "DELETE", f"{PROMPT}/labels/nobody", None, "admin"),
    ],
    "manage_prompt_rollback": [
        Ask(200, "POST", f"{PROMPT}/labels/house/rollback", None, "admin"),
        Ask(409, "POST", f"{PROMPT}/labels/house/rollback", None, "admin"),
    ],
    "manage_prompt_labels": [
        Ask(200, "GET", f"{PROMPT}/labels", None, "admin"),
        Ask(404, "GET", "/manage/prompts/nobody/labels", None, "admin"),
    ],
    "manage_prompt_version": [
        Ask(200, "GET", f"{PROMPT}/versions/1", None, "admin"),
        Ask(404, "GET", f"{PROMPT}/versions/9", None, "admin"),
    ],
    "manage_prompt_diff": [
        Ask(200, "GET", f"{PROMPT}/diff?from=1&to=2", None, "admin"),
        Ask(404, "GET", f"{PROMPT}/diff?from=9&to=2", None, "admin"),
    ],
    "manage_prompt": [
        Ask(200, "GET", PROMPT, None, "admin"),
        Ask(409, "DELETE", PROMPT, None, "admin"),
        Ask(204, "DELETE", f"{PROMPT}/labels/house", None, "admin"),
        Ask(204, "DELETE", PROMPT, None, "admin"),
        Ask(404, "DELETE", PROMPT, None, "admin"),
    ],
}
