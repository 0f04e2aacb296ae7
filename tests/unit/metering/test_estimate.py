"""What a call may cost at most: over all that its model can lead to, and never too low."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Operation, Usage
from gateway.domain.catalog import Catalog, Model
from gateway.domain.deployment import DatedPrice, Deployment, PoolMember, Price, PriceTier
from gateway.domain.policy import Fallbacks, Lifecycle, LifecycleState, Rule, TenantPrice, Tier, Verifier, When
from gateway.metering.estimate import JUDGE_TOKENS, TOKENS_PER_UNIT, VERDICT_TOKENS, worst_cost_micro_usd, worst_tokens
from gateway.metering.offers import MOST_OFFERS, Offer, offers
from gateway.metering.pricing import cost_micro_usd
from tests.builders import make_deployment, make_model, make_price

NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)
DEAR = Price(10_000_000, 20_000_000)
CHEAP = Price(1_000_000, 2_000_000)
M = 1_000_000


def at(price: Price | None, name: str = "d", **over: object) -> Deployment:
    return make_deployment(id=name, price=price, **over)


def worst(catalog: Catalog, model: Model, input_tokens: int = M, output_tokens: int = 0, **over: object) -> int | None:
    return worst_cost_micro_usd(catalog, model, "contoso", input_tokens, output_tokens, NOW, **over)  # type: ignore[arg-type]


def test_the_dearest_deployment_of_the_pool_counts() -> None:
    model = make_model(at(CHEAP, "a"), at(DEAR, "b"))
    assert worst(Catalog((model,), ()), model, 1000, 100) == 12_000


def test_a_deployment_that_gets_no_call_does_not_count() -> None:
    pool = (PoolMember(at(CHEAP, "a")), PoolMember(at(None, "b"), weight=0), PoolMember(at(None, "c", draining=True)))
    model = make_model(pool=pool)
    assert worst(Catalog((model,), ()), model) == M


@pytest.mark.parametrize("by", ["any", "context_length", "content_filter"])
def test_fallbacks_count(by: str) -> None:
    other = make_model(at(DEAR, "b"), id="other")
    model = make_model(at(CHEAP, "a"), fallbacks=Fallbacks(**{by: ("other",)}))
    assert worst(Catalog((model, other), ()), model) == 10 * M


def test_fallbacks_of_a_fallback_are_not_followed() -> None:
    third = make_model(at(None, "c"), id="third")
    other = make_model(at(CHEAP, "b"), id="other", fallbacks=Fallbacks(any=("third",)))
    model = make_model(at(CHEAP, "a"), fallbacks=Fallbacks(any=("other",)))
    assert worst(Catalog((model, other, third), ()), model) == M


def test_answers_of_tiers_and_verdicts_of_judges_are_paid_besides() -> None:
    small, judge = make_model(at(CHEAP, "s"), id="small"), make_model(at(CHEAP, "j"), id="judge")
    verify = Verifier(judge_model="judge", question="Good?")
    model = make_model(at(DEAR, "a"), tiers=(Tier("small", verify), Tier("small", Verifier(regex="x"))))
    asked = len("Good?") + JUDGE_TOKENS
    verdict = 1000 + 100 + asked + 2 * VERDICT_TOKENS  # it reads the request, the answer and the question, at 1; it says at 2
    assert worst(Catalog((model, small, judge), ()), model, 1000, 100) == 12_000 + 2 * 1200 + verdict


def test_tokens_of_tiers_and_judges_are_bounded_too_also_behind_a_rule() -> None:
    small, judge = make_model(at(CHEAP, "s"), id="small"), make_model(at(CHEAP, "j"), id="judge")
    verify = Verifier(judge_model="judge", question="Good?")
    tiered = make_model(at(DEAR, "a"), id="tiered", tiers=(Tier("small", verify), Tier("small", Verifier(regex="x"))))
    plain = make_model(at(DEAR, "a"), id="plain")
    asked = (3 * 1000 + 1000 + 100 + len("Good?") + JUDGE_TOKENS, 3 * 100 + VERDICT_TOKENS)
    catalog = Catalog((tiered, plain, small, judge), ())
    assert worst_tokens(catalog, tiered, "contoso", 1000, 100, NOW) == asked
    assert worst_tokens(catalog, plain, "contoso", 1000, 100, NOW) == (1000, 100)
    sent_on = Catalog((tiered, plain, small, judge), (), rules=(Rule("r", When(), model="tiered"),))
    assert worst_tokens(sent_on, plain, "contoso", 1000, 100, NOW) == asked


@pytest.mark.parametrize(
    ("price", "each"), [(CHEAP, TOKENS_PER_UNIT[Operation.IMAGES]), (Price(0, 0, units=(("images", M),)), 0), (None, 0)]
)
def test_images_that_are_paid_by_the_token_take_tokens(price: Price | None, each: int) -> None:
    model = make_model(at(price))
    found = worst_tokens(Catalog((model,), ()), model, "contoso", 7, 0, NOW, units=3, operation=Operation.IMAGES)
    assert found == (7, 3 * each)


def test_what_has_no_price_anywhere_makes_the_bound_unknown() -> None:
    none = make_model(at(None, "x"), id="none")
    for over in ({"fallbacks": Fallbacks(any=("none",))}, {"tiers": (Tier("none", Verifier(regex="x")),)},
                 {"tiers": (Tier("cheap", Verifier(judge_model="none")),)}):  # fmt: skip
        model, cheap = make_model(at(CHEAP, "a"), **over), make_model(at(CHEAP, "b"), id="cheap")
        assert worst(Catalog((model, none, cheap), ()), model) is None


@pytest.mark.parametrize(
    ("when", "counts"),
    [
        (When(), True),
        (When(model=("gpt-*",), operation=("chat",), tenant=("con*",)), True),  # what it asks of the call may hold
        (When(model=("llama*",)), False),
        (When(tenant=("fabrikam",)), False),
    ],
)
def test_rules_that_may_send_the_call_elsewhere_count(when: When, counts: bool) -> None:
    dear, model = make_model(at(DEAR, "b"), id="dear"), make_model(at(CHEAP, "a"))
    for rule in (Rule("r", when, model="dear"), Rule("r", when, pool=dear.pool)):
        assert worst(Catalog((model, dear), (), (rule,)), model) == (10 * M if counts else M)


def test_a_long_prompt_costs_its_tier_and_a_short_one_does_not() -> None:
    price = Price(1_000_000, 1_000_000, tiers=(PriceTier(1000, Price(3_000_000, 4_000_000)),))
    model = make_model(at(price))
    catalog = Catalog((model,), ())
    assert (worst(catalog, model, 1000, 10), worst(catalog, model, 1001, 10)) == (1010, 3003 + 40)


def test_the_dearest_part_of_the_tokens_counts() -> None:
    model = make_model(at(make_price(cache_write=3_000_000, cache_write_1h=5_000_000, audio_input=4_000_000, audio_output=80_000_000)))
    assert worst(Catalog((model,), ()), model, 1000, 100) == 5000 + 8000


def test_prices_are_the_tenants_and_those_of_the_day() -> None:
    price = Price(1_000_000, 0, later=(DatedPrice(datetime.date(2026, 12, 1), Price(2_000_000, 0)),))
    model = make_model(at(price))
    catalog = Catalog((model,), (), (), (TenantPrice("contoso", "*", share_ppm=500_000),))
    december = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)
    found = [worst_cost_micro_usd(catalog, model, tenant, 1000, 0, utc) for tenant in ("contoso", "other") for utc in (NOW, december, NOW)]
    assert found == [500, 1000, 500, 1000, 2000, 1000]


def test_units_count_and_nobody_guesses_how_many_there_are() -> None:
    model = make_model(at(Price(0, 0, units=(("images", 40_000_000_000),))))
    catalog = Catalog((model,), ())
    assert worst(catalog, model, 0, 0, units=2) == 80_000
    assert worst(catalog, model, 10, 0) is None


@pytest.mark.parametrize(("operation", "each"), [(Operation.IMAGES, 10_000), (Operation.TRANSCRIPTION, 40), (Operation.CHAT, 0)])
def test_units_that_are_paid_by_the_token_are_bounded_by_their_tokens(operation: Operation, each: int) -> None:
    by_token, by_unit = Price(5_000_000, 30_000_000), Price(0, 0, unit=7_000_000)
    model = make_model(at(by_token, "a"))
    assert worst(Catalog((model,), ()), model, 100, 0, units=3, operation=operation) == 500 + 3 * each * 30
    mixed = make_model(at(by_token, "a"), at(by_unit, "b"))
    assert worst(Catalog((mixed,), ()), mixed, 0, 0, units=3, operation=operation) == 3 * max(7, each * 30)


def test_another_catalogue_has_bounds_of_its_own() -> None:
    one, two = make_model(at(CHEAP)), make_model(at(DEAR))
    assert (worst(Catalog((one,), ()), one), worst(Catalog((two,), ()), two)) == (M, 10 * M)


PRICES = st.builds(
    Price,
    input=st.integers(0, 10**8), output=st.integers(0, 10**8), cached_input=st.none() | st.integers(0, 10**8),
    cache_write=st.none() | st.integers(0, 10**8), cache_write_1h=st.none() | st.integers(0, 10**8),
    audio_input=st.none() | st.integers(0, 10**8), audio_output=st.none() | st.integers(0, 10**8),
    tiers=st.lists(
        st.builds(PriceTier, st.just(100), st.builds(Price, st.integers(0, 10**8), st.integers(0, 10**8))), max_size=1,
    ).map(tuple),
)  # fmt: skip
PARTS = st.integers(0, 400)


@given(st.lists(PRICES, min_size=4, max_size=4), st.integers(0, 300), PARTS, PARTS, PARTS, PARTS, st.integers(0, 3))
def test_no_way_of_answering_costs_more(
    prices: list[Price], prompt: int, answer: int, cached: int, written: int, sound: int, way: int
) -> None:
    tier, judge = make_model(at(prices[2], "t"), id="tier"), make_model(at(prices[3], "j"), id="judge")
    other = make_model(at(prices[1], "o"), id="other")
    verify = Verifier(judge_model="judge")
    model = make_model(at(prices[0], "a"), fallbacks=Fallbacks(any=("other",)), tiers=(Tier("tier", verify),))
    catalog = Catalog((model, other, tier, judge), ())
    usage = Usage(
        prompt, answer, cached, audio_input_tokens=sound, audio_output_tokens=sound,
        cache_write_tokens=written, cache_write_1h_tokens=written // 2,
    )  # fmt: skip
    verdict = Usage(prompt + answer + len(verify.question) + JUDGE_TOKENS, VERDICT_TOKENS)
    paid = [(usage, prices[2]), (verdict, prices[3]), (usage, prices[way % 2])][: way or 3]
    spent = sum(cost_micro_usd(used, price) or 0 for used, price in paid)
    bound = worst(catalog, model, prompt, answer)
    assert bound is not None
    assert spent <= bound + len(paid)  # each is rounded up on its own


def test_cheaper_models_that_can_do_the_same_are_offered_the_cheapest_first() -> None:
    model = make_model(at(DEAR, "a"), capabilities=("chat", "vision"))
    half, tenth = Price(5_000_000, 5_000_000), CHEAP
    others = (
        make_model(at(half, "b"), id="half", capabilities=("chat", "vision")),
        make_model(at(tenth, "c"), id="tenth", capabilities=("chat", "vision")),
        make_model(at(tenth, "d"), id="blind", capabilities=("chat",)),
        make_model(at(tenth, "e"), id="hidden", capabilities=("chat", "vision"), hidden=True),
        make_model(at(tenth, "f"), id="gone", capabilities=("chat", "vision"), lifecycle=Lifecycle(LifecycleState.RETIRED)),
        make_model(at(tenth, "g"), id="small", capabilities=("chat", "vision"), context_window=999),
        make_model(at(tenth, "h"), id="forbidden", capabilities=("chat", "vision")),
        make_model(at(None, "i"), id="unpriced", capabilities=("chat", "vision")),
        make_model(at(tenth, "k"), id="vectors", capabilities=("embeddings", "vision")),
        make_model(at(tenth, "l"), id="unsaid"),
        make_model(at(DEAR, "j"), id="as-dear", capabilities=("chat", "vision")),
    )
    found = offers(
        Catalog((model, *others), ()),
        lambda other: other.id != "forbidden",
        model,
        "contoso",
        1000,
        0,
        NOW,
        operation=Operation.MESSAGES,
        needs=frozenset({"vision"}),
    )
    assert found == (Offer("tenth", 1000), Offer("half", 5000))


def test_no_more_are_offered_than_one_can_choose_from() -> None:
    model = make_model(at(DEAR, "a"))
    others = tuple(make_model(at(Price(index, index), f"d{index}"), id=f"m{index}") for index in range(1, 9))
    found = offers(Catalog((model, *others), ()), lambda _: True, model, "contoso", M, 0, NOW, operation=Operation.CHAT)
    assert [offer.model for offer in found] == ["m1", "m2", "m3", "m4", "m5"]
    assert len(found) == MOST_OFFERS
