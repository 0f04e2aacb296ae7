"""`make prices`: build the price table that the gateway carries, from two public lists; print what changed, refuse what is absurd.

    gateway/metering/data/prices.json.gz
    {"day", "sources": [{"package", "version", "licence", "file", "sha256"}], "prices": {vendor: {model: {zone: row}}}}

The same lists make the same bytes; the day is that of the build that changed a price. Rows: `devhost/price_sources.py`.
"""

import argparse
import datetime
import gzip
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from devhost.host import ROOT
from devhost.price_sources import Row, Table, read_later, read_litellm

TABLE = ROOT / "gateway" / "metering" / "data" / "prices.json.gz"
LITELLM, GENAI = "litellm/model_prices_and_context_window_backup.json", "genai_prices/data.py"
MOST_BYTES = 300_000
MOST = 2_000 * 1_000_000  # micro-USD per million tokens: a list that says more has mistaken its unit
JUMP = 100
SHOWN = 40
_PARTS = ("input", "output", "cached_input", "cache_write", "cache_write_1h", "audio_input", "audio_output")


def add_later(table: Table, later: dict[tuple[str, str], list[Row]], day: datetime.date) -> int:
    """Put prices to come beside those of today, where both lists agree on today's; return how many models got one."""
    count = 0
    for (vendor, model), rows in later.items():
        row = table.get(vendor, {}).get(model, {}).get("")
        now = [each for each in rows if each["since"] <= day.isoformat()]
        if row is not None and "tiers" not in row and now and (row["input"], row["output"]) == (now[-1]["input"], now[-1]["output"]):
            row["later"] = [each for each in rows if each["since"] > day.isoformat()]
            count += 1
    return count


def absurd(row: Row) -> str:
    """Say what cannot be in a row: a price that is negative or enormous, a long prompt that is cheaper than a short one."""
    values = {part: row[part] for part in _PARTS if part in row}
    for part, value in (values | row.get("units", {})).items():
        if value < 0:
            return f"{part} is {value}"
    if max(values.values()) > MOST:
        return f"over {MOST / 1e6:,.0f} USD per million tokens"
    return "a long prompt costs less" if any(tier["input"] < row["input"] for tier in row.get("tiers", ())) else ""


def without_absurd(table: Table) -> list[str]:
    """Take absurd rows out, and say which they were."""
    found = [(name, fault) for name, row in rows_of(table) if (fault := absurd(row))]
    for (vendor, model, zone), _ in found:
        del table[vendor][model][zone]
    return [f"{'/'.join(filter(None, name))}: {fault}" for name, fault in found]


def jumps(before: Table, table: Table) -> list[str]:
    """Name the prices that changed more than JUMP times, up or down."""
    found = []
    for (vendor, model, zone), row in rows_of(table):
        old = before.get(vendor, {}).get(model, {}).get(zone)
        for part in ("input", "output") if old else ():
            assert old is not None
            low, high = sorted((old[part], row[part]))
            if high > low * JUMP:
                found.append(f"{vendor}/{model}: {part} goes from {old[part]} to {row[part]}")
    return found


def rows_of(table: Table) -> Iterator[tuple[tuple[str, str, str], Row]]:
    """Iterate over ((vendor, model, zone), row)."""
    for vendor, models in table.items():
        for model, zones in models.items():
            for zone, row in zones.items():
                yield (vendor, model, zone), row


def differences(before: Table, table: Table) -> list[str]:
    """Return a line for each row that came, went or changed."""
    old, new = dict(rows_of(before)), dict(rows_of(table))
    lines = []
    for name in sorted(old.keys() | new.keys()):
        mark = "+" if name not in old else "-" if name not in new else "~" if old[name] != new[name] else ""
        if mark:
            shown = " ".join(f"{part}={each[part] / 1e6:g}" for each in (new.get(name) or old[name],) for part in _PARTS if part in each)
            lines.append(f"  {mark} {'/'.join(filter(None, name))}  {shown}")
    return lines


def pack(day: str, sources: list[dict[str, str]], table: Table) -> bytes:
    """Return the file's bytes: sorted, and without a time stamp."""
    document = {"day": day, "sources": sources, "prices": table}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return gzip.compress(text.encode(), compresslevel=9, mtime=0)


def source(folder: Path, package: str, file: str) -> dict[str, str]:
    """Say where numbers are from: the package as it names itself, and its file's hash."""
    info = next(folder.glob(f"{package.replace('-', '_')}-*.dist-info/METADATA"))
    fields = dict(line.split(": ", 1) for line in info.read_text(encoding="utf-8").split("\n\n")[0].splitlines() if ": " in line)
    digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    return {"package": package, "version": fields["Version"], "licence": fields["License-Expression"], "file": file, "sha256": digest}


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the table; 0 if it was written or is as it was."""
    parser = argparse.ArgumentParser(prog="python -m devhost.prices", description=__doc__)
    parser.add_argument("--from", dest="folder", type=Path, required=True, help="where the two packages are installed")
    parser.add_argument("--day", type=datetime.date.fromisoformat, default=datetime.datetime.now(datetime.UTC).date(), help="of the lists")
    parser.add_argument("--accept", action="store_true", help=f"take prices that changed more than {JUMP} times")
    options = parser.parse_args(arguments)
    before: dict[str, Any] = json.loads(gzip.decompress(TABLE.read_bytes())) if TABLE.exists() else {"day": "", "prices": {}}
    table, left_out = read_litellm(json.loads((options.folder / LITELLM).read_text(encoding="utf-8")))
    dated = add_later(table, read_later(options.folder, options.day), options.day)
    wrong, sudden = without_absurd(table), jumps(before["prices"], table)
    changes = differences(before["prices"], table)
    packed = pack(
        options.day.isoformat() if changes else before["day"],
        [source(options.folder, "litellm", LITELLM), source(options.folder, "genai-prices", GENAI)],
        table,
    )
    print(f"{sum(1 for _ in rows_of(table))} prices of {len(table)} vendors, {dated} with a price to come, {len(packed)} bytes")
    print("Left out: " + "; ".join(f"{count} ({why})" for why, count in sorted(left_out.items())))
    print("\n".join(["Absurd in the source, and left out:", *[f"  {line}" for line in wrong]]) if wrong else "Nothing absurd in the source")
    print("\n".join([f"{len(changes)} changes since {before['day'] or 'nothing'}:", *changes[:SHOWN]]))
    if sudden and not options.accept:
        print("\n".join([f"These changed more than {JUMP} times; look at them, then say --accept:", *sudden]), file=sys.stderr)
        return 1
    if len(packed) > MOST_BYTES:
        print(f"The table has {len(packed)} bytes, over {MOST_BYTES}", file=sys.stderr)
        return 1
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_bytes(packed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
