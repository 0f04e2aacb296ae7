"""The demo's drawing: a bar that fills and a table that lines up."""

import openai
import pytest

from devhost import demo_access, demo_guardrails
from devhost.demo import bar, row, table
from devhost.demo_calls import STEPS, Seen, Step, explained


def test_the_bar_is_full_at_the_end_only() -> None:
    drawn = [bar(done, 5) for done in range(6)]
    assert ["░" in one for one in drawn] == [True] * 5 + [False]
    assert len({len(one) for one in drawn}) == 1


def test_a_row_shows_what_the_headers_say() -> None:
    headers = {"X-Gateway-Deployment": "d", "x-gateway-attempts": "2", "x-gateway-cost-usd": "0.01"}
    assert row("t", Seen(200, headers, 7, 0.1, 0.25)) == ("t", "200", "7", "100 ms", "250 ms", "$0.01", "d, attempt 2")
    assert row("t", Seen(401, note="invalid_api_key")) == ("t", "401", "", "", "0 ms", "", "invalid_api_key")


def test_the_columns_line_up() -> None:
    lines = table([row(step.title, Seen(step.status, tokens=1)) for step in STEPS]).splitlines()
    assert {line.index("1", line.index(str(step.status)) + 3) for line, step in zip(lines[2:], STEPS, strict=True)} == {
        lines[0].index("tokens")
    }


def test_a_step_names_what_it_did_not_come_to() -> None:
    step = Step("t", explained, 200, "d")
    assert step.fault(Seen(200, {"x-gateway-deployment": "d"})) == ""
    assert step.fault(Seen(502)) == "'t' must end with 200, not 502"
    assert step.fault(Seen(200, {"x-gateway-deployment": "e"})) == "'t' must be served by d, not e"


@pytest.mark.parametrize(("answers", "status", "note"), [((200, 200, 403), 403, "over after 2 calls"), ((200,) * 99, 200, "")])
async def test_calls_go_on_until_one_is_refused(monkeypatch: pytest.MonkeyPatch, answers: tuple[int, ...], status: int, note: str) -> None:
    told = iter(answers)
    keys = []

    async def chat(client: openai.AsyncOpenAI, model: str) -> Seen:
        keys.append(client.api_key)
        status = next(told)
        return Seen(status, note="" if status == 200 else "over")

    monkeypatch.setattr(demo_access, "chat", chat)
    client = openai.AsyncOpenAI(api_key="other", base_url="http://127.0.0.1:1/v1")
    seen = await demo_access.until_refused(client, "gwk_k")
    assert (seen.status, seen.note) == (status, note)
    assert keys == ["gwk_k"] * min(len(answers), answers.index(403) + 1 if 403 in answers else demo_access.MOST_CALLS)


def test_who_spent_what_fits_its_columns() -> None:
    sums = {"tenant": "contoso", "product": "", "requests": 1200, "errors": 3, "total_tokens": 45678, "cost_usd": 0.25}
    assert dict(zip(demo_access.COLUMNS, demo_access.row(sums), strict=True)) == {
        "tenant": "contoso",
        "product": "-",
        "calls": "1,200",
        "failed": "3",
        "tokens": "45,678",
        "cost": "$0.250000",
    }


def test_a_step_can_be_wrong_for_what_it_came_to() -> None:
    assert Step("t", explained, 200).fault(Seen(200, wrong="it leaked")) == "'t': it leaked"


@pytest.mark.parametrize(
    ("shown", "got", "wrong"),
    [
        ("Write to <EMAIL_1>", "I write to ann@contoso.com", ""),
        ("Write to ann@contoso.com", "I write to ann@contoso.com", "the address reached the model"),
        ("Write to <EMAIL_1>", "I write to <EMAIL_1>", "the client did not get the address back"),
        ("", "I write to ann@contoso.com", "nobody knows what the model was shown"),
    ],
)
def test_the_demo_sees_an_address_that_leaks_or_is_lost(shown: str, got: str, wrong: str) -> None:
    assert demo_guardrails.fault(shown, got) == wrong
