"""Prompty files of others: read as far as they mean the same here, and else refused with the reason."""

import pytest

from gateway.domain.prompts import PromptMessage, PromptText
from gateway.prompts.files import FileFault, PromptFile, read, write

THEIRS = """---
name: Basic Prompt
description: Answers questions.
authors: [ann, bob]
tags: [basic]
model:
  api: chat
  configuration:
    type: azure_openai
    azure_deployment: gpt-4o
    azure_endpoint: ${env:AZURE_OPENAI_ENDPOINT}
    api_key: ${env:KEY}
  parameters:
    max_tokens: 128
    temperature: 0.2
inputs:
  firstName:
    type: string
    description: Whom to greet
    sample: Jane
  days: {type: int, default: 3}
sample:
  firstName: Jane
---
system:
You help {{firstName}}.
Be brief.

![thread]

# User:
{{ firstName }} asks:
---
Who are you?
"""


def theirs(front: str = "", body: str = "user:\nhi", model: str = "{configuration: {azure_deployment: m}}") -> PromptFile:
    return read("mine.prompty", f"---\nmodel: {model}\n{front}\n---\n{body}\n".encode())


def test_a_file_of_others_is_read_and_what_is_left_out_is_named() -> None:
    prompt = read("folder/basic.prompty", THEIRS.encode())
    assert prompt.text == PromptText(
        model="gpt-4o",
        messages=(
            PromptMessage(role="system", content="You help {{firstName}}.\nBe brief."),
            PromptMessage(placeholder="conversation"),
            PromptMessage(role="user", content="{{ firstName }} asks:\n---\nWho are you?"),
        ),
        parameters={"max_tokens": 128, "temperature": 0.2},
        input_schema={
            "type": "object",
            "properties": {"firstName": {"type": "string", "description": "Whom to greet"}, "days": {"type": "integer", "default": 3}},
            "required": ["firstName"],
            "additionalProperties": False,
        },
    )
    assert (prompt.name, prompt.description, prompt.examples) == ("basic", "Answers questions.", ({"firstName": "Jane"},))
    assert prompt.left_out == (
        "authors", "tags", "name", "model.configuration.azure_endpoint", "model.configuration.api_key", "inputs.firstName.sample"
    )  # fmt: skip


LANGUAGES = {
    "variables alone": ("", "user:\nA {{ x }} and {{y}}, {z}", "strict"),
    "more than variables": ("", "user:\n{% for a in b %}{{a}}{% endfor %}", "jinja2"),
    "a filter": ("template: jinja2", "user:\n{{ x | upper }}", "jinja2"),
    "a comment": ("", "user:\n{# a #}", "jinja2"),
    "mustache": ("template: {type: mustache}", "user:\n{{x}}", "strict"),
}


@pytest.mark.parametrize("what", LANGUAGES)
def test_a_template_that_only_names_variables_is_strict_and_any_other_jinja(what: str) -> None:
    front, body, template = LANGUAGES[what]
    assert theirs(front, body).text.template == template


def test_words_before_the_first_role_are_the_systems_and_images_are_parts() -> None:
    (first, second) = theirs(body="Be kind.\nuser:\nSee ![it](https://a/b.png) there").text.messages
    assert first == PromptMessage(role="system", content="Be kind.")
    assert second.content == (
        {"type": "text", "text": "See"},
        {"type": "image_url", "image_url": {"url": "https://a/b.png"}},
        {"type": "text", "text": "there"},
    )


