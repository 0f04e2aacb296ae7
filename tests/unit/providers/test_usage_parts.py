"""What providers say of the parts of their tokens that have prices of their own: sound, and what went into a cache."""

import msgspec
import pytest

from gateway.domain.call import Usage
from gateway.providers import anthropic_answer, bedrock_answer, gemini_answer, openai_answer, openai_media, responses_answer

CASES = {
    "openai-sound": (
        openai_answer,
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 10, "audio_tokens": 60, "cache_write_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 40},
        },
        Usage(100, 50, 10, 1, audio_input_tokens=60, audio_output_tokens=40, cache_write_tokens=5),
    ),
    "responses-cache": (
        responses_answer,
        {"input_tokens": 100, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 90}},
        Usage(100, 5, cache_write_tokens=90),
    ),
    "anthropic-cache": (
        anthropic_answer,
        {
            "input_tokens": 1,
            "output_tokens": 2,
            "cache_read_input_tokens": 10,
            "cache_creation_input_tokens": 300,
            "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
        },
        Usage(311, 2, 10, cache_write_tokens=300, cache_write_1h_tokens=200),
    ),
    "anthropic-more-than-all": (
        anthropic_answer,
        {"cache_creation_input_tokens": 3, "cache_creation": {"ephemeral_1h_input_tokens": 9}},
        Usage(3, cache_write_tokens=3, cache_write_1h_tokens=3),
    ),
    "bedrock-cache": (
        bedrock_answer,
        {
            "inputTokens": 1,
            "outputTokens": 2,
            "cacheReadInputTokens": 10,
            "cacheWriteInputTokens": 300,
            "cacheDetails": [{"inputTokens": 200, "ttl": "1h"}, {"inputTokens": 100, "ttl": "5m"}],
        },
        Usage(311, 2, 10, cache_write_tokens=300, cache_write_1h_tokens=200),
    ),
    "negative-is-nothing": (
        openai_answer,
        {"prompt_tokens": 7, "prompt_tokens_details": {"audio_tokens": -1, "cache_write_tokens": -5}},
        Usage(7),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_parts_are_read_as_the_provider_says_them(name: str) -> None:
    module, wire, usage = CASES[name]
    assert module.usage_of(msgspec.convert(wire, module.WireUsage)) == usage


def test_gemini_says_how_much_of_it_is_sound() -> None:
    wire = {
        "promptTokenCount": 100,
        "candidatesTokenCount": 20,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 40}, {"modality": "AUDIO", "tokenCount": 60}, {}],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 20}],
    }
    usage = gemini_answer.usage_of(msgspec.convert(wire, gemini_answer.UsageMetadata))
    assert usage == Usage(100, 20, audio_input_tokens=60, audio_output_tokens=20)


def test_a_messages_stream_tells_the_cache_at_its_start_and_the_end_keeps_it() -> None:
    start = anthropic_answer.WireUsage(
        input_tokens=5, cache_creation_input_tokens=8, cache_creation=anthropic_answer.WireWritten(ephemeral_1h_input_tokens=8)
    )
    end = anthropic_answer.WireUsage(output_tokens=3)
    assert anthropic_answer.usage_of(end, start) == Usage(13, 3, cache_write_tokens=8, cache_write_1h_tokens=8)


def test_a_transcription_by_tokens_says_how_much_it_heard() -> None:
    wire = msgspec.convert({"input_tokens": 14, "output_tokens": 45, "input_token_details": {"audio_tokens": 14}}, openai_media.MediaUsage)
    assert openai_media.heard(wire) == Usage(14, 45, audio_input_tokens=14)


def test_two_usages_together_are_the_sum_of_every_part() -> None:
    one = Usage(10, 9, 8, 7, False, 6, "images", 5, 4, 3, 2)
    two = Usage(100, 90, 80, 70, True, 60, "images", 50, 40, 30, 20)
    assert one.plus(two) == Usage(110, 99, 88, 77, True, 66, "images", 55, 44, 33, 22)
