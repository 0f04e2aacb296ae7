"""What real models cost: the bundled table's rows, and what comes of them, reckoned by hand from the numbers of its source.

Source: litellm 1.109.1, model_prices_and_context_window_backup.json; the price to come: genai-prices 0.2.3. When `make prices`
brings another price, its line here fails: look at the maker's page, then write the new numbers down.
"""

import datetime

import pytest

from gateway.domain.call import Usage
from gateway.domain.deployment import Backend, Protocol
from gateway.metering.price_table import bundled_prices
from gateway.metering.pricing import avoided_micro_usd, cost_micro_usd
from tests.builders import make_backend

NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)
EU = make_backend(region="swedencentral")
US = make_backend(region="eastus2")
ASIA = make_backend(region="japaneast")
FOUNDRY = make_backend(protocol=Protocol.OPENAI, vendor="azure-foundry", region="eastus2")
ANTHROPIC = make_backend(protocol=Protocol.ANTHROPIC, endpoint="https://api.anthropic.com")
GEMINI = make_backend(protocol=Protocol.GEMINI)
COHERE = make_backend(protocol=Protocol.COHERE)
TOKYO = make_backend(protocol=Protocol.BEDROCK, region="ap-northeast-1")


def vendor(name: str) -> Backend:
    return make_backend(protocol=Protocol.OPENAI, vendor=name, endpoint="https://example.com")


