"""The price table's making: what is taken from the lists, what is left out, and that nothing absurd gets through."""

import datetime
import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devhost import prices
from devhost.price_sources import micro, read_litellm
from gateway.domain.price_book import Rates
from gateway.metering.price_table import TABLE, read_table

CHAT = {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2e-06, "output_cost_per_token": 8e-06}


def table_of(**entries: dict[str, Any]) -> tuple[Any, dict[str, int]]:
    return read_litellm({name.replace("__", "/"): entry for name, entry in entries.items()})


def row_of(**entry: Any) -> Any:
    table, left_out = table_of(m=CHAT | entry)
    return table.get("openai", {}).get("m", {}).get("") or next(iter(left_out))


def test_prices_become_whole_micro_dollars_per_million() -> None:
    assert [micro(usd) for usd in (2e-06, 8.3e-08, 5.5e-09, 0.04, 1.3e-10)] == [2_000_000, 83_000, 5500, 40_000_000_000, 130]


def test_all_that_we_can_charge_is_taken() -> None:
    found = row_of(
        cache_read_input_token_cost=5e-07, cache_creation_input_token_cost=2.5e-06, cache_creation_input_token_cost_above_1hr=4e-06,
        input_cost_per_audio_token=3e-05, output_cost_per_audio_token=6e-05, input_cost_per_token_batches=1e-06,
        output_cost_per_token_batches=4e-06, input_cost_per_token_above_200k_tokens=4e-06, output_cost_per_token_above_200k_tokens=1.2e-05,
    )  # fmt: skip
    plain = {
        "input": 2_000_000, "output": 8_000_000, "cached_input": 500_000, "cache_write": 2_500_000, "cache_write_1h": 4_000_000,
        "audio_input": 30_000_000, "audio_output": 60_000_000,
    }  # fmt: skip
    assert found == plain | {
        "tiers": [plain | {"over_tokens": 200_000, "input": 4_000_000, "output": 12_000_000}],
        "batch": {"input": 1_000_000, "output": 4_000_000},
    }


