"""What guardrails of streams are made of: services, rules, the backend's own filter."""

import asyncio
import contextlib
from typing import Any

from gateway.domain.call import Operation
from gateway.domain.guardrails import Action, Direction, Fail, Size, Tools
from gateway.domain.verdicts import Passage, Role
from gateway.errors import GuardrailUnavailable
from gateway.guardrails.kinds import Guard
from gateway.guardrails.rules.size import check_output_size
from gateway.guardrails.rules.tools import called_tools, check_called
from tests.unit.guardrails import streams
from tests.unit.guardrails.streams import DONE, MASK, Client, WordDetector, WordService, asking, call_of, called, chunk, guard, read, run


async def test_a_service_judges_stretches_before_they_are_released() -> None:
    service = WordService("evil")
    source = Passage(("messages", 0), "the request", Role.USER)
    client = Client(call_of(Operation.CHAT), [asking(service, chunk=40)], sources=[source])
    await client.read(streams.chat([(0, "good words " * 3), (0, "good words again "), (0, "and ev"), (0, "il ones")], choices=1))
    assert client.texts[0, "content"] == "good words " * 3 + "good words again and "
    assert client.moments[1].get((0, "content")) == ""
    assert service.seen == ["good words " * 3 + "good words again ", ("good words " * 3 + "good words again ")[-100:] + "and evil ones"]
    assert service.sources == [source]
    assert client.outcomes == {"safety": "blocked"}


async def test_what_a_service_redacts_is_redacted_whole_over_the_boundary_of_stretches() -> None:
    service = WordService("Maria Gonzalez")
    text = "x" * 200 + " I met Maria Gonzalez there " + "y" * 120 + " Maria Gonzalez"
    client = Client(call_of(Operation.CHAT), [asking(service, Action.REDACT, chunk=20)])
    await client.read(streams.chat([(0, text[at : at + 7]) for at in range(0, len(text), 7)], choices=1))
    assert client.texts[0, "content"] == text.replace("Maria Gonzalez", "[REDACTED]")
    assert client.outcomes == {"safety": "redacted"}


async def test_what_a_service_redacts_in_arguments_is_redacted_where_it_stands() -> None:
    client = Client(call_of(Operation.CHAT), [asking(WordService("Maria"), Action.REDACT)])
    arguments = '{"a":"of Ma","b":"see Maria there","c":["Maria"]}'
    await client.read([called(arguments, 0, id="t", name="f"), chunk({}, "tool_calls"), DONE])
    assert client.texts[0, "call", 0] == '{"a":"of Ma","b":"see [REDACTED] there","c":["[REDACTED]"]}'


async def test_services_are_shown_what_detectors_left() -> None:
    service = WordService("evil")
    client = Client(call_of(Operation.CHAT), [guard(), asking(service)])
    await client.read(streams.chat([(0, "SECRET-1 and SEC"), (0, "RET-2")], choices=1))
    assert service.seen == [f"{MASK} and {MASK}"]


async def test_a_service_that_fails_closed_breaks_the_stream_and_nothing_unchecked_is_released() -> None:
    client = Client(call_of(Operation.CHAT), [asking(WordService("evil", GuardrailUnavailable("down")), chunk=10)])
    await client.read(streams.chat([(0, "a few words")], choices=1))
    assert client.texts.get((0, "content")) == ""
    assert isinstance(client.events[-1].error, GuardrailUnavailable)
    assert not client.events[-1].done
    assert client.outcomes == {"safety": "unavailable"}


async def test_a_service_that_fails_open_is_asked_once_and_is_unavailable() -> None:
    service = WordService("evil", GuardrailUnavailable("down"))
    client = Client(call_of(Operation.CHAT), [asking(service, chunk=10, fail=Fail.OPEN)])
    await client.read(streams.chat([(0, "a few words"), (0, " and some more")], choices=1))
    assert client.texts[0, "content"] == "a few words and some more"
    assert client.events[-1].done
    assert [(verdict.outcome.value, verdict.scanned) for verdict in client.verdicts] == [("unavailable", 0)]


async def test_a_service_that_only_reports_holds_nothing_back() -> None:
    client = Client(call_of(Operation.CHAT), [asking(WordService("evil"), Action.REPORT)])
    await client.read(streams.chat([(0, "so "), (0, "evil")], choices=1))
    assert client.data == b"".join(event.data for event in client.came)
    assert client.outcomes == {"safety": "reported"}


async def test_a_report_that_the_stream_did_not_wait_for_is_unavailable() -> None:
    client = Client(call_of(Operation.CHAT), [asking(WordService("evil"), Action.REPORT)])
    await client.read([chunk({"content": "evil"})], end=False)
    client.stream.close()
    assert client.outcomes == {"safety": "unavailable"}