M = 1_000_000
ROWS = [
    # Azure, by SKU and zone. azure/gpt-4.1: 2.00 / cached 0.50 / 8.00; azure/eu/gpt-4.1 and azure/us/gpt-4.1: 2.20 / 0.55 / 8.80
    ("gpt-4.1", ASIA, "standard", Usage(1000, 500, 400), 5400),  # 600 × 2 + 400 × 0.5 + 500 × 8
    ("gpt-4.1", EU, "global-standard", Usage(1000, 500, 400), 5400),
    ("gpt-4.1", EU, "data-zone", Usage(1000, 500, 400), 5940),  # 600 × 2.2 + 400 × 0.55 + 500 × 8.8
    ("gpt-4.1", US, "standard", Usage(1000, 500, 400), 5940),  # regional costs what its data zone does
    ("gpt-4.1", EU, "batch", Usage(1000, 500, 400), 3000),  # 1.00 / 4.00, and no price of its own for cached: 1000 × 1 + 500 × 4
    # azure/global/gpt-4o-2024-11-20: 2.50 / 1.25 / 10
    ("gpt-4o-2024-11-20", EU, "global-standard", Usage(2000, 100, 2000), 3500),  # 2000 × 1.25 + 100 × 10
    # azure/eu/gpt-4o-mini: 0.165 / 0.083 / 0.66; three tokens are 0.495 micro-dollars, rounded up once
    ("gpt-4o-mini", EU, "data-zone", Usage(3, 0), 1),
    ("gpt-4o-mini", EU, "data-zone", Usage(M, M, M // 2), 784_000),  # 82,500 + 41,500 + 660,000
    ("o4-mini", ASIA, "global-standard", Usage(10_000, 20_000, 0, 19_000), 99_000),  # 1.10 / 4.40: 11,000 + 88,000
    # azure/gpt-5.4: 2.50 / 0.25 / 15, over 272,000 tokens 5.00 / 0.50 / 22.50, for the whole call
    ("gpt-5.4", ASIA, "global-standard", Usage(272_000, 1000), 695_000),  # 680,000 + 15,000
    ("gpt-5.4", ASIA, "global-standard", Usage(272_001, 1000), 1_382_505),  # 1,360,005 + 22,500
    ("gpt-5.4", US, "standard", Usage(300_000, 1000, 100_000), 1_179_750),  # 5.5/0.55/24.75: 1,100,000 + 55,000 + 24,750
    # azure/apac/gpt-6.1-sol: 2.40 / cached 0.12 / written 3.00 / 12
    ("gpt-6.1-sol", make_backend(data_zone="apac"), "data-zone", Usage(1000, 100, 500, cache_write_tokens=400), 2700),  # 240+60+1200+1200
    # azure/gpt-4o-transcribe: 2.50, sound 6.00 / 10
    ("gpt-4o-transcribe", ASIA, "standard", Usage(1000, 100, audio_input_tokens=1000), 7000),
    # azure/whisper-1: 0.0001 a second; azure/tts-1: 0.000015 a character
    ("whisper-1", ASIA, "standard", Usage(units=61, unit="seconds"), 6100),
    ("tts-1", ASIA, "standard", Usage(units=1000, unit="characters"), 15_000),
    # azure/gpt-image-2: 5.00, pictures made 30.00; how many they are costs nothing more
    ("gpt-image-2", ASIA, "standard", Usage(50, 1000, units=1, unit="images"), 30_250),
    ("text-embedding-3-large", ASIA, "standard", Usage(10_000), 1430),  # 0.143
    ("deepseek-v3.2", FOUNDRY, "global-standard", Usage(1000, 1000), 2260),  # azure_ai: 0.58 / 1.68
    # claude-sonnet-4-5: 3.00 / read 0.30 / written 3.75, for an hour 6.00 / 15
    (
        "claude-sonnet-4-5", ANTHROPIC, "standard",
        Usage(10_000, 1000, 6000, cache_write_tokens=3000, cache_write_1h_tokens=1000), 33_300,
    ),  # 1000 × 3 + 6000 × 0.3 + 2000 × 3.75 + 1000 × 6 + 1000 × 15
    # claude-haiku-5-5: 0.10 / 0.50, over 100,000 tokens 0.50 / 2.50
    ("claude-haiku-5-5", ANTHROPIC, "standard", Usage(100_000, 1000), 10_500),
    ("claude-haiku-5-5", ANTHROPIC, "standard", Usage(200_000, 1000), 102_500),
    # gemini/gemini-2.5-pro: 1.25 / 10, over 200,000 tokens 2.50 / 15; gemini-2.5-flash: 0.30, sound 1.00 / 2.50
    ("gemini-2.5-pro", GEMINI, "standard", Usage(250_000, 2000), 655_000),
    ("gemini-2.5-flash", GEMINI, "standard", Usage(3000, 100, audio_input_tokens=2000), 2550),  # 300 + 2000 + 250
    ("command-a-03-2025", COHERE, "standard", Usage(1000, 100), 3500),  # 2.50 / 10
    # amazon.nova-pro-v1:0: 0.80 / 3.20; bedrock/ap-northeast-1/anthropic.claude-v2:1: 8 / 24
    ("amazon.nova-pro-v1:0", TOKYO, "standard", Usage(1000, 1000), 4000),
    ("anthropic.claude-v2:1", TOKYO, "standard", Usage(1000, 1000), 32_000),
    ("openai/gpt-oss-120b", vendor("groq"), "standard", Usage(1000, 1000, 1000), 675),  # 0.15 / cached 0.075 / 0.60
    ("qwen3-max", vendor("dashscope"), "standard", Usage(32_001, 1000), 88_803),  # 2.4 / 12 from 32,000 on: 76,802.4 + 12,000
    ("gpt-audio", vendor("openai"), "standard", Usage(100, 100, audio_input_tokens=90, audio_output_tokens=80), 8225),
    # 10 × 2.5 + 90 × 32 + 20 × 10 + 80 × 64
    ("omni-moderation-latest", vendor("openai"), "standard", Usage(units=1, unit="requests"), 0),  # free, and the list says so
]  # fmt: skip


@pytest.mark.parametrize(("model", "backend", "sku", "usage", "cost"), ROWS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_call_costs_what_its_maker_charges(model: str, backend: Backend, sku: str, usage: Usage, cost: int) -> None:
    price = bundled_prices().find(backend, model, sku)
    assert price is not None
    assert cost_micro_usd(usage, price.at(NOW)) == cost


def test_a_price_that_changes_on_a_day_changes_at_its_midnight() -> None:
    price = bundled_prices().find(GEMINI, "gemini-4-argon", "standard")
    assert price is not None
    before, after = datetime.datetime(2026, 11, 30, 23, 59, 59, tzinfo=datetime.UTC), datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)
    assert cost_micro_usd(Usage(1000, 100), price.at(before)) == 3000  # 2 / 10
    assert cost_micro_usd(Usage(1000, 100), price.at(after)) == 6000  # 4 / 20


def test_what_a_cache_saved_is_told() -> None:
    price = bundled_prices().find(ASIA, "gpt-4.1", "global-standard")
    assert avoided_micro_usd(Usage(1000, 500, 400), price) == 600  # 400 × (2.00 - 0.50)


@pytest.mark.parametrize(
    ("model", "backend", "sku"),
    [
        ("gpt-4.1", EU, "provisioned"),  # between the operator and Azure
        ("gpt-4.1", EU, "self-hosted"),
        ("gpt-4.1", ASIA, "data-zone"),  # Japan is in no zone that has prices
        ("gpt-4o-transcribe", EU, "batch"),
        ("no-such-model", EU, "standard"),
        ("gpt-4o", vendor("vllm"), "standard"),
        ("gpt-4o", vendor(""), "standard"),  # nobody knows whose host that is
        ("gpt-4o", make_backend(protocol=Protocol.AZURE_ML), "standard"),
        ("gpt-4o-search-preview", vendor("openai"), "standard"),  # every call costs a fee as well
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_table_does_not_know_has_no_price(model: str, backend: Backend, sku: str) -> None:
    assert bundled_prices().find(backend, model, sku) is None
