"""Costs as rows of FOCUS, the FinOps Open Cost and Usage Specification: version 1.3, columns of its Cost and Usage dataset.

All mandatory columns of 1.3 (and of 1.4, which has the same) are there, and those conditional ones for which the ledger has
values, in FOCUS's order; `ProviderName` and `PublisherName`, which 1.3 deprecates, are for tools that read 1.0 to 1.2. Our own
columns follow, each with `x_`.

Rules:

- A row is a charge period (hour, day or month), a tenant, product, subscription, model, deployment, operation, unit and the
  tags. Calls that used nothing and cost nothing have no row, so costs and quantities sum to the report's, and calls do not.
- The billing account is the tenant, the sub account its subscription. The gateway issues no invoice: who does is the provider.
- Hours of provisioned capacity are divided among those who used them, in place of the records' estimates (`hours.py`); what
  nobody used is the billing account `(idle)`'s.
- What has no price has empty costs, in rows of its own: a 0 would be a lie, and the faulty row is what should be noticed.
- Times and numbers as FOCUS wants them: `2026-01-31T12:00:00Z`, plain decimals. An empty cell is null.
- A text that a spreadsheet would take for a formula gets an apostrophe before it.

Sources: focus.finops.org, "FOCUS Specification v1.3" and "v1.4"; owasp.org, "CSV Injection" (read 2026-11-22).
"""

import csv
import datetime
import io
import json
from collections.abc import Callable, Iterable, Mapping

from gateway.domain.deployment import Backend, Deployment, Protocol
from gateway.domain.limits import MICRO_USD
from gateway.domain.tables import Entity
from gateway.metering.hours import Key
from gateway.metering.query import Query, read_tags
from gateway.metering.sums import NOBODY, Totals, start_of

# Whose service a deployment is, and what it is called there, by its backend's protocol.
SERVICES: Mapping[Protocol, tuple[str, str]] = {
    Protocol.AZURE_OPENAI: ("Microsoft", "Azure OpenAI"),
    Protocol.AZURE_ML: ("Microsoft", "Azure Machine Learning"),
    Protocol.AZURE_AI: ("Microsoft", "Azure AI services"),
    Protocol.OPENAI: ("OpenAI", "OpenAI API"),
    Protocol.ANTHROPIC: ("Anthropic", "Claude API"),
    Protocol.BEDROCK: ("AWS", "Amazon Bedrock"),
    Protocol.GEMINI: ("Google", "Gemini API"),
    Protocol.COHERE: ("Cohere", "Cohere API"),
}
OWN = ("AI gateway", "AI gateway")  # what no deployment did, and what nobody knows the provider of
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_FIELDS = ("tenant", "product", "subscription", "model", "deployment", "backend", "operation", "unit", "tags")

COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit",
    "ContractedCost", "EffectiveCost", "HostProviderName", "InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit",
    "ProviderName", "PublisherName", "RegionId", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory", "ServiceName",
    "ServiceProviderName", "ServiceSubcategory", "SkuId", "SkuMeter", "SubAccountId", "SubAccountName", "SubAccountType", "Tags",
    "x_AvoidedCost", "x_Backend", "x_CachedTokens", "x_CompletionTokens", "x_DataZone", "x_EstimatedRequests", "x_Model", "x_Operation",
    "x_Product", "x_PromptTokens", "x_Requests", "x_Sku", "x_Units", "x_UnpricedRequests",
)  # fmt: skip


def keys_of(query: Query) -> Callable[[Entity], Iterable[Key]]:
    """Return what finds a record's row."""

    def keys(entity: Entity) -> tuple[Key]:
        get = entity.values.get
        rest = (str(get(field, "")) for field in _FIELDS)
        return ((start_of(query.interval, entity.partition), "unpriced" if get("unpriced") else "", *rest),)

    return keys


def idle_key_of(query: Query) -> Callable[[str, str], Key]:
    """Return what makes the row of an hour of a deployment that nobody used."""

    def idle_key(deployment: str, hour: str) -> Key:
        rest = {"tenant": NOBODY, "deployment": deployment}
        return (start_of(query.interval, hour), "", *(rest.get(field, "") for field in _FIELDS))

    return idle_key


