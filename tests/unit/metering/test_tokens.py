"""Token counts: exact against tiktoken, bounded without it, and never from the network."""

import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Call, Operation
from gateway.metering.tokens import _VENDORED, EXACT_UP_TO, FILES, Count, TokenCounter, encoding_of, upper_bound
from tests.builders import make_call

MODELS = {"gpt-4o": "o200k_base", "gpt-4": "cl100k_base"}


def no_network(*_: Any) -> Never:
    raise AssertionError("the network was asked")


@pytest.fixture(scope="module")
def loaded() -> TokenCounter:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", no_network)
        patch.setattr(socket, "getaddrinfo", no_network)
        patch.setattr(os, "environ", os.environ.copy())
        counter = TokenCounter()
        counter.start_loading()
        counter.start_loading()
        assert counter.wait(60)
    return counter


def chat(*messages: dict[str, Any], model: str = "gpt-4o", **over: Any) -> Call:
    return make_call({"model": model, "messages": list(messages)} | over)


def tokens(text: str, model: str = "gpt-4o") -> int:
    import tiktoken

    return len(tiktoken.get_encoding(encoding_of(model)[0]).encode_ordinary(text))


NEW = (
    "gpt-4o",
    "gpt-4o-mini",
    "GPT-4.1-nano",
    "gpt-4.5-preview",
    "gpt-41",
    "gpt-5",
    "chatgpt-4o-latest",
    "o1",
    "o3-mini",
    "ft:gpt-4o:acme",
    "a/o4-mini",
)
OLD = (
    "gpt-4",
    "gpt-4-turbo",
    "gpt-4-32k",
    "gpt-4-1106-preview",
    "gpt-3.5-turbo",
    "gpt-35-turbo-16k",
    "text-embedding-3-small",
    "ft:gpt-4:acme",
    "a/GPT-4",
)
OTHER = ("llama-4", "claude-opus", "chat-default", "o3d", "gpt-oss", "")


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        *[(model, ("o200k_base", True)) for model in NEW],
        *[(model, ("cl100k_base", True)) for model in OLD],
        *[(model, ("o200k_base", False)) for model in OTHER],
    ],
)
def test_each_model_has_its_encoding(model: str, encoding: tuple[str, bool]) -> None:
    assert encoding_of(model) == encoding


def test_another_makers_model_is_estimated(loaded: TokenCounter) -> None:
    assert loaded.count_text("claude-opus", "Hello, world!") == Count(4, exact=False)


def test_importing_the_module_does_not_import_tiktoken() -> None:
    code = "import sys, gateway.metering.tokens as t; t.TokenCounter().count_text('gpt-4o', 'a'); sys.exit('tiktoken' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_before_loading_every_count_is_the_bound() -> None:
    assert TokenCounter().count_text("gpt-4o", "Grüße") == Count(7, exact=False, bound=True)
    assert not TokenCounter().ready
    assert not TokenCounter().wait(0)


def test_loading_needs_no_network_and_counts_exactly(loaded: TokenCounter) -> None:
    assert loaded.ready
    assert loaded.count_text("gpt-4o", "Hello, world!") == Count(4, exact=True)
    assert loaded.count_text("gpt-4", "Hello, world!") == Count(4, exact=True)


def test_the_vendored_names_are_those_that_tiktoken_looks_for(loaded: TokenCounter) -> None:
    import hashlib
    import inspect

    import tiktoken_ext.openai_public as public

    for name, (file_name, sha256) in FILES.items():
        url = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
        source = inspect.getsource(getattr(public, name))
        assert url in source
        assert sha256 in source
        assert hashlib.sha1(url.encode()).hexdigest() == file_name


