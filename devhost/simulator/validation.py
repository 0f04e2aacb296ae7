"""Refuses a chat request that Azure OpenAI would refuse, in its words: types, ranges, roles, and the pairing of tool calls.

Top-level fields it does not know are refused too, save those that start with `x_`: with them a test sees that unknown
fields travel through a gateway untouched.
"""

from typing import Any, NoReturn

from devhost.simulator.refusals import api_error

_FIELDS = frozenset({
    "audio", "data_sources", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
    "max_tokens", "messages", "metadata", "modalities", "model", "moderation", "n", "parallel_tool_calls", "prediction",
    "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning_effort",
    "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options", "temperature",
    "tool_choice", "tools", "top_logprobs", "top_p", "user", "user_security_context", "verbosity", "web_search_options",
})  # fmt: skip
_STREAM_OPTIONS_SINCE = "2024-09-01"  # of Azure's dated versions, previews included; `v1` sorts after every date
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_NUMBERS = {"temperature": (0, 2), "top_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2)}
_INTEGERS = {"n": (1, 128), "max_tokens": (1, None), "max_completion_tokens": (1, None), "top_logprobs": (0, 20), "seed": (None, None)}
_BOOLEANS = ("stream", "logprobs", "parallel_tool_calls", "store")
_NAMES = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def check_chat(body: dict[str, Any], version: str = "v1") -> None:
    """Raise the refusal that the first fault of a chat request deserves, in that version of the API."""
    for field in body:
        too_new = field == "stream_options" and version < _STREAM_OPTIONS_SINCE
        if too_new or (field not in _FIELDS and not field.startswith("x_")):
            raise api_error(400, f"Unrecognized request argument supplied: {field}")
    check_ranges(body)
    _check_messages(body)
    _check_tools(body)
    _check_combinations(body)


def check_ranges(body: dict[str, Any]) -> None:
    """Raise a refusal when a number is of the wrong type or out of range."""
    for table, kinds, noun in ((_NUMBERS, (int, float), "decimal"), (_INTEGERS, (int,), "integer")):
        for field, (low, high) in table.items():
            value = body.get(field)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, kinds):
                wrong_type(field, "a decimal" if noun == "decimal" else "an integer", value)
            if low is not None and value < low:
                _invalid(
                    field, f"{noun} below minimum value. Expected a value >= {low}, but got {value} instead.", f"{noun}_below_min_value"
                )
            if high is not None and value > high:
                _invalid(
                    field, f"{noun} above maximum value. Expected a value <= {high}, but got {value} instead.", f"{noun}_above_max_value"
                )
    for field in _BOOLEANS:
        if not isinstance(body.get(field), bool | None):
            wrong_type(field, "a boolean", body[field])


def wrong_type(field: str, expected: str, value: Any) -> NoReturn:
    """Raise the refusal for a value of the wrong type."""
    got = _NAMES.get(type(value), "something else")
    raise api_error(400, f"Invalid type for '{field}': expected {expected}, but got {got} instead.", param=field, code="invalid_type")


def missing(field: str) -> NoReturn:
    """Raise the refusal for a required parameter that is not there."""
    raise api_error(400, f"Missing required parameter: '{field}'.", param=field, code="missing_required_parameter")


def _invalid(field: str, why: str, code: str) -> NoReturn:
    raise api_error(400, f"Invalid '{field}': {why}", param=field, code=code)


def _check_messages(body: dict[str, Any]) -> None:
    messages = body.get("messages")
    if "messages" not in body:
        missing("messages")
    if not isinstance(messages, list):
        wrong_type("messages", "an array of objects", messages)
    if not messages:
        _invalid("messages", "empty array. Expected an array with minimum length 1, but got an empty array instead.", "empty_array")
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            wrong_type(where, "an object", message)
        role = message.get("role")
        if role is None:
            missing(f"{where}.role")
        if not isinstance(role, str) or role not in _ROLES:
            supported = "'system', 'assistant', 'user', 'function', 'tool', and 'developer'"
            text = f"Invalid value: '{role}'. Supported values are: {supported}."
            raise api_error(400, text, param=f"{where}.role", code="invalid_value")
        _check_content(message, where, role)
        open_calls = _check_pairing(message, where, role, open_calls)
    _refuse_unanswered(open_calls)