def render(interval: str, rows: Mapping[Key, Totals], deployments: Mapping[str, Deployment]) -> bytes:
    """Return the rows as CSV: UTF-8, a header, CRLF at the ends of lines.

    Args:
        interval: What a charge period is: `hour`, `day` or `month`.
        rows: Sums by `keys_of`.
        deployments: By id; one that the catalogue has no more is named by its record alone.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="")
    writer.writeheader()
    for key, totals in sorted(rows.items()):
        if totals.prompt or totals.completion or totals.units or totals.cost or totals.shares or totals.unpriced:
            writer.writerow(_row(interval, key, totals, deployments))
    return text.getvalue().encode()


def _row(interval: str, key: Key, totals: Totals, deployments: Mapping[str, Deployment]) -> dict[str, str | int]:
    start, unpriced, tenant, product, subscription, model, deployment_id, backend_id, operation, unit, tags = key
    deployment = deployments.get(deployment_id)
    provider, service = _service(deployment.backend) if deployment is not None else OWN
    cost = "" if unpriced and not totals.shares else _usd(totals.effective)
    tokens = totals.prompt + totals.completion
    quantity, measure = (tokens, "Tokens") if tokens or not totals.units else (totals.units[unit], unit.capitalize() or "Units")
    described = f"{operation} with {model or deployment_id or 'no model'}" if operation else f"unused hours of {deployment_id}"
    texts = {
        "BillingAccountId": tenant,
        "BillingAccountName": tenant,
        "ChargeDescription": f"{described}, which has no known price" if unpriced else described,
        "HostProviderName": provider,
        "InvoiceIssuerName": provider,
        "ProviderName": provider,
        "PublisherName": provider,
        "RegionId": deployment.backend.region if deployment else "",
        "ResourceId": deployment_id,
        "ResourceName": deployment_id,
        "ServiceName": service,
        "ServiceProviderName": provider,
        "SkuId": deployment.name if deployment else model,
        "SkuMeter": f"{operation} {measure.lower()}".strip(),
        "SubAccountId": subscription,
        "SubAccountName": subscription,
        "x_Backend": backend_id,
        "x_DataZone": deployment.backend.data_zone if deployment else "",
        "x_Model": model,
        "x_Operation": operation,
        "x_Product": product,
        "x_Sku": deployment.sku if deployment else "",
    }
    return {
        **{name: _safe(value) for name, value in texts.items()},
        **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), cost),
        **_periods(interval, datetime.datetime.fromisoformat(start)),
        "BillingCurrency": "USD",
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ConsumedQuantity": quantity,
        "ConsumedUnit": measure,
        "PricingQuantity": quantity,
        "PricingUnit": measure,
        "ResourceType": "Model deployment" if deployment_id else "",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Generative AI",
        "SubAccountType": "Subscription" if subscription else "",
        "Tags": json.dumps(dict(read_tags(tags)), ensure_ascii=False, separators=(",", ":")) if tags else "",
        "x_AvoidedCost": _usd(totals.avoided),
        "x_CachedTokens": totals.cached,
        "x_CompletionTokens": totals.completion,
        "x_EstimatedRequests": totals.estimated,
        "x_PromptTokens": totals.prompt,
        "x_Requests": totals.requests,
        "x_Units": totals.units.get(unit, 0),
        "x_UnpricedRequests": totals.unpriced,
    }


def _service(backend: Backend) -> tuple[str, str]:
    if backend.vendor:
        return backend.vendor, f"{backend.vendor} API"
    return SERVICES.get(backend.protocol, OWN)


def _periods(interval: str, start: datetime.datetime) -> dict[str, str]:
    month = start.replace(day=1, hour=0)
    after = _month_after(month)
    end = {"hour": start + datetime.timedelta(hours=1), "day": start + datetime.timedelta(days=1), "month": after}[interval]
    return {
        "BillingPeriodStart": _time(month),
        "BillingPeriodEnd": _time(after),
        "ChargePeriodStart": _time(start),
        "ChargePeriodEnd": _time(end),
    }


def _month_after(month: datetime.datetime) -> datetime.datetime:
    return (month + datetime.timedelta(days=31)).replace(day=1)


def _time(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _usd(micro_usd: int) -> str:
    whole, rest = divmod(micro_usd, MICRO_USD)
    return f"{whole}.{rest:06}"


def _safe(text: str) -> str:
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text
