"""What two public price lists say, as rows of our price table: read for `make prices` only, never at runtime.

| package | licence | what is taken |
| --- | --- | --- |
| `litellm` | MIT | prices, Azure's zones, tiers, batch prices (its model_prices_and_context_window_backup.json) |
| `genai-prices` | MIT | prices that begin on a day to come (its data.py) |

A row is left out rather than guessed: where reasoning costs otherwise than the rest of an answer, where every call costs a fee
besides its tokens, where a price is nothing (many lists say 0 for "unknown"; only moderation is free). Numbers are kept as the
integers that the gateway counts in: micro-USD per million, rounded to the nearest. Fees for tools (web search) are not prices
of tokens and are not in it.

Source: litellm 1.109.1 and genai-prices 0.2.3, as published (read 2026-11-22).
"""

import datetime
import importlib
import re
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

type Row = dict[str, Any]
type Table = dict[str, dict[str, dict[str, Row]]]  # vendor → model → zone → row

# Our name of a vendor, and theirs; `azure` and `bedrock` have zones.
VENDORS: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("anthropic",),
    "azure": ("azure", "azure_ai", "azure_text"),
    "baseten": ("baseten",),
    "bedrock": ("bedrock", "bedrock_converse"),
    "cerebras": ("cerebras",),
    "cohere": ("cohere", "cohere_chat"),
    "dashscope": ("dashscope",),
    "deepinfra": ("deepinfra",),
    "deepseek": ("deepseek",),
    "fireworks": ("fireworks_ai", "fireworks_ai-embedding-models"),
    "gemini": ("gemini",),
    "groq": ("groq",),
    "hyperbolic": ("hyperbolic",),
    "mistral": ("mistral",),
    "moonshot": ("moonshot",),
    "nebius": ("nebius",),
    "openai": ("openai", "text-completion-openai"),
    "sambanova": ("sambanova",),
    "together": ("together_ai",),
    "xai": ("xai",),
    "zhipu": ("zai",),
}
OURS = {theirs: ours for ours, names in VENDORS.items() for theirs in names}
MODES = frozenset({
    "chat", "responses", "completion", "embedding", "image_generation", "audio_transcription", "audio_speech", "moderation",
})  # fmt: skip
AZURE_ZONES = {"eu": "eu", "us": "us", "us-gov": "us-gov", "apac": "apac", "global": "global", "global-standard": "global"}
_REGION = re.compile(r"[a-z]{2}(?:-gov)?-[a-z]+-\d\Z")
_EDGE = re.compile(r"input_cost_per_token_above_(\d+)k_tokens\Z")
_TOKEN_PRICES = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached_input": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "audio_input": "input_cost_per_audio_token",
    "audio_output": "output_cost_per_audio_token",
}
_UNIT_PRICES = {
    "image_generation": ("images", ("output_cost_per_image", "input_cost_per_image")),
    "audio_transcription": ("seconds", ("input_cost_per_second", "output_cost_per_second")),
    "audio_speech": ("characters", ("input_cost_per_character", "output_cost_per_character")),
}


def read_litellm(document: Mapping[str, Any]) -> tuple[Table, dict[str, int]]:
    """Return the table, and how many rows were left out, by why."""
    table: Table = {}
    left_out: dict[str, int] = {}
    # A vendor's own names come first: of two prices of one model the first counts.
    for key in sorted(document, key=lambda name: (document[name].get("litellm_provider") not in VENDORS, name)):
        entry = document[key]
        vendor = OURS.get(str(entry.get("litellm_provider", "")))
        if vendor is None or entry.get("mode") not in MODES:
            continue
        place = _place(key, vendor, str(entry["litellm_provider"]))
        row = _row(key, entry) if place is not None else "a size or a commitment, not a model"
        if isinstance(row, str):
            left_out[row] = left_out.get(row, 0) + 1
            continue
        assert place is not None
        model, zone = place
        table.setdefault(vendor, {}).setdefault(model, {}).setdefault(zone, row)
    return table, left_out


def _place(key: str, vendor: str, theirs: str) -> tuple[str, str] | None:
    """Return the model and the zone that a key stands for; None where it stands for something else."""
    parts = key.split("/")
    if any("-x-" in part or part.endswith("commitment") for part in parts):
        return None
    if parts[0] in (theirs, vendor, "cohere", "fireworks_ai") and len(parts) > 1:
        parts = parts[1:]
    zone = ""
    if vendor == "azure" and parts[0] in AZURE_ZONES and len(parts) > 1:
        zone, parts = AZURE_ZONES[parts[0]], parts[1:]
    elif vendor == "bedrock" and len(parts) > 1:
        if not _REGION.match(parts[0]):
            return None
        zone, parts = parts[0], parts[1:]
    if vendor == "azure" and parts[0] in ("standard", "hd", "low", "medium", "high", "speech"):
        return None
    return "/".join(parts).lower(), zone