class _Endless(WordService):
    """Never answers; notes that it was let go."""

    let_go = False

    async def inspect(self, *_: Any, **__: Any) -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.let_go = True
            raise


async def test_a_question_that_nobody_waits_for_any_more_is_let_go() -> None:
    service = _Endless("evil")
    client = Client(call_of(Operation.CHAT), [asking(service, Action.REPORT)])
    await client.read([chunk({"content": "evil " * 250})], end=False)
    await asyncio.sleep(0)
    client.stream.close()
    await asyncio.sleep(0)
    assert service.let_go
    assert client.outcomes == {"safety": "unavailable"}


async def test_a_client_that_goes_while_a_question_is_asked_leaves_it_unavailable() -> None:
    client = Client(call_of(Operation.CHAT), [asking(_Endless("evil"))])
    asked = asyncio.create_task(client.read([chunk({"content": "evil " * 250})], end=False))
    await asyncio.sleep(0)
    asked.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asked
    client.stream.close()
    assert client.outcomes == {"safety": "unavailable"}


def test_a_stream_that_is_dropped_where_nothing_runs_any_more_asks_nobody() -> None:
    client = run(
        Client(call_of(Operation.CHAT), [asking(WordService("evil"), Action.REPORT)]).read([chunk({"content": "evil"})], end=False)
    )
    client.stream.close()
    assert client.outcomes == {"safety": "unavailable"}


def test_a_detector_of_whole_texts_judges_stretches_too() -> None:
    long = asking(None, chunk=10)
    judged = Guard(config=long.config, directions=long.directions, action=Action.BLOCK, detector=WordDetector("evil"))
    client = read(streams.chat([(0, "some good words"), (0, " are ev"), (0, "il")], choices=1), judged)
    assert client.texts[0, "content"] == "some good words"
    assert client.verdicts[0].score == 1.0


def ruled(config: Any, rule: Any, action: Action = Action.BLOCK) -> Guard:
    return Guard(config=config, directions=frozenset({Direction.OUTPUT}), action=action, answer_rule=rule)


def sized(action: Action = Action.BLOCK) -> Guard:
    config = Size(id="size", output_characters=10)
    return ruled(config, lambda _operation, _document, characters: check_output_size(config, characters), action)


def tools(action: Action = Action.BLOCK) -> Guard:
    config = Tools(id="tools", deny=("rm",))
    return ruled(config, lambda operation, document, _: check_called(config, called_tools(operation, document)), action)


def test_an_answer_that_grows_too_large_ends_where_it_does() -> None:
    client = read(streams.chat([(0, "12345"), (0, "67890"), (0, "1"), (0, "2")], choices=1), sized())
    assert client.texts[0, "content"] == "1234567890"
    assert client.outcomes == {"size": "blocked"}
    client = read(streams.chat([(0, "1234567890"), (0, "1"), (0, "2")], choices=1), sized(Action.REPORT))
    assert [(verdict.outcome.value, verdict.count) for verdict in client.verdicts] == [("reported", 1)]


def test_a_tool_that_may_not_be_called_is_never_named_to_the_client() -> None:
    client = read([chunk({"role": "assistant"}), called("", 0, id="t", name="rm"), called("{}"), chunk({}, "tool_calls"), DONE], tools())
    assert b'"rm"' not in client.data
    assert client.documents[-1]["choices"][0]["finish_reason"] == "content_filter"
    assert client.outcomes == {"tools": "blocked"}
    message = [piece.replace(b'"name": "f"', b'"name": "rm"') for piece in streams.messages([(1, "so")])]
    client = read(message, tools(), operation=Operation.MESSAGES)
    assert b'"rm"' not in client.data
    assert client.outcomes == {"tools": "blocked"}
    response = [piece.replace(b'"name": "f"', b'"name": "rm"') for piece in streams.responses([(0, "so")])]
    client = read(response, tools(), operation=Operation.RESPONSES)
    assert b'"rm"' not in client.data
    assert client.documents[-1]["type"] == "response.incomplete"


def test_a_tool_that_may_not_be_called_is_reported_once() -> None:
    for operation in (Operation.MESSAGES, Operation.RESPONSES):
        pieces = [piece.replace(b'"name": "f"', b'"name": "rm"') for piece in streams.SENDERS[operation]([(0, "so")])]
        client = read(pieces, tools(Action.REPORT), operation=operation)
        assert [(verdict.outcome.value, verdict.count) for verdict in client.verdicts] == [("reported", 1)]