@pytest.mark.parametrize("fault", ["corrupted", "missing"])
def test_a_bad_file_means_the_bound_and_is_neither_deleted_nor_downloaded(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "untouched")
    for file_name, _ in FILES.values():
        if fault == "corrupted":
            shutil.copyfile(_VENDORED / file_name, tmp_path / file_name)
            with (tmp_path / file_name).open("ab") as file:
                file.write(b"IQ== 999999\n")
    before = sorted(tmp_path.iterdir())
    counter = TokenCounter(tmp_path)
    with caplog.at_level(logging.ERROR):
        counter.start_loading()
        assert not counter.wait(60)
    assert counter.count_text("gpt-4o", "Hello, world!") == Count(13, exact=False, bound=True)
    assert sorted(tmp_path.iterdir()) == before
    assert os.environ["TIKTOKEN_CACHE_DIR"] == "untouched"
    assert [record.levelname for record in caplog.records] == ["ERROR"] * len(FILES)


any_text = st.text(max_size=60) | st.text(st.sampled_from(" \n\t'a1é中😀\ud83d\ude00<|>"), max_size=60)


@given(any_text, st.sampled_from(sorted(MODELS)))
def test_the_bound_is_never_below_the_exact_count(loaded: TokenCounter, text: str, model: str) -> None:
    count = loaded.count_text(model, text)
    assert count.exact
    assert count.tokens <= upper_bound(text)
    assert loaded.count_text(model, text, exact_up_to=-1) == Count(upper_bound(text), exact=False, bound=True)


@given(st.lists(st.tuples(any_text, st.none() | any_text), min_size=1, max_size=4), st.sampled_from(sorted(MODELS)))
def test_a_prompts_bound_is_never_below_its_exact_count(loaded: TokenCounter, turns: list[tuple[str, str | None]], model: str) -> None:
    call = chat(*[{"role": "user", "content": text} | ({"name": name} if name else {}) for text, name in turns], model=model)
    assert loaded.count_prompt(call).exact
    assert loaded.count_prompt(call).tokens <= TokenCounter().count_prompt(call).tokens


def test_special_tokens_in_text_are_plain_text(loaded: TokenCounter) -> None:
    assert loaded.count_text("gpt-4o", "<|endoftext|>").tokens > 1