@pytest.mark.parametrize(
    ("key", "provider", "place"),
    [
        ("azure/gpt-4.1", "azure", ("azure", "gpt-4.1", "")),
        ("azure/eu/GPT-4.1", "azure", ("azure", "gpt-4.1", "eu")),
        ("azure/global-standard/gpt-4o", "azure", ("azure", "gpt-4o", "global")),
        ("azure_ai/Phi-4", "azure_ai", ("azure", "phi-4", "")),
        ("anthropic.claude-v2:1", "bedrock", ("bedrock", "anthropic.claude-v2:1", "")),
        ("bedrock/eu-central-1/anthropic.claude-v2:1", "bedrock", ("bedrock", "anthropic.claude-v2:1", "eu-central-1")),
        ("groq/openai/gpt-oss-120b", "groq", ("groq", "openai/gpt-oss-120b", "")),
        ("fireworks_ai/accounts/fireworks/models/x", "fireworks_ai", ("fireworks", "accounts/fireworks/models/x", "")),
        ("zai/glm-4.6", "zai", ("zhipu", "glm-4.6", "")),
        ("azure/hd/1024-x-1024/dall-e-3", "azure", None),
        ("bedrock/us-east-1/1-month-commitment/anthropic.claude-v2:1", "bedrock", None),
        ("azure/low/gpt-image", "azure", None),
        ("replicate/x", "replicate", None),
    ],
)
def test_a_key_says_whose_model_where(key: str, provider: str, place: tuple[str, str, str] | None) -> None:
    table, _ = read_litellm({key: CHAT | {"litellm_provider": provider}})
    assert [name for name, _ in prices.rows_of(table)] == ([place] if place else [])


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}, "0, which is no price"),
        ({"output_cost_per_reasoning_token": 3e-06}, "reasoning costs otherwise"),
        ({"input_cost_per_request": 0.005}, "every call costs a fee"),
        ({"output_cost_per_image_token": 3e-05}, "pictures in answers cost otherwise"),
        ({"input_cost_per_token": None}, "no price that we count by"),
        (
            {"tiered_pricing": [{"range": [5, 9], "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}]},
            "ranges that cannot be read",
        ),
    ],
)
def test_what_would_be_a_guess_is_left_out(entry: dict[str, Any], why: str) -> None:
    assert row_of(**entry) == why


@pytest.mark.parametrize(
    ("mode", "entry", "row"),
    [
        ("audio_transcription", {"input_cost_per_second": 0.0001}, {"input": 0, "output": 0, "units": {"seconds": 100_000_000}}),
        ("audio_speech", {"input_cost_per_character": 1.5e-05}, {"input": 0, "output": 0, "units": {"characters": 15_000_000}}),
        ("image_generation", {"output_cost_per_image": 0.04}, {"input": 0, "output": 0, "units": {"images": 40_000_000_000}}),
        (
            "image_generation",
            {"input_cost_per_token": 5e-06, "output_cost_per_image_token": 4e-05},
            {"input": 5_000_000, "output": 40_000_000},
        ),
        ("embedding", {"input_cost_per_token": 2e-08}, {"input": 20_000, "output": 0}),
        ("moderation", {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}, {"input": 0, "output": 0, "units": {"requests": 0}}),
    ],
)
def test_other_operations_are_priced_by_what_they_are_counted_in(mode: str, entry: dict[str, Any], row: dict[str, Any]) -> None:
    table, _ = read_litellm({"m": {"litellm_provider": "openai", "mode": mode} | entry})
    assert table["openai"]["m"][""] == row


def test_ranges_become_tiers() -> None:
    tiers = [
        {"range": [32_000, 128_000], "input_cost_per_token": 2e-06, "output_cost_per_token": 4e-06},
        {"range": [0, 32_000], "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
    ]
    assert row_of(tiered_pricing=tiers) == {
        "input": 1_000_000, "output": 2_000_000, "tiers": [{"over_tokens": 32_000, "input": 2_000_000, "output": 4_000_000}],
    }  # fmt: skip


GOOD = {"input": 10, "output": 20}


@pytest.mark.parametrize(
    "row",
    [
        GOOD | {"cached_input": -1},
        GOOD | {"output": 2_000_000_001},
        GOOD | {"units": {"images": -5}},
        GOOD | {"tiers": [{"over_tokens": 5, "input": 9, "output": 20}]},
    ],
)
def test_absurd_rows_are_taken_out_and_named(row: dict[str, Any]) -> None:
    table = {"v": {"good": {"": GOOD}, "bad": {"eu": row}}}
    (line,) = prices.without_absurd(table)
    assert line.startswith("v/bad/eu: ")
    assert [name for name, _ in prices.rows_of(table)] == [("v", "good", "")]


@pytest.mark.parametrize(("after", "named"), [(1000, False), (1001, True), (0, True), (10, False)])
def test_a_price_that_changes_a_hundredfold_is_named(after: int, named: bool) -> None:
    before, now = {"v": {"m": {"": {"input": 10, "output": 5}}}}, {"v": {"m": {"": {"input": after, "output": 5}}, "new": {"": GOOD}}}
    assert bool(prices.jumps(before, now)) is named


def test_a_price_to_come_is_taken_only_where_both_lists_agree_on_todays() -> None:
    day = datetime.date(2026, 11, 22)
    rows = [{"since": "", "input": 10, "output": 20}, {"since": "2026-12-01", "input": 11, "output": 22}]
    table: Any = {"v": {"same": {"": dict(GOOD)}, "other": {"": {"input": 9, "output": 20}}, "tiered": {"": GOOD | {"tiers": []}}}}
    assert prices.add_later(table, {("v", name): rows for name in ("same", "other", "tiered", "unknown")}, day) == 1
    assert table["v"]["same"][""] == GOOD | {"later": rows[1:]}


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two small packages, and a table that is written elsewhere."""
    monkeypatch.setattr(prices, "TABLE", tmp_path / "data" / "prices.json.gz")
    monkeypatch.setattr(prices, "read_later", lambda *_: {})
    for package, file in (("litellm", prices.LITELLM), ("genai_prices", prices.GENAI)):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(json.dumps({"m": CHAT}))
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Name: x\nVersion: 1.0\nLicense-Expression: MIT\n\nVersion: of the text\n")
    return tmp_path


def build(lists: Path, day: str, *more: str) -> int:
    return prices.main(["--from", str(lists), "--day", day, *more])


def test_the_same_lists_make_the_same_bytes_on_any_day(lists: Path) -> None:
    assert build(lists, "2026-11-22") == 0
    first = prices.TABLE.read_bytes()
    assert build(lists, "2026-11-30") == 0
    assert prices.TABLE.read_bytes() == first
    found = json.loads(gzip.decompress(first))
    assert (found["day"], found["sources"][0]["version"], found["prices"]["openai"]["m"][""]["input"]) == ("2026-11-22", "1.0", 2_000_000)


def test_a_sudden_price_is_not_written_until_it_is_accepted(lists: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(lists, "2026-11-22")
    first = prices.TABLE.read_bytes()
    (lists / prices.LITELLM).write_text(json.dumps({"m": CHAT | {"input_cost_per_token": 2e-03}}))
    assert build(lists, "2026-11-23") == 1
    assert prices.TABLE.read_bytes() == first
    assert "openai/m: input goes from 2000000 to 2000000000" in capsys.readouterr().err
    assert build(lists, "2026-11-23", "--accept") == 0
    assert json.loads(gzip.decompress(prices.TABLE.read_bytes()))["day"] == "2026-11-23"


def test_the_bundled_table_is_small_says_where_it_is_from_and_every_row_can_be_read() -> None:
    table = read_table()
    assert TABLE.stat().st_size <= prices.MOST_BYTES
    assert {(source.package, source.licence) for source in table.sources} == {("litellm", "MIT"), ("genai-prices", "MIT")}
    rows = [msgspec.json.decode(raw, type=Rates) for models in table.prices.values() for zones in models.values() for raw in zones.values()]
    assert len(rows) > 1500
    assert all(rates.input or rates.output or rates.units for rates in rows)
    whole = json.loads(gzip.decompress(TABLE.read_bytes()))["prices"]
    assert prices.without_absurd(whole) == []
