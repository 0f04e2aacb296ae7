"""Before a call that may be dear: let it pass, offer cheaper models, or have a cheaper one draft the answer. As the product says.

    estimate ≤ over_usd, or unknown          → pass
    x-gateway-accept-cost-usd ≥ estimate     → pass: the caller has agreed
    then: offer                              → 402 with what it may cost, and which models would do it for less
    then: draft                              → `draft_model` answers, and the header says how to have it refined

Pure. The estimate is an upper bound (`metering/estimate.py`), so no call that passes costs more than was agreed to. A call
whose cost nobody can know passes: that its deployment has no price is told by the alarm for that, not by refusing calls.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial

import msgspec

from gateway.domain.access import CallCost, Product
from gateway.domain.amounts import Amounts
from gateway.domain.catalog import allows
from gateway.domain.limits import MICRO_USD, micro_usd
from gateway.domain.needs import needs_of
from gateway.domain.output_limit import within
from gateway.domain.request import Request
from gateway.errors import PaymentRequired, RequestError
from gateway.metering.estimate import worst_cost_micro_usd
from gateway.metering.offers import Offer, can_replace, offers

ACCEPT = "x-gateway-accept-cost-usd"
PLAN = "x-gateway-cost-plan"
_MOST_DIGITS = 32


class Draft(msgspec.Struct, frozen=True):
    """The call is answered by another model.

    Attributes:
        model: The cheaper one.
        plan: The value of the header PLAN: what was done, and how to have the model that was asked for.
    """

    model: str
    plan: str


def check(
    call_cost: CallCost | None, headers: Mapping[str, str], model: str, estimate: int | None, offers: Callable[[], Sequence[Offer]]
) -> Draft | None:
    """Decide about a call.

    Args:
        call_cost: The product's word; None lets everything pass.
        headers: The request's, names in lower case.
        model: The one that is asked for.
        estimate: What the call costs at most, in micro-USD; None where nobody can know.
        offers: Finds cheaper models; asked only where they are told.

    Returns:
        None to go on, or who answers in the model's place.

    Raises:
        PaymentRequired: The caller must agree to the cost, or choose another model.
        RequestError: The header is no amount of money.
    """
    if call_cost is None:
        return None
    accepted = _accepted(headers)
    if estimate is None or estimate <= micro_usd(call_cost.over_usd) or (accepted is not None and accepted >= estimate):
        return None
    if call_cost.then == "draft" and call_cost.draft_model != model:
        return Draft(call_cost.draft_model, f"draft; refine={model}; estimated-cost-usd={_shown(estimate)}")
    found = offers()
    cheaper = f", or ask one of the cheaper models, such as {found[0].model!r}" if found else ""
    raise PaymentRequired(
        f"this call to {model!r} may cost up to {_shown(estimate)} USD, and your product lets {call_cost.over_usd:g} USD pass unasked; "
        f"send it again with '{ACCEPT}: {_shown(estimate)}' to have it made{cheaper}",
        details={
            "estimated_cost_usd": estimate / MICRO_USD,
            "over_usd": call_cost.over_usd,
            "offers": [{"model": each.model, "estimated_cost_usd": each.cost_micro_usd / MICRO_USD} for each in found],
        },
    )


def planned(
    request: Request, product: Product, headers: Mapping[str, str], amounts: Amounts, units: int, utc: datetime.datetime
) -> tuple[Request, str]:
    """Return the call as it is to be made, and the header PLAN's value; the call itself and nothing where it is made as asked.

    A product's draft model that is gone, or cannot do what is asked (it may hang on what one deployment has stored), is no
    choice: the caller is asked then.

    Args:
        request: The call.
        product: The caller's.
        headers: The request's, names in lower case.
        amounts: The tokens that it may take at most.
        units: At most so many images, characters, seconds ….
        utc: Prices are those of its day.

    Raises:
        PaymentRequired: The caller must agree to the cost, or choose another model.
        RequestError: The header is no amount of money.
    """
    rule, call, model, catalog, principal = product.call_cost, request.call, request.model, request.catalog, request.principal
    if rule is None:
        return request, ""
    tenant, prompt, output, needs = principal.tenant, amounts.input_tokens, amounts.output_tokens, needs_of(call)
    drafting = catalog.find(rule.draft_model) if rule.then == "draft" and not call.pinned else None
    if drafting is None or drafting.lifecycle.is_over(utc) or not can_replace(drafting, model, call.operation, needs):
        rule = CallCost(rule.over_usd)
    estimate = worst_cost_micro_usd(catalog, model, tenant, prompt, output, utc, units=units, operation=call.operation)

    def cheaper() -> Sequence[Offer]:
        asked = partial(allows, product, narrowed=principal.models)
        return offers(catalog, asked, model, tenant, prompt, output, utc, operation=call.operation, needs=needs, units=units)

    draft = check(rule, headers, model.id, estimate, cheaper)
    if draft is None or drafting is None:
        return request, ""
    return msgspec.structs.replace(request, model=drafting, call=within(call, drafting)[0]), draft.plan


def _accepted(headers: Mapping[str, str]) -> int | None:
    """Return what the caller agrees to pay, in micro-USD; None where it says nothing."""
    text = headers.get(ACCEPT)
    if text is None:
        return None
    try:
        amount = Decimal(text.strip()) if len(text) <= _MOST_DIGITS else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= 10**9:
        raise RequestError(f"{ACCEPT} must be an amount in US dollars, such as 0.25", param=ACCEPT, code="invalid_value")
    return int(amount * MICRO_USD)


def _shown(micro: int) -> str:
    return f"{micro / MICRO_USD:.6f}"
