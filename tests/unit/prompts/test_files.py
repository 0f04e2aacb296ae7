"""Prompts as files: what is written reads back as the same, and what is wrong is named."""

import pytest
from hypothesis import given, settings

from gateway.domain.prompts import PromptMessage, PromptText
from gateway.prompts.files import FileFault, Form, PromptFile, read, write
from tests.unit.prompts.prompt_strategies import FILES

FORM_NAMES = ["yaml", "prompty"]


@pytest.mark.parametrize("form", FORM_NAMES)
@settings(max_examples=150)
@given(prompt=FILES)
def test_a_prompt_written_and_read_is_the_same(form: Form, prompt: PromptFile) -> None:
    content = write(prompt, form)
    assert read(f"x.{form}", content) == prompt


@pytest.mark.parametrize("form", FORM_NAMES)
@settings(max_examples=50)
@given(prompt=FILES)
def test_a_checkout_with_other_line_ends_reads_the_same(form: Form, prompt: PromptFile) -> None:
    assert read(f"x.{form}", write(prompt, form).replace(b"\n", b"\r\n")) == prompt


@pytest.mark.parametrize("form", FORM_NAMES)
@settings(max_examples=50)
@given(prompt=FILES)
def test_writing_what_was_read_changes_no_byte(form: Form, prompt: PromptFile) -> None:
    content = write(prompt, form)
    assert write(read(f"x.{form}", content), form) == content


def test_yaml_has_texts_of_several_lines_as_blocks_and_members_in_order() -> None:
    text = PromptText(
        model="gpt-4o", messages=(PromptMessage(role="system", content="You help.\nBe brief."),), parameters={"temperature": 0.2}
    )
    assert write(PromptFile(name="support", text=text, description="Answers."), "yaml").decode() == (
        "name: support\ndescription: Answers.\nmodel: gpt-4o\nparameters:\n  temperature: 0.2\nmessages:\n"
        "  - role: system\n    content: |-\n      You help.\n      Be brief.\n"
    )


GOOD = b"model: m\nmessages: [{role: user, content: hi}]\n"


def test_a_file_without_a_name_is_called_after_itself() -> None:
    assert read("folder/support.v2.yaml", GOOD).name == "support.v2"


FAULTS = {
    "not UTF-8": (b"model: \xff", "", "is not UTF-8 at byte 7"),
    "not YAML": (b"model: m\nmessages: [", "line 2", "is not YAML"),
    "no object": (b"- a", "", "must hold an object"),
    "a list where a name stands": (b"[a]: b", "line 1", "whose name is no text"),
    "a number as a name": (b"1: b", "line 1", "whose name is no text"),
    "twice": (GOOD + b"model: n\n", "line 3", "has the member 'model' twice"),
    "a date": (GOOD + b"parameters:\n  since: 2026-11-22\n", "line 4", "a time; put it in quotes"),
    "an anchor": (b"a: &a [x]\nb: *a\n", "line 2", "anchor"),
    "a tag": (b"model: !!python/name:os.system x\n", "line 1", "which JSON does not have"),
    "merged": (b"<<: {model: m}\n", "line 1", "which JSON does not have"),
    "infinite": (GOOD + b"parameters: {x: .inf}\n", "", "a number that JSON does not have"),
    "a member too many": (GOOD + b"note: x\n", "note", "is not known"),
    "one missing": (b"messages: []\n", "model", "is missing"),
    "of another type": (b"model: 7\nmessages: []\n", "model", "must be a text, not a whole number"),
    "inside a message": (b"model: m\nmessages: [{role: robot, content: x}]\n", "messages[0].role", ""),
    "no message": (b"model: m\nmessages: []\n", "messages", "at least one"),
    "no role": (b"model: m\nmessages: [{content: x}]\n", "messages[0]", "lacks `role`"),
    "a placeholder with words": (b"model: m\nmessages: [{placeholder: conversation, content: x}]\n", "messages[0]", "is a placeholder"),
    "no name for a prompt": (GOOD + b"name: a/b\n", "name", "cannot be a prompt's name"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_faulty_file_is_refused_with_its_name_and_the_field(what: str) -> None:
    content, field, said = FAULTS[what]
    with pytest.raises(FileFault) as caught:
        read("bad.yaml", content)
    assert (caught.value.file, caught.value.field) == ("bad.yaml", field)
    assert said in caught.value.message
    assert str(caught.value).startswith("bad.yaml: ")


def test_a_file_nested_without_end_is_refused() -> None:
    with pytest.raises(FileFault, match="nested too deeply"):
        read("bad.yaml", b"a: " + b"[" * 100_000)
