"""Step 10: which failures are tried again, where, how often and until when."""

import pytest

from gateway.errors import UpstreamError, UpstreamRejected, UpstreamThrottled, UpstreamTimeout
from tests.fakes.upstream import FOREVER, Reply
from tests.flow.street import CHAT, DONE, STREAM, Street, completion, event, failure, read, read_until_error, streamed

MINI = CHAT | {"model": "gpt-4o-mini"}


async def test_the_next_candidate_answers_when_the_first_fails(street: Street) -> None:
    street.upstream.will(failure(500), completion())
    answer = await street.call()
    assert street.upstream.deployments == ["east", "west"]
    assert (answer.headers["x-gateway-deployment"], answer.headers["x-gateway-attempts"]) == ("west", "2")
    record = await street.record()
    assert (record["status"], record["deployment"], record["attempts"]) == (200, "west", 2)
    assert street.clock.slept_s == []  # another deployment need not be waited for
    assert all(response.closed for response in street.upstream.responses)


async def test_the_only_deployment_is_asked_again_after_a_jittered_wait(street: Street) -> None:
    street.upstream.will(failure(500), Reply(fault=UpstreamError("gone", code="upstream_unreachable")), completion())
    answer = await street.call(MINI)
    assert street.upstream.deployments == ["mini"] * 3
    first, second = street.clock.slept_s
    assert 0 < first <= 0.2
    assert 0 < second <= 0.4
    assert answer.headers["x-gateway-overhead-ms"] == "0.000"  # waiting for a backend is no work of ours
    assert (await street.record())["overhead_s"] == pytest.approx(0)


@pytest.mark.parametrize(("model", "attempts"), [("no-retry", 1), ("gpt-4o-mini", 3), ("gpt-4o", 3)])
async def test_no_more_attempts_than_the_model_allows(street: Street, model: str, attempts: int) -> None:
    street.upstream.will(*[failure(500)] * 5)
    error = await street.refused(CHAT | {"model": model})
    assert (error.status, error.code) == (502, "upstream_error")
    assert len(street.upstream.requests) == attempts
    assert error.headers["x-gateway-attempts"] == str(attempts)
    record = await street.record()
    assert (record["attempts"], record["error_code"], record["cost_micro_usd"]) == (attempts, "upstream_error", 0)


@pytest.mark.parametrize("reply", [failure(400), failure(400, "content_filter"), failure(422)])
async def test_the_clients_own_fault_is_never_retried(street: Street, reply: Reply) -> None:
    street.upstream.will(reply)
    error = await street.refused()
    assert error.status == reply.status
    assert len(street.upstream.requests) == 1
    assert (await street.record())["status"] == reply.status


async def test_a_throttled_deployment_is_not_asked_again(street: Street) -> None:
    throttled = failure(429, **{"retry-after-ms": "1500"})
    street.upstream.will(throttled, throttled)
    error = await street.refused()
    assert isinstance(error, UpstreamThrottled)
    assert street.upstream.deployments == ["east", "west"]
    assert error.retry_after_s == 1.5


async def test_a_failing_deployment_is_asked_again_only_after_the_others(street: Street) -> None:
    street.upstream.will(failure(500), failure(429), completion())
    await street.call()
    assert street.upstream.deployments == ["east", "west", "east"]


async def test_a_backends_timeout_moves_on_without_asking_it_again(street: Street) -> None:
    street.upstream.will(failure(504), failure(408))
    assert (await street.refused()).code == "upstream_timeout"
    assert street.upstream.deployments == ["east", "west"]


async def test_the_clients_patience_bounds_the_call(street: Street) -> None:
    street.upstream.will(Reply(wait_s=10), Reply(wait_s=10))
    error = await street.refused(headers={"x-gateway-timeout-ms": "2500"})
    assert isinstance(error, UpstreamTimeout)
    assert (await street.record())["status"] == 504
    assert street.upstream.timeouts_s == [2.5]  # no time is left for the other one


async def test_patience_is_capped_by_the_setting(street: Street) -> None:
    street.upstream.will(completion())
    await street.call(headers={"x-gateway-timeout-ms": "999999999"})
    assert street.upstream.timeouts_s == [100]