@pytest.mark.parametrize("unit", ["a", " ", "\t", "\n", "!", "中", "\u0301", "<|endoftext|>"])
def test_a_pathological_text_neither_hangs_nor_fails(loaded: TokenCounter, unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    assert loaded.count_text("gpt-4o", text) == Count(len(text.encode()), exact=False, bound=True)
    assert loaded.count_text("gpt-4o", text[:EXACT_UP_TO]).exact


def test_a_panic_in_tiktoken_means_the_bound(loaded: TokenCounter) -> None:
    class PanicException(BaseException):
        pass

    class Panicking:
        def encode_ordinary(self, _: str) -> Never:
            raise PanicException

    counter = TokenCounter()
    counter._encodings["o200k_base"] = Panicking()
    assert counter.count_text("gpt-4o", "abc") == Count(3, exact=False, bound=True)


def test_a_prompt_counts_as_the_cookbook_says(loaded: TokenCounter) -> None:
    # The cookbook's own example with the numbers it gives.
    messages = [
        ("system", None, "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."),
        ("system", "example_user", "New synergies will help drive top-line growth."),
        ("system", "example_assistant", "Things working well together will increase revenue."),
        ("system", "example_user", "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."),
        ("system", "example_assistant", "Let's talk later when we're less busy about how to do better."),
        ("user", None, "This late pivot means we don't have time to boil the ocean for the client deliverable."),
    ]
    documents = [{"role": role, "content": text} | ({"name": name} if name else {}) for role, name, text in messages]
    assert loaded.count_prompt(chat(*documents, model="gpt-4")) == Count(129, exact=True)
    assert loaded.count_prompt(chat(*documents, model="gpt-4o")) == Count(124, exact=True)


@pytest.mark.parametrize(
    ("part", "least", "most"),
    [
        ({"type": "image_url", "image_url": {"url": "u", "detail": "low"}}, 85, 85),
        ({"type": "image_url", "image_url": {"url": "u", "detail": "high"}}, 765, 1445),
        ({"type": "image_url", "image_url": {"url": "u"}}, 765, 1445),
        ({"type": "input_audio", "input_audio": {"data": "A" * 5000, "format": "wav"}}, 50, 60),
        ({"type": "file", "file": {"file_id": "file-1"}}, 765, 1445),
        ({"type": "file", "file": {"file_data": "A" * 40_000}}, 10_000, 10_000),
        ({"type": "novel", "text": "some text"}, 5, 30),
    ],
)
def test_what_is_not_text_is_estimated(loaded: TokenCounter, part: dict[str, Any], least: int, most: int) -> None:
    count = loaded.count_prompt(chat({"role": "user", "content": [{"type": "text", "text": "Hi"}, part]}))
    assert count.exact == (part.get("image_url", {}).get("detail") == "low")
    assert least <= count.tokens - loaded.count_prompt(chat({"role": "user", "content": "Hi"})).tokens <= most


def test_images_cost_a_mini_model_more(loaded: TokenCounter) -> None:
    image = {"type": "image_url", "image_url": {"url": "u", "detail": "low"}}
    call = chat({"role": "user", "content": [image]})
    assert loaded.count_prompt(call, model="gpt-4o-mini-2024-07-18").tokens - loaded.count_prompt(call).tokens == 2833 - 85


@pytest.mark.parametrize("name", ["tools", "functions", "response_format"])
def test_what_is_no_function_counts_as_its_json(loaded: TokenCounter, name: str) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string", "description": "The city's name"}}}
    plain, with_schema = (loaded.count_prompt(chat({"role": "user", "content": "Hi"}, **over)) for over in ({}, {name: [schema]}))
    assert not with_schema.exact
    assert 15 < with_schema.tokens - plain.tokens < 40


def test_tool_calls_and_refusals_in_the_history_count(loaded: TokenCounter) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
    called = tokens("weather") + tokens('{"city": "Paris"}') + 3
    assert loaded.count_prompt(chat({"role": "assistant", "content": None, "tool_calls": [call]})) == Count(3 + 4 + called, exact=False)
    novel = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    assert loaded.count_prompt(chat({"role": "assistant", "content": None, "tool_calls": [novel]})).tokens > 3 + 4 + 10
    assert loaded.count_prompt(chat({"role": "assistant", "content": None, "refusal": "No."})) == Count(3 + 4 + tokens("No."), exact=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("Hello, world!", 4), (["Hello, world!", "Hello"], 5), ([1, 2, 3], 3), ([[1, 2], [3]], 3)],
)
def test_embeddings_count_texts_and_token_arrays(loaded: TokenCounter, value: Any, expected: int) -> None:
    call = make_call({"model": "text-embedding-3-small", "input": value}, operation=Operation.EMBEDDINGS)
    assert loaded.count_prompt(call) == Count(expected, exact=True)


def test_operations_without_a_prompt_count_nothing(loaded: TokenCounter) -> None:
    assert loaded.count_prompt(make_call({"model": "x"}, operation=Operation.LIST_MODELS)).tokens == 0


def test_counts_alike_from_many_threads(loaded: TokenCounter) -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 200
    expected = loaded.count_text("gpt-4o", text)
    results: list[Count] = []
    threads = [threading.Thread(target=lambda: results.extend(loaded.count_text("gpt-4o", text) for _ in range(20))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 160


def test_a_call_is_refused_only_by_what_its_prompt_has_for_certain() -> None:
    assert Count(100, exact=True).at_least == 100
    assert Count(100, exact=False).at_least == 75  # another maker's tokenizer may count less
    assert Count(600, exact=False, bound=True).at_least == 100  # bytes, not tokens: encodings are still being loaded
    assert TokenCounter().count_prompt(make_call()).bound
