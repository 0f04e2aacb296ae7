"""What a prompt consists of, for every operation that has one: texts to be counted, and tokens of what is not text.

The document is taken as valid: a reader of `domain/` has checked it. `tokens.py` counts the texts. Functions are taken in the
notation in which the models read them (`tools.py`), images by their size (`images.py`), other tools and formats as JSON; sound
and files are estimated. `exact` is whether OpenAI says that it counts so.

What is proved, and by what:
- messages and names: by the numbers of the API in the cookbook (GPT-3.5, GPT-4, gpt-4o);
- functions, calls of them and their results: by its numbers in the cookbook and in openai-chat-tokens (see `tools.py`);
- images: by what OpenAI publishes, and bills that users report (see `images.py`);
- many calls in one message, `tool` messages, tools and calls in Responses: against our simulator alone, as if they were the
  former; so they are estimates;
- formats of answers, Anthropic's tools: JSON, which is about as long: estimates.

Source: OpenAI cookbook, "How to count tokens with tiktoken"; github.com/hmarr/openai-chat-tokens (read 2026-11-23).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.metering import tools
from gateway.metering.images import Size, image_tokens, size_of_data, size_of_url

_TOKENS_PER_MESSAGE = 4  # three of framing, and the role, which is one token for every role in both encodings
_TOKENS_PER_NAME = 1
_PRIMING_TOKENS = 3  # the answer's beginning, `<|start|>assistant<|message|>`

_SYSTEM_ROLES = ("system", "developer")
_AUDIO_CHARS_PER_TOKEN = 100  # base64; ten tokens a second, at no less than 1 KB/s
_FILE_CHARS_PER_TOKEN = 4  # base64; a dense PDF, as text and page images


class Prompt:
    """The texts of one prompt, the tokens that are not text, and whether those are known or estimated.

    Args:
        model: Which counts them; what an image costs hangs on it.
    """

    __slots__ = ("exact", "model", "texts", "tokens")

    def __init__(self, model: str) -> None:
        self.texts: list[str] = []
        self.tokens = 0
        self.exact = True
        self.model = model

    def add_chat(self, document: Mapping[str, Any]) -> None:
        """Add a chat request."""
        messages = document["messages"]
        self.tokens += _PRIMING_TOKENS + _TOKENS_PER_MESSAGE * len(messages)
        for message in messages:
            content = message.get("content")
            if type(content) is str:
                self.texts.append(content)
            elif content:
                for part in content:
                    self._add_part(part)
            if len(message) > 2:
                self._add_rest(message)
        if document.get("tools") or document.get("functions"):
            self._add_functions(document)
        if document.get("response_format"):
            self._add_json(document["response_format"])

    def _add_functions(self, document: Mapping[str, Any]) -> None:
        given: list[dict[str, Any]] = list(document.get("functions") or ())
        given += [tool["function"] if type(tool.get("function")) is dict else tool for tool in document.get("tools") or ()]
        self._add_tools(given, document["messages"])
        self._add_choice(document.get("tool_choice") or document.get("function_call"))

    def _add_tools(self, given: list[dict[str, Any]], messages: list[dict[str, Any]]) -> None:
        """Add functions in their notation, and other tools as JSON. They share the system message, where there is one."""
        self.exact = False
        functions: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        for tool in given:
            (functions if type(tool.get("name")) is str and tool.get("type", "function") == "function" else others).append(tool)
        if others:
            self._add_json(others)
        if not functions:
            return
        self.tokens += tools.TOKENS_WITH_FUNCTIONS
        self.texts.append(tools.render(functions))
        system = next((message for message in messages if message.get("role") in _SYSTEM_ROLES), None)
        if system is not None:
            self.tokens += tools.TOKENS_SHARED_SYSTEM
            # They come behind its text, on a line of their own.
            if type(text := system.get("content")) is str:
                self.texts[self.texts.index(text)] = text + "\n"

    def _add_choice(self, choice: Any) -> None:
        if choice == "none":
            self.tokens += tools.TOKENS_OF_NO_CHOICE
        elif type(choice) is dict:
            named = choice["function"] if type(choice.get("function")) is dict else choice
            if type(named.get("name")) is str:
                self.tokens += tools.TOKENS_OF_NAMED_CHOICE
                self.texts.append(named["name"])

    def _add_call(self, call: Mapping[str, Any]) -> None:
        """Add a function's name and the arguments it was called with."""
        self.exact = False
        if type(call.get("name")) is str and type(call.get("arguments")) is str:
            self.tokens += tools.TOKENS_PER_CALL
            self.texts += (call["name"], call["arguments"])
        else:
            self._add_json(call)

    def _add_image(self, size: Size | None, detail: object) -> None:
        tokens, known = image_tokens(self.model, size, detail)
        self.tokens += tokens
        self.exact = self.exact and known

    def _add_file(self, encoded: object) -> None:
        """Add a file in base64; one given by id has no size here: at least an image's worth."""
        self.exact = False
        chars = len(encoded) if type(encoded) is str else 0
        self.tokens += max(image_tokens(self.model, None)[0], chars // _FILE_CHARS_PER_TOKEN)

    def add_messages(self, document: Mapping[str, Any]) -> None:
        """Add an Anthropic Messages request."""
        messages = document["messages"]
        self.tokens += _PRIMING_TOKENS + _TOKENS_PER_MESSAGE * len(messages)
        for content in (document.get("system"), *[message["content"] for message in messages]):
            self._add_blocks(content)
        for name in ("tools", "output_config", "output_format"):
            if document.get(name):
                self._add_json(document[name])

    def _add_blocks(self, content: Any) -> None:
        blocks: list[dict[str, Any]] = [{"type": "text", "text": content}] if type(content) is str else content or []
        for block in blocks:
            kind = block["type"]
            if kind == "text":
                self.texts.append(block["text"])
            elif kind == "tool_result":
                self._add_blocks(block.get("content"))
            elif kind == "image":
                self._add_image(size_of_data(block["source"].get("data")), None)
            elif kind == "document" and block["source"].get("type") == "base64":
                self._add_file(block["source"].get("data"))
            else:
                self._add_json(block)

    def add_responses(self, document: Mapping[str, Any]) -> None:
        """Add a Responses request; what a previous response holds is not known here."""
        given, instructions = document.get("input"), document.get("instructions")
        items: list[dict[str, Any]] = given if type(given) is list else [{"content": given}]
        self.exact = not document.get("previous_response_id")
        self.tokens += _PRIMING_TOKENS + _TOKENS_PER_MESSAGE * (len(items) + (instructions is not None))
        self._add_parts(instructions)
        for item in items:
            for name in ("content", "output", "summary", "name", "arguments", "input"):
                self._add_parts(item.get(name))
            if item.get("type") == "function_call":
                self.exact = False
                self.tokens += tools.TOKENS_PER_CALL
        if document.get("tools"):
            self._add_tools(document["tools"], items if instructions is None else [{"role": "system", "content": instructions}])
            self._add_choice(document.get("tool_choice"))
        if document.get("text"):
            self._add_json(document["text"])

    def _add_parts(self, content: Any) -> None:
        parts: list[dict[str, Any]] = content if type(content) is list else []
        for part in parts:
            if type(part.get("text")) is str:
                self.texts.append(part["text"])
            elif part["type"] == "input_image":
                self._add_image(size_of_url(part.get("image_url")), part.get("detail"))
            elif part["type"] == "input_file":
                self._add_file(part.get("file_data"))
            else:
                self._add_json(part)
        if type(content) is str:
            self.texts.append(content)
        elif type(content) is dict:
            self._add_json(content)

    def add_input(self, value: Any) -> None:
        """Add an embedding's input or a completion's prompt: a string, a token array, or a list of either."""
        if type(value) is str:
            self.texts.append(value)
        elif type(value[0]) is str:
            self.texts.extend(value)
        else:
            self.tokens += len(value) if type(value[0]) is int else sum(map(len, value))

    def _add_rest(self, message: Mapping[str, Any]) -> None:
        if message.get("name"):
            self.texts.append(message["name"])
            self.tokens += _TOKENS_PER_NAME
        if message.get("refusal"):
            self.texts.append(message["refusal"])
        if message["role"] == "function":
            self.tokens += tools.TOKENS_OF_FUNCTION_ROLE
        if message.get("function_call"):
            self._add_call(message["function_call"])
        for call in message.get("tool_calls") or ():
            self._add_call(call.get("function") or call)

    def _add_json(self, value: Any) -> None:
        """Add what the provider turns into text in a notation of its own; JSON is about as long, or longer."""
        self.texts.append(msgspec.json.encode(value).decode())
        self.exact = False

    def _add_part(self, part: Mapping[str, Any]) -> None:
        kind = part["type"]
        if kind in {"text", "refusal"}:
            self.texts.append(part[kind])
            return
        if kind == "image_url":
            image = part["image_url"]
            self._add_image(size_of_url(image.get("url")), image.get("detail"))
            return
        self.exact = False
        if kind == "input_audio":
            data = part["input_audio"].get("data")
            self.tokens += 1 + (len(data) if type(data) is str else 0) // _AUDIO_CHARS_PER_TOKEN
        elif kind == "file":
            self._add_file(part["file"].get("file_data"))
        else:
            self._add_json(part)