async def test_retries_respect_the_deadline(street: Street) -> None:
    late = Reply(status=500, steps=[b"{}"], wait_s=40)
    street.upstream.will(late, late, late)
    error = await street.refused(CHAT | {"model": "even"})
    assert street.upstream.timeouts_s == [100, 60, pytest.approx(20, abs=0.5)]
    assert error.status == 504
    street.upstream.will(Reply(status=500, steps=[b"{}"], wait_s=99.999))
    street.upstream.timeouts_s.clear()
    await street.refused(MINI)
    assert len(street.upstream.timeouts_s) == 1  # the wait would pass the deadline


async def test_the_time_a_body_took_counts_against_the_deadline(street: Street) -> None:
    street.upstream.will(completion())
    await street.call(received_s=street.clock.now_s() - 30)
    assert street.upstream.timeouts_s == [70]


@pytest.mark.parametrize("steps", [[UpstreamError("reset", code="upstream_interrupted")], []])
async def test_a_stream_that_breaks_before_its_first_byte_fails_over(street: Street, steps: list[UpstreamError]) -> None:
    street.upstream.will(Reply(steps=steps), streamed())
    answer = await street.call(STREAM)
    assert answer.headers["x-gateway-deployment"] == "west"
    assert (await read(answer)).endswith(DONE)
    assert street.upstream.responses[0].closed
    assert (await street.record())["status"] == 200


async def test_a_stream_that_never_begins_times_out_and_is_closed(street: Street) -> None:
    street.upstream.will(Reply(steps=[FOREVER]))
    error = await street.refused(CHAT | {"model": "no-retry", "stream": True}, headers={"x-gateway-timeout-ms": "5"})
    assert (error.status, error.code) == (504, "upstream_timeout")
    assert street.upstream.responses[0].closed


async def test_an_answer_that_cannot_be_read_is_tried_elsewhere(street: Street) -> None:
    street.upstream.will(Reply(steps=[b"<html>"]), completion())
    assert (await street.call()).headers["x-gateway-deployment"] == "west"


async def test_there_is_no_failover_after_the_first_byte(street: Street) -> None:
    street.upstream.will(streamed(event("Hel"), UpstreamError("reset", code="upstream_interrupted")), streamed())
    answer = await street.call(STREAM)
    pieces, error = await read_until_error(answer)
    assert pieces == [event("Hel")]
    assert isinstance(error, UpstreamError)
    assert error.code == "upstream_interrupted"
    record = await street.record()
    assert (record["status"], record["error_code"], record["attempts"]) == (502, "upstream_interrupted", 1)
    assert (record["completion_tokens"], record["tokens_estimated"]) == (3, True)
    assert len(street.upstream.requests) == 1
    assert street.upstream.responses[0].closed


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ([event("Hel")], "upstream_interrupted"),  # ends without [DONE]
        ([event("Hel"), b"data: {nonsense\n\n", event("lo"), DONE], "upstream_malformed"),
        ([event("Hel") + b'data: {"error":{"code":"rate_limit_exceeded","message":"slow"}}\n\n', DONE], "upstream_throttled"),
    ],
)
async def test_a_stream_that_goes_wrong_ends_as_an_error_the_record_names(street: Street, steps: list[bytes], code: str) -> None:
    street.upstream.will(streamed(*steps))
    answer = await street.call(STREAM)
    pieces, error = await read_until_error(answer)
    assert b"".join(pieces) == event("Hel")
    record = await street.record()
    assert isinstance(error, UpstreamError)
    assert (record["error_code"], record["status"]) == (code, error.status)
    assert record["prompt_tokens"] == 12


async def test_a_body_that_breaks_off_is_retried(street: Street) -> None:
    street.upstream.will(Reply(steps=[b"{", UpstreamError("cut", code="upstream_interrupted")]), completion())
    assert (await street.call()).headers["x-gateway-deployment"] == "west"


async def test_an_operation_the_provider_does_not_offer_is_the_clients_fault(street: Street) -> None:
    street.upstream.will(Reply(fault=UpstreamRejected("no", status=415)))
    assert (await street.refused()).status == 415


async def test_pool_members_of_one_priority_share_the_calls(street: Street) -> None:
    street.upstream.will(*[completion()] * 40)
    for _ in range(40):
        await street.call(CHAT | {"model": "even"})
    counts = [street.upstream.deployments.count(name) for name in ("even-a", "even-b")]
    assert sum(counts) == 40
    assert min(counts) >= 10