def _check_content(message: dict[str, Any], where: str, role: str) -> None:
    content = message.get("content")
    if content is None:
        if role == "assistant" and (message.get("tool_calls") or message.get("function_call") or message.get("refusal")):
            return
        text = f"Invalid value for 'content': expected a string, got null. Expected '{where}.content'."
        raise api_error(400, text, param=f"{where}.content")
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        wrong_type(f"{where}.content", "one of a string or array of objects", content)
    for index, part in enumerate(content):
        if not isinstance(part, dict):
            wrong_type(f"{where}.content[{index}]", "an object", part)
        if not isinstance(part.get("type"), str):
            missing(f"{where}.content[{index}].type")
        if part["type"] == "text" and not isinstance(part.get("text"), str):
            wrong_type(f"{where}.content[{index}].text", "a string", part.get("text"))


def _check_pairing(message: dict[str, Any], where: str, role: str, open_calls: set[str]) -> set[str]:
    """Return the tool calls that wait for an answer after this message."""
    if role == "tool":
        answered = message.get("tool_call_id")
        if not isinstance(answered, str) or answered not in open_calls:
            text = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
            raise api_error(400, text, param=f"{where}.role")
        return open_calls - {answered}
    _refuse_unanswered(open_calls)
    calls = message.get("tool_calls")
    if role != "assistant" or calls is None:
        return set()
    if not isinstance(calls, list) or not all(isinstance(call, dict) and isinstance(call.get("id"), str) for call in calls):
        wrong_type(f"{where}.tool_calls", "an array of objects with an id", calls)
    return {call["id"] for call in calls}


def _refuse_unanswered(open_calls: set[str]) -> None:
    if open_calls:
        text = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
            f"The following tool_call_ids did not have response messages: {', '.join(sorted(open_calls))}"
        )
        raise api_error(400, text, param="messages")


def _check_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools")
    if tools is None:
        if body.get("tool_choice") is not None:
            _invalid_choice("'tool_choice' is only allowed when 'tools' are specified.")
        return
    if not isinstance(tools, list):
        wrong_type("tools", "an array of objects", tools)
    if not tools:
        _invalid("tools", "empty array. Expected an array with minimum length 1, but got an empty array instead.", "empty_array")
    names = []
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            missing(f"tools[{index}].function.name")
        if not isinstance(function.get("parameters", {}), dict):
            wrong_type(f"tools[{index}].function.parameters", "an object", function["parameters"])
        names.append(function["name"])
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        name = choice.get("function", {}).get("name") if isinstance(choice.get("function"), dict) else None
        if name not in names:
            _invalid_choice(f"Invalid value for 'tool_choice': no function named '{name}' was specified in the 'tools' parameter.")
    elif choice is not None and choice not in ("none", "auto", "required"):
        _invalid_choice(f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'.")


def _invalid_choice(text: str) -> NoReturn:
    raise api_error(400, text, param="tool_choice", code="invalid_value")


def _check_combinations(body: dict[str, Any]) -> None:
    if body.get("stream_options") is not None and not body.get("stream"):
        text = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise api_error(400, text, param="stream_options")
    if not isinstance(body.get("stream_options"), dict | None):
        wrong_type("stream_options", "an object", body["stream_options"])
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        text = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise api_error(400, text, code="invalid_parameter_combination")
    _check_stop(body.get("stop"))
    _check_format(body)


def _check_stop(stop: Any) -> None:
    if isinstance(stop, list):
        if len(stop) > 4:
            _invalid("stop", f"array too long. Expected an array with maximum length 4, but got {len(stop)}.", "array_above_max_length")
        if all(isinstance(item, str) for item in stop):
            return
    if not isinstance(stop, str | None):
        wrong_type("stop", "one of a string or array of strings", stop)


def _check_format(body: dict[str, Any]) -> None:
    wanted = body.get("response_format")
    if wanted is None:
        return
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if not isinstance(kind, str) or kind not in {"text", "json_object", "json_schema"}:
        text = f"Invalid value: '{kind}'. Supported values are: 'json_object', 'json_schema', and 'text'."
        raise api_error(400, text, param="response_format.type", code="invalid_value")
    if kind == "json_object" and "json" not in str(body["messages"]).lower():
        text = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        raise api_error(400, text, param="messages")
    if kind == "json_schema":
        schema = wanted.get("json_schema")
        if not isinstance(schema, dict) or not isinstance(schema.get("name"), str):
            missing("response_format.json_schema.name")
        if not isinstance(schema.get("schema", {}), dict):
            wrong_type("response_format.json_schema.schema", "an object", schema["schema"])
