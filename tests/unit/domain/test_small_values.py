"""Ids, traces, deadlines and the models list."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import ids, models_list
from gateway.domain.call import Usage
from gateway.domain.deadline import read_timeout_s
from gateway.domain.trace import continue_trace
from gateway.errors import RequestError
from tests.builders import make_model

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@given(st.floats(0, 2**47 / 1000))
def test_an_id_is_a_version_7_uuid_of_its_moment(unix_s: float) -> None:
    value = ids.uuid7_hex(unix_s)
    assert re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", value)
    assert int(value[:12], 16) == int(unix_s * 1000)


@given(st.integers(0, 2**46), st.integers(1, 10**6))
def test_later_ids_sort_after_earlier_ones(milliseconds: int, gap: int) -> None:
    assert ids.uuid7_hex(milliseconds / 1000) < ids.uuid7_hex((milliseconds + gap + 1) / 1000)


def test_ids_of_one_moment_differ() -> None:
    assert len({ids.uuid7_hex(1.0) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("digits", [16, 32])
def test_random_ids_have_all_their_digits(digits: int) -> None:
    assert all(re.fullmatch(rf"[0-9a-f]{{{digits}}}", ids.random_hex(digits)) for _ in range(500))


@pytest.mark.parametrize(
    ("header", "flags"),
    [(f"00-{TRACE}-{SPAN}-01", "01"), (f"00-{TRACE}-{SPAN}-00", "00"), (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", "01")],
)
def test_a_trace_is_continued_with_a_span_of_ours(header: str, flags: str) -> None:
    trace = continue_trace(header)
    assert trace.trace_id == TRACE
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-{flags}", trace.traceparent)
    assert SPAN not in trace.traceparent


BAD_TRACES = [
    None, "", "00", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-01\n", f"00-{TRACE}-{SPAN}-01x", f"00-{TRACE}\u0661-{SPAN}-01",
]  # fmt: skip


@pytest.mark.parametrize("header", BAD_TRACES)
def test_without_a_good_trace_a_new_sampled_one_begins(header: str | None) -> None:
    trace = continue_trace(header)
    assert trace.trace_id not in (TRACE, "0" * 32)
    assert re.fullmatch(rf"00-{trace.trace_id}-[0-9a-f]{{16}}-01", trace.traceparent)
    assert continue_trace(header).trace_id != trace.trace_id


@pytest.mark.parametrize(
    ("text", "expected_s"), [(None, 100), ("1", 0.001), ("2500", 2.5), ("100001", 100), ("999999999", 100), ("007", 0.007)]
)
def test_a_caller_may_shorten_the_wait_only(text: str | None, expected_s: float) -> None:
    assert read_timeout_s({} if text is None else {"x-gateway-timeout-ms": text}, 100) == expected_s


@pytest.mark.parametrize("text", ["", "0", "000", "-5", "1.5", "1e3", "\u00b2", "\u0665", " 5", "1000000000", "abc"])
def test_a_wait_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_timeout_s({"x-gateway-timeout-ms": text}, 100)
    assert caught.value.param == "x-gateway-timeout-ms"


def test_models_are_listed_in_openais_shape_without_naming_what_serves_them() -> None:
    full = make_model(aliases=("chat",), capabilities=("chat",), context_window=128, max_output_tokens=16, created=5)
    listing = json.loads(models_list.render([full, make_model(id="bare")]))
    assert listing == {
        "object": "list",
        "data": [
            {
                "id": "gpt-4o", "object": "model", "created": 5, "owned_by": "gateway", "aliases": ["chat"], "capabilities": ["chat"],
                "context_window": 128, "max_output_tokens": 16,
            },
            {"id": "bare", "object": "model", "created": 0, "owned_by": "gateway"},
        ],
    }  # fmt: skip
    assert json.loads(models_list.render([])) == {"object": "list", "data": []}
    assert json.loads(models_list.render_one(full)) == listing["data"][0]


def test_total_tokens_count_cached_and_reasoning_ones_once() -> None:
    assert Usage(prompt_tokens=5, completion_tokens=4, cached_tokens=3, reasoning_tokens=2).total_tokens == 9
