"""The templates in infra/, as text: there is no Bicep compiler here, so what can be seen without one is seen."""

import re
from xml.etree import ElementTree

import pytest

from gateway.access.front import ADDRESS, PROOF
from gateway.settings import NAMES
from tests.house.sources import ROOT, codes, name_of, read, table

# Type → API version, as learn.microsoft.com/azure/templates lists it (read 2026-11-22).
KNOWN = {
    "Microsoft.Authorization/roleAssignments": "2022-04-01",
    "Microsoft.CognitiveServices/accounts": "2024-10-01",
    "Microsoft.Consumption/budgets": "2024-08-01",
    "Microsoft.Insights/actionGroups": "2023-01-01",
    "Microsoft.Network/FrontDoorWebApplicationFirewallPolicies": "2025-03-01",
}
OURS = ("cost", "edge", "safety", "apim", "monitor")  # the whole deployment has its own tests
BICEP = sorted(name_of(path) for folder in ("cost", "edge", "safety") for path in (ROOT / "infra" / folder).glob("*.bicep"))
PAIRS = {"}": "{", "]": "[", ")": "("}
NOISE = re.compile(r"//[^\n]*|'(?:\\.|[^'\\\n])*'")


def bare(text: str) -> str:
    """Return a template without its comments and texts."""
    return NOISE.sub("''", text)


@pytest.mark.parametrize("name", BICEP)
def test_brackets_of_a_template_close_what_they_opened(name: str) -> None:
    opened: list[str] = []
    for sign in bare(read(name)):
        if sign in PAIRS.values():
            opened.append(sign)
        elif sign in PAIRS:
            assert opened, f"{sign} closes nothing"
            assert opened.pop() == PAIRS[sign]
    assert opened == []
    assert "'" not in bare(read(name)).replace("''", ""), "a text does not end"


@pytest.mark.parametrize("name", BICEP)
def test_parameters_and_outputs_are_described_and_parameters_are_used(name: str) -> None:
    lines = read(name).splitlines()
    for number, line in enumerate(lines):
        if found := re.match(r"(param|output) (\w+) ", line):
            above = lines[:number]
            decorators = "\n".join(above[max((n for n, text in enumerate(above) if not text.strip()), default=0) :])
            assert "@description('" in decorators, f"{found[2]} has no description"
            if found[1] == "param":
                assert len(re.findall(rf"\b{found[2]}\b", bare(read(name)) + " ".join(re.findall(r"\$\{(\w+)", read(name))))) > 1, found[2]


@pytest.mark.parametrize("name", BICEP)
def test_resources_are_of_types_and_versions_that_are_documented(name: str) -> None:
    found = re.findall(r"^resource \w+ '([^@']+)@([^']+)'", read(name), re.MULTILINE)
    assert found
    assert {kind: KNOWN.get(kind) for kind, _ in found} == dict(found)


@pytest.mark.parametrize("name", BICEP)
def test_what_could_be_a_secret_is_secure_and_never_given_out(name: str) -> None:
    text = read(name)
    for secret in re.findall(r"^param (\w*(?:[Ww]ebhook|[Kk]ey|[Ss]ecret|[Pp]assword)\w*) ", text, re.MULTILINE):
        assert re.search(rf"@secure\(\)\nparam {secret} ", text), f"{secret} is not secure"
        assert not re.search(rf"^output .*\b{secret}\b", text, re.MULTILINE)
    assert not re.search(r"(?i)(accountkey|sharedaccesskey|password)\s*[=:]\s*'?[A-Za-z0-9+/]{8,}", text)


def test_the_budget_tells_at_50_80_and_100_percent() -> None:
    assert re.findall(r"threshold: (\d+)", read("infra/cost/budget.bicep")) == ["50", "80", "100"]


def test_content_safety_has_no_keys_and_is_private_unless_it_is_said_otherwise() -> None:
    text = read("infra/safety/content-safety.bicep")
    assert "disableLocalAuth: true" in text
    assert "param publicNetworkAccess string = 'Disabled'" in text
    assert "a97b65f3-24c7-4388-baec-2e87135dc908" in text  # Cognitive Services User


def test_the_policy_before_the_gateway_says_what_the_gateway_believes_and_buffers_nothing() -> None:
    root = ElementTree.fromstring(read("infra/apim/policy.xml"))
    headers = {each.attrib["name"]: (each.attrib["exists-action"], each.findtext("value")) for each in root.iter("set-header")}
    assert headers[PROOF] == ("override", "{{gateway-front-id}}")
    assert headers[ADDRESS] == ("override", "@(context.Request.IpAddress)")
    assert headers["x-ms-client-request-id"][0] == "override"
    (forward,) = root.iter("forward-request")
    assert forward.attrib["buffer-response"] == "false"
    assert [each.tag for each in root] == ["inbound", "backend", "outbound", "on-error"]


def test_the_query_follows_ids_that_records_have() -> None:
    from gateway.metering.draft import Draft

    query = read("infra/monitor/correlation.kql")
    declared = set(re.findall(r"^let (\w+) = \"", query, re.MULTILINE))
    assert declared == {"request_id", "trace_id", "upstream_request_id"}
    assert declared - {"request_id"} <= set(Draft.__slots__)
    assert all(query.count(name) > 1 for name in re.findall(r"^let (\w+) =", query, re.MULTILINE))
    code = re.sub(r"//[^\n]*|\"[^\"\n]*\"", "", query)
    assert all(code.count(left) == code.count(right) for left, right in ("()", "[]"))


def test_every_file_is_in_the_table_of_the_folder() -> None:
    listed = {codes(row[0])[0] for row in table(read("infra/README.md"), "What other Azure services do for the gateway")}
    there = {
        path.relative_to(ROOT / "infra").as_posix() for folder in OURS for path in (ROOT / "infra" / folder).rglob("*") if path.is_file()
    }
    assert there <= listed


@pytest.mark.parametrize("name", ["docs/edge.md", "infra/README.md", *BICEP, "infra/apim/policy.xml"])
def test_settings_that_are_named_exist(name: str) -> None:
    named = set(re.findall(r"\bGATEWAY_[A-Z_]+[A-Z]\b", read(name)))
    assert named - set(NAMES) - {"GATEWAY_URL"} == set()
