"""Policies for API Management: exact, well-formed, and honest about what they leave out."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devhost.apim import main, policy
from gateway.domain.access import Product
from gateway.domain.limits import Budget, Limits, Metric, Mode, Quota, TokenQuota
from tests.builders import make_product

FULL = Limits(
    requests_per_minute=60,
    tokens_per_minute=20_000,
    input_tokens_per_minute=1,
    spend_usd_per_minute=0.5,
    concurrency=8,
    requests=(Quota("day", 1_000), Quota("month", 9_000)),
    tokens=(TokenQuota("month", 2_000_000), TokenQuota("quarter", 5), TokenQuota("day", 7, "input")),
    budget_usd=(Budget("month", 50),),
)
GOLDEN = """\
<!--
  The product starter of the gateway's catalogue; made by `python -m devhost.apim`.
  Left to the gateway alone:
    subscription input_tokens.minute: API Management counts prompts and answers together
    subscription cost.minute: API Management knows no prices
    subscription concurrency.now: API Management enforces another number where it has several units
    subscription requests.month: API Management has no period of a month
    subscription tokens.quarter: API Management has no period of a quarter
    subscription input_tokens.day: API Management counts prompts and answers together
    subscription cost.month: API Management knows no prices
    shared_limits requests.minute: API Management knows no tenants
-->
<policies>
  <inbound>
    <base />
    <rate-limit-by-key calls="60" renewal-period="60" counter-key="@(&quot;starter|subscription|requests.minute|&quot; + \
(context.Subscription?.Id ?? &quot;none&quot;))" />
    <llm-token-limit counter-key="@(&quot;starter|subscription|tokens.minute|&quot; + (context.Subscription?.Id ?? &quot;none&quot;))" \
tokens-per-minute="20000" estimate-prompt-tokens="true" />
    <quota-by-key calls="1000" renewal-period="86400" counter-key="@(&quot;starter|subscription|requests.day|&quot; + \
(context.Subscription?.Id ?? &quot;none&quot;))" first-period-start="2024-01-01T00:00:00Z" />
    <llm-token-limit counter-key="@(&quot;starter|subscription|tokens.month|&quot; + (context.Subscription?.Id ?? &quot;none&quot;))" \
token-quota="2000000" token-quota-period="Monthly" estimate-prompt-tokens="true" />
    <rate-limit-by-key calls="6" renewal-period="60" counter-key="@(&quot;starter|user|requests.minute|&quot; + \
(context.Subscription?.Id ?? &quot;none&quot;) + &quot;|&quot; + \
context.Request.Headers.GetValueOrDefault(&quot;x-gateway-user&quot;, &quot;&quot;))" />
  </inbound>
  <backend>
    <base />
  </backend>
  <outbound>
    <base />
  </outbound>
  <on-error>
    <base />
  </on-error>
</policies>
"""
CATALOG = """\
version: 1
backends: []
deployments: []
models: []
products:
  - {id: "a:b", models: ["*"], limits: {requests_per_minute: 5}}
  - {id: plain, models: ["*"]}
"""


def elements(product: Product) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(policy(product))
    return [each for each in root.findall("inbound/*") if each.tag != "base"]


def test_a_product_becomes_exactly_this_policy() -> None:
    product = make_product(limits=FULL, shared_limits=Limits(requests_per_minute=1), user_limits=Limits(requests_per_minute=6))
    assert policy(product) == GOLDEN


@pytest.mark.parametrize("mode", [Mode.SOFT, Mode.SHADOW])
def test_a_limit_that_refuses_nothing_becomes_no_policy_that_refuses(mode: Mode) -> None:
    product = make_product(id="p", limits=Limits(requests_per_minute=60, mode=mode))
    assert elements(product) == []
    assert f"only {mode.value}" in policy(product)


def test_a_product_without_limits_says_so() -> None:
    assert "Nothing is left out." in policy(make_product(id="p"))


AMOUNTS = st.none() | st.integers(1, 10**12)


@given(
    st.builds(Limits, requests_per_minute=AMOUNTS, tokens_per_minute=AMOUNTS, output_tokens_per_minute=AMOUNTS, concurrency=AMOUNTS),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,40}", fullmatch=True),
)
def test_every_limit_is_in_the_policy_or_named_as_left_out(limits: Limits, name: str) -> None:
    text = policy(make_product(id=name, limits=limits))
    made = elements(make_product(id=name, limits=limits))
    keys = [each.attrib["counter-key"] for each in made]
    for ceiling in limits.ceilings("subscription"):
        said = [key for key in keys if f"|{ceiling.name}|" in key]
        assert len(said) + text.count(f"    subscription {ceiling.name}: ") == 1
        if ceiling.metric in (Metric.REQUESTS, Metric.TOKENS):
            assert said
    assert len(set(keys)) == len(keys), "two limits would share one counter"


def test_a_catalogue_becomes_a_file_per_product(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CATALOG, encoding="utf-8")
    assert main(["--catalog", str(catalog), "--out", str(tmp_path / "made")]) == 0
    names = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert names == ["product-a_b.xml", "product-plain.xml"]
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == ["product-a_b.xml", "product-plain.xml"]


def test_a_catalogue_that_cannot_be_used_makes_nothing_and_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--catalog", str(tmp_path / "none.yaml"), "--out", str(tmp_path / "made")]) == 1
    assert "none.yaml" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()
