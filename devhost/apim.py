"""`python -m devhost.apim`: a catalogue's products as policies for API Management, with those limits that it can keep by itself.

The gateway's limits stay where they are; these are coarser ones in front. What API Management has no word for is left out, and
named in the file: money, concurrency, prompts and answers apart, calls per month, soft limits, what a tenant's subscriptions
share. Attach each file to the product of that name in API Management, whose subscriptions are then counted one by one.

Source: learn.microsoft.com "rate-limit-by-key", "quota-by-key" and "llm-token-limit" policies (read 2026-11-22).
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from gateway.adapters.catalog_source import CatalogUnusable, load_catalog
from gateway.domain.access import Product
from gateway.domain.limits import MINUTE, Ceiling, Limits, Metric, Mode

_CALL_PERIODS_S = {"hour": 3_600, "day": 86_400, "week": 604_800}
_TOKEN_PERIODS = {"hour": "Hourly", "day": "Daily", "week": "Weekly", "month": "Monthly", "year": "Yearly"}
_A_MONDAY = "2024-01-01T00:00:00Z"  # so that weeks begin on Monday and days at midnight UTC, as the gateway's do
_SUBSCRIPTION = '(context.Subscription?.Id ?? "none")'
_USER = 'context.Request.Headers.GetValueOrDefault("x-gateway-user", "")'


def policy(product: Product) -> str:
    """Return a product's policy document."""
    lines, left_out = [], []
    for limits, scope, who in ((product.limits, "subscription", ""), (product.user_limits, "user", _USER)):
        made, missed = _split(limits, product.id, scope, who)
        lines += made
        left_out += missed
    left_out += [f"shared_limits {ceiling.name}: API Management knows no tenants" for ceiling in product.shared_limits.ceilings("tenant")]
    comment = [
        "<!--",
        f"  The product {escape(product.id).replace('--', '- -')} of the gateway's catalogue; made by `python -m devhost.apim`.",
    ]
    comment += ["  Left to the gateway alone:", *(f"    {each}" for each in left_out)] if left_out else ["  Nothing is left out."]
    comment += ["-->"]
    body = ["<policies>", "  <inbound>", "    <base />", *(f"    {line}" for line in lines), "  </inbound>"]
    rest = [f"  <{section}>\n    <base />\n  </{section}>" for section in ("backend", "outbound", "on-error")]
    return "\n".join([*comment, *body, *rest, "</policies>", ""])


def _split(limits: Limits, product: str, scope: str, who: str) -> tuple[list[str], list[str]]:
    """Return what can be said, and what cannot, with the reason."""
    made, missed = [], []
    for ceiling in limits.ceilings(scope):
        key = f'"{product}|{scope}|{ceiling.name}|" + {_SUBSCRIPTION}' + (f' + "|" + {who}' if who else "")
        line = _element(ceiling, f"@({key})") if ceiling.mode is Mode.ENFORCE else None
        if line is not None:
            made.append(line)
        else:
            missed.append(f"{scope} {ceiling.name}: {_reason(ceiling)}")
    return made, missed


def _element(ceiling: Ceiling, key: str) -> str | None:
    """Return the policy element for one limit; None where there is none."""
    if ceiling.metric is Metric.REQUESTS and ceiling.window == MINUTE:
        return _tag("rate-limit-by-key", calls=ceiling.amount, renewal_period=60, counter_key=key)
    if ceiling.metric is Metric.REQUESTS and ceiling.window in _CALL_PERIODS_S:
        period_s = _CALL_PERIODS_S[ceiling.window]
        return _tag("quota-by-key", calls=ceiling.amount, renewal_period=period_s, counter_key=key, first_period_start=_A_MONDAY)
    if ceiling.metric is Metric.TOKENS and ceiling.window == MINUTE:
        return _tag("llm-token-limit", counter_key=key, tokens_per_minute=ceiling.amount, estimate_prompt_tokens="true")
    if ceiling.metric is Metric.TOKENS and ceiling.window in _TOKEN_PERIODS:
        period = _TOKEN_PERIODS[ceiling.window]
        return _tag(
            "llm-token-limit", counter_key=key, token_quota=ceiling.amount, token_quota_period=period, estimate_prompt_tokens="true"
        )
    return None


def _reason(ceiling: Ceiling) -> str:
    if ceiling.mode is not Mode.ENFORCE:
        return f"a limit that is only {ceiling.mode.value} refuses nothing, and API Management's policies refuse"
    if ceiling.metric is Metric.COST:
        return "API Management knows no prices"
    if ceiling.metric is Metric.CONCURRENCY:
        return "API Management enforces another number where it has several units"
    if ceiling.metric in (Metric.INPUT_TOKENS, Metric.OUTPUT_TOKENS):
        return "API Management counts prompts and answers together"
    return f"API Management has no period of a {ceiling.window}"


def _tag(element: str, **attributes: object) -> str:
    said = " ".join(f'{name.replace("_", "-")}="{escape(str(value), {'"': "&quot;"})}"' for name, value in attributes.items())
    return f"<{element} {said} />"


def write(products: Iterable[Product], folder: Path) -> list[Path]:
    """Write a file per product and return them. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for product in products:
        path = folder / f"product-{product.id.replace(':', '_')}.xml"
        path.write_text(policy(product), encoding="utf-8")
        written.append(path)
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 1 if the catalogue cannot be used or the files cannot be written."""
    parser = argparse.ArgumentParser(prog="python -m devhost.apim", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--catalog", required=True, help="the catalogue: a path or an https URL; what it refers to must be set")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the policies")
    options = parser.parse_args(arguments)
    try:
        catalog = asyncio.run(load_catalog(options.catalog, os.environ))
        written = write(catalog.products.values(), options.out)
    except (CatalogUnusable, OSError) as error:
        print(f"no policies were made: {error}", file=sys.stderr)
        return 1
    for path in written:
        print(path)
    if not written:
        print("the catalogue has no products, so there are no policies", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