REFUSED = {
    "a file that is referred to": ("sample: ${file:sample.json}", "", "sample", "is a text, such as the name of a file"),
    "an environment variable": ("description: ${env:WHAT}", "", "description", "refers to a file or an environment variable"),
    "one in an input": ("inputs: {a: {type: string, default: '${env:A}'}}", "", "input_schema.properties.a.default", "refers to"),
    "a value for an input": ("inputs: {a: hello}", "", "inputs.a", "is a value; describe it"),
    "a type that JSON lacks": ("inputs: {a: {type: image}}", "", "inputs.a.type", "must be one of array, boolean"),
    "tools": ("tools: []", "", "tools", "is not known here"),
    "sections": ("template: mustache", "user:\n{{#a}}x{{/a}}", "template", "more than variables"),
    "another language": ("template: liquid", "", "template", "must be jinja2"),
    "a role that is none here": ("", "function:\nx", "line 5", "has a part `function:`"),
    "attributes": ("", 'user[name="ann"]:\nx', "line 5", "has attributes after `user`"),
    "a local image": ("", "user:\nhi\n![x](a.png)", "line 7", "has an image that is no address"),
    "an image that is a variable": ("", "user:\n![x]({{url}})", "line 6", "has an image that is no address"),
    "no message": ("", " \n", "messages", "at least one"),
    "ours, that says a text twice": ("gateway: {template: strict, messages: [{at: 0, content: x}]}", "", "gateway.messages[0].content",
    "too"),
    "ours, for no message": ("gateway: {template: strict, messages: [{at: 1, end: ''}]}", "", "gateway.messages[0].at", "which has 1"),
    "ours, with more than ends": ("gateway: {template: strict, messages: [{at: 0, end: x}]}", "", "gateway.messages[0].end", "line ends"),
    "ours, with two languages": ("template: jinja2\ngateway: {template: strict}", "", "template", "otherwise than gateway.template"),
    "ours, with two schemas": (
        "inputs: {a: {type: string}}\ngateway: {template: strict, input_schema: {type: object}}", "", "inputs", "gateway.input_schema"
    ),
    "ours, unknown": ("gateway: {template: strict, stepz: []}", "", "gateway.stepz", "is not known"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_change_a_prompt_is_refused(what: str) -> None:
    front, body, field, said = REFUSED[what]
    with pytest.raises(FileFault) as caught:
        theirs(front, body or "user:\nhi")
    assert (caught.value.field, said in caught.value.message) == (field, True), caught.value


MODELS = {
    "no model": ("", "model"),
    "no deployment": ("{api: chat}", "model.configuration"),
    "a variable": ("{configuration: {azure_deployment: '${env:M}'}}", "model"),
    "another api": ("{api: completion, configuration: {name: m}}", "model.api"),
    "something new": ("{id: m}", "model.id"),
}


@pytest.mark.parametrize("what", MODELS)
def test_a_model_that_is_not_named_is_asked_for(what: str) -> None:
    model, field = MODELS[what]
    with pytest.raises(FileFault) as caught:
        theirs(model=model)
    assert caught.value.field == field


@pytest.mark.parametrize("text", ["user:\nhi", "", "---\nmodel: m\n", "x\n---\na: b\n---\n"], ids=["none", "empty", "open", "late"])
def test_a_file_without_frontmatter_is_refused(text: str) -> None:
    with pytest.raises(FileFault, match="must begin with its frontmatter"):
        read("a.prompty", text.encode())


def test_a_prompt_of_ours_looks_like_prompty() -> None:
    messages = (
        PromptMessage(role="system", content="You help.\n"),
        PromptMessage(role="system", content="Be formal.", when={"role": "lawyer"}),
        PromptMessage(placeholder="conversation"),
        PromptMessage(role="user", content="user:\nsays {{q}}"),
    )
    schema = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"], "additionalProperties": False}
    text = PromptText(model="gpt-4o", messages=messages, input_schema=schema)
    assert write(PromptFile(name="help", text=text, examples=({"q": "Why?"},)), "prompty").decode() == (
        "---\nname: help\nmodel:\n  api: chat\n  configuration:\n    type: azure_openai\n    azure_deployment: gpt-4o\n"
        "inputs:\n  q:\n    type: string\nsample:\n  q: Why?\n"
        'gateway:\n  template: strict\n  messages:\n    - at: 0\n      end: "\\n"\n    - at: 1\n      when:\n        role: lawyer\n'
        "    - at: 3\n      content: |-\n        user:\n        says {{q}}\n"
        "---\nsystem:\nYou help.\n\nsystem:\nBe formal.\n\n![thread]\n\nuser:\n"
    )
