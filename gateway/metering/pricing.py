"""What a call cost, in integer micro-USD: tokens, the parts of them that have prices of their own, and units.

    prompt      = fresh + cached + written into the cache (for minutes, for an hour) + sound
    completion  = text + sound
    cost        = ⌈(Σ part × its price) ÷ 1,000,000⌉, rounded once

A part without a price of its own costs as much as the plain one. Images, characters and seconds beside tokens cost only what
the price says of them: an image whose tokens are paid is not paid again. A long prompt reprices the whole call, as all makers
do it that have such prices (docs.perplexity.ai, "Models": beyond the edge "these models switch to long-context rates for both
input and output on that request"; ai.google.dev, "Gemini API pricing"; read 2026-11-22).
"""

from gateway.domain.call import Usage
from gateway.domain.deployment import Price

TOKENS_PER_PRICE = 1_000_000
# Units that a provider tells beside the tokens that it bills for the same thing.
BESIDE_TOKENS = frozenset({"images", "characters", "seconds"})


def cost_micro_usd(usage: Usage, price: Price | None) -> int | None:
    """Return the cost, rounded up to the micro-dollar; None where what was used has no price, which is never 0.

    Args:
        usage: What was used. A part that is larger than the whole is cut to it: a cost is never negative.
        price: What holds at the time of the call, see `Price.at`.
    """
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    if not (prompt or completion or usage.units):
        return 0  # nothing was used: a stored answer that was looked at, a request that the service refused
    if price is None:
        return None
    if price.tiers:
        price = price.for_prompt(prompt)
    cost = _tokens(usage, price)
    if not usage.units:
        return None if price.only_units else -(-cost // TOKENS_PER_PRICE)
    unit_price = price.of_unit(usage.unit)
    if unit_price is None:
        paid = (prompt or completion) and usage.unit in BESIDE_TOKENS
        return -(-cost // TOKENS_PER_PRICE) if paid else None
    return -(-(cost + usage.units * unit_price) // TOKENS_PER_PRICE)


def avoided_micro_usd(usage: Usage, price: Price | None) -> int:
    """Return what the provider's cache saved: cached tokens at the price of fresh ones, less what they did cost; rounded down."""
    if price is None or not usage.cached_tokens:
        return 0
    if price.tiers:
        price = price.for_prompt(usage.prompt_tokens)
    if price.cached_input is None:
        return 0
    return max(min(usage.cached_tokens, usage.prompt_tokens) * (price.input - price.cached_input) // TOKENS_PER_PRICE, 0)


def _tokens(usage: Usage, price: Price) -> int:
    """Return what the tokens cost, in millionths of a micro-USD."""
    rest, cost = usage.prompt_tokens, 0
    if usage.cached_tokens:
        part = min(usage.cached_tokens, rest)
        cost += part * (price.input if price.cached_input is None else price.cached_input)
        rest -= part
    if usage.cache_write_tokens:
        part = min(usage.cache_write_tokens, rest)
        cost += _written(part, min(usage.cache_write_1h_tokens, part), price)
        rest -= part
    if usage.audio_input_tokens:
        part = min(usage.audio_input_tokens, rest)
        cost += part * (price.input if price.audio_input is None else price.audio_input)
        rest -= part
    completion = usage.completion_tokens
    if usage.audio_output_tokens:
        part = min(usage.audio_output_tokens, completion)
        cost += part * (price.output if price.audio_output is None else price.audio_output)
        completion -= part
    return cost + rest * price.input + completion * price.output


def _written(tokens: int, for_an_hour: int, price: Price) -> int:
    short = price.input if price.cache_write is None else price.cache_write
    long = short if price.cache_write_1h is None else price.cache_write_1h
    return (tokens - for_an_hour) * short + for_an_hour * long