def _row(key: str, entry: Mapping[str, Any]) -> Row | str:
    """Return an entry's row, or why it has none."""
    if fault := _fault(key, entry):
        return fault
    tiers = entry.get("tiered_pricing")
    if tiers:
        return _ranged(tiers)
    row = _prices(entry, "")
    if entry["mode"] == "image_generation" and "output_cost_per_image_token" in entry:
        row["output"] = micro(entry["output_cost_per_image_token"])
    if "input" not in row or ("output" not in row and entry["mode"] != "embedding"):
        return _unit_row(entry)
    if not row["input"] and not row.get("output") and entry["mode"] != "moderation":
        return "0, which is no price"
    row.setdefault("output", 0)
    if entry["mode"] == "moderation":
        row["units"] = {"requests": 0}  # how it is counted, and that it is free
    if tiers := _tiers(entry, row, ""):
        row["tiers"] = tiers
    batch = _prices(entry, "_batches")
    if "input" in batch and ("output" in batch or not row["output"]):
        batch.setdefault("output", 0)
        if tiers := _tiers(entry, batch, "_batches"):
            batch["tiers"] = tiers
        row["batch"] = batch
    return row


def _fault(key: str, entry: Mapping[str, Any]) -> str:
    reasoning = entry.get("output_cost_per_reasoning_token")
    if reasoning is not None and reasoning != entry.get("output_cost_per_token"):
        return "reasoning costs otherwise"
    if entry.get("input_cost_per_request") or ("-search-" in key and entry.get("search_context_cost_per_query")):
        return "every call costs a fee"
    if entry["mode"] != "image_generation" and entry.get("output_cost_per_image_token") not in (None, entry.get("output_cost_per_token")):
        return "pictures in answers cost otherwise"
    return ""


def _prices(entry: Mapping[str, Any], suffix: str) -> Row:
    found = {ours: entry.get(theirs + suffix) for ours, theirs in _TOKEN_PRICES.items()}
    row = {name: micro(value) for name, value in found.items() if value is not None}
    if not row.get("cache_write"):  # 0 means that nothing is known of it, or that writing costs what reading does
        row.pop("cache_write", None)
    return row


def _tiers(entry: Mapping[str, Any], base: Row, suffix: str) -> list[Row]:
    """Return what long prompts cost; what a tier does not say costs what it does below."""
    edges = sorted(int(found[1]) for name in entry if (found := _EDGE.match(name)))
    tiers = []
    for edge in edges:
        above = _prices(entry, f"_above_{edge}k_tokens{suffix}")
        if "input" in above:
            tiers.append({"over_tokens": edge * 1000} | {name: value for name, value in base.items() if name != "tiers"} | above)
    return tiers


def _ranged(tiers: Any) -> Row | str:
    """Read prices that are given by ranges of the prompt's length."""
    rows = []
    for tier in sorted(tiers, key=lambda tier: tier.get("range", [0])[0]):
        row = _prices(tier, "")
        if "range" not in tier or not row.get("input") or "output" not in row:
            return "ranges that cannot be read"
        rows.append((int(tier["range"][0]), row))
    base = dict(rows[0][1])
    if rows[0][0] != 0:
        return "ranges that cannot be read"
    if len(rows) > 1:
        base["tiers"] = [{"over_tokens": start} | row for start, row in rows[1:]]
    return base


def _unit_row(entry: Mapping[str, Any]) -> Row | str:
    unit, names = _UNIT_PRICES.get(entry["mode"], ("", ()))
    price = next((entry[name] for name in names if entry.get(name)), None)
    return "no price that we count by" if price is None else {"input": 0, "output": 0, "units": {unit: micro(price)}}


def micro(usd: float) -> int:
    """Return a price in USD a piece as micro-USD per million pieces."""
    return int((Decimal(repr(usd)) * 10**12).to_integral_value())


def read_later(folder: Path, day: datetime.date) -> dict[tuple[str, str], list[Row]]:
    """Return genai-prices' prices that begin after a day: by vendor and model, each with the price that holds before it."""
    sys.path.insert(0, str(folder))
    providers = importlib.import_module("genai_prices.data").providers
    sys.path.pop(0)
    ours = {"google": "gemini", "openai": "openai", "anthropic": "anthropic", "azure": "azure", "cohere": "cohere", "x-ai": "xai",
            "mistral": "mistral", "deepseek": "deepseek", "moonshotai": "moonshot", "groq": "groq"}  # fmt: skip
    found: dict[tuple[str, str], list[Row]] = {}
    for provider in providers:
        for model in provider.models if provider.id in ours else ():
            dated = (
                [(getattr(each.constraint, "start_date", None), each.prices) for each in model.prices] if type(model.prices) is list else []
            )
            if any(start is not None and start > day for start, _ in dated):
                rows = [_dated_row(start, prices) for start, prices in sorted(dated, key=lambda pair: pair[0] or datetime.date.min)]
                found[ours[provider.id], model.id] = [row for row in rows if row is not None]
    return found


def _dated_row(start: datetime.date | None, prices: Any) -> Row | None:
    names = {"input": "input_mtok", "output": "output_mtok", "cached_input": "cache_read_mtok", "cache_write": "cache_write_mtok",
             "audio_input": "input_audio_mtok", "audio_output": "output_audio_mtok"}  # fmt: skip
    values = {ours: getattr(prices, theirs, None) for ours, theirs in names.items()}
    if values["input"] is None or values["output"] is None or any(not isinstance(value, Decimal | None) for value in values.values()):
        return None  # tiers: not read from here
    row: Row = {"since": start.isoformat() if start else ""}
    return row | {name: int(value * 1_000_000) for name, value in values.items() if value is not None}
