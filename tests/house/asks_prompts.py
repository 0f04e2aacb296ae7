"""Requests to the management of prompts, in their order: the first makes what the others ask for."""

from tests.house.ask import Ask

PROMPT = "/manage/prompts/of-the-house"
PROMPT_SAYS = {"model": "gpt-4o-mini", "messages": [{"role": "system", "content": "You answer for {{company}}."}]}
PROMPT_ASKS = {
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
