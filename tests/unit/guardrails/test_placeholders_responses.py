"""What a provider keeps of a conversation comes back with its placeholders, under the id that the next call names."""

import asyncio
import datetime

import pytest

from gateway.adapters.tables_sqlite import SqliteTables
from gateway.guardrails.masking.vault import Vault
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

PEPPER = b"a pepper of at least sixteen bytes"
ANNA, BEN = ("EMAIL", "anna@contoso.com"), ("EMAIL", "ben@contoso.com")
HOUR_S = 3600


@pytest.fixture(params=["fake", "sqlite"])
async def tables(request, tmp_path):
    made = FakeTables() if request.param == "fake" else SqliteTables(str(tmp_path / "t.db"))
    yield made
    await made.close()


async def mask(vault: Vault, found: list[tuple[str, str]], session: str = "s-1") -> list[str]:
    given_out = await vault.assign(await vault.open("acme", session), found)
    return [given_out[each] for each in found]


async def test_an_answer_that_a_call_continues_brings_its_placeholders_back(tables) -> None:
    vault = Vault(tables, PEPPER, FakeClock())
    first = await vault.open("acme", "")
    await vault.assign(first, [BEN])
    await vault.save_under("acme", first, "resp_1")
    second = await Vault(tables, PEPPER, FakeClock()).open("acme", "", previous="resp_1")
    assert second.text("<EMAIL_1>") == BEN[1]
    assert await vault.assign(second, [ANNA, BEN]) == {ANNA: "<EMAIL_2>", BEN: "<EMAIL_1>"}
    await vault.save_under("acme", second, "resp_2")
    third = await vault.open("acme", "", previous="resp_2")
    assert third.text("<EMAIL_1> <EMAIL_2>") == f"{BEN[1]} {ANNA[1]}"
    assert (await vault.open("acme", "", previous="resp_1")).text("<EMAIL_2>") == "<EMAIL_2>"
    assert not await vault.open("globex", "", previous="resp_2")
    assert await mask(vault, [ANNA], "resp_2") == ["<EMAIL_1>"]
    assert await vault.erase_response("acme", "resp_2")
    assert not await vault.open("acme", "", previous="resp_2")


async def test_calls_at_once_of_one_conversation_keep_all_that_they_gave(tables) -> None:
    clock = FakeClock()
    vaults = [Vault(tables, PEPPER, clock) for _ in range(4)]
    calls = [await vault.open("acme", "") for vault in vaults]
    for number, (vault, call) in enumerate(zip(vaults, calls, strict=True)):
        await vault.assign(call, [(f"NAME_{chr(65 + number)}", f"person {number}")])
    await asyncio.gather(*(vault.save_under("acme", call, "conv_1") for vault, call in zip(vaults, calls, strict=True)))
    later = await Vault(tables, PEPPER, clock).open("acme", "", previous="conv_1")
    assert later.text("<NAME_A_1> <NAME_B_1> <NAME_C_1> <NAME_D_1>") == "person 0 person 1 person 2 person 3"


async def test_a_conversation_that_goes_on_is_kept_as_long_and_costs_one_write_a_day() -> None:
    tables, clock = FakeTables(), FakeClock()
    vault = Vault(tables, PEPPER, clock)
    call = await vault.open("acme", "")
    await vault.assign(call, [BEN])
    await vault.save_under("acme", call, "conv_1")
    other = await vault.open("acme", "", previous="conv_1")
    await vault.assign(other, [ANNA])
    await vault.save_under("acme", other, "conv_1")
    before = tables.calls
    for _ in range(5):
        await vault.save_under("acme", call, "conv_1")
    assert tables.calls == before
    for _ in range(3):
        clock.advance(29 * 24 * HOUR_S)
        await vault.save_under("acme", call, "conv_1")
        assert await vault.purge() == 0
    later = await Vault(tables, PEPPER, clock).open("acme", "", previous="conv_1")
    assert later.text("<EMAIL_1> <EMAIL_2>") == f"{BEN[1]} {ANNA[1]}"


async def test_a_continued_answer_and_a_session_that_disagree_do_not_mix_people_up(tables) -> None:
    vault = Vault(tables, PEPPER, FakeClock())
    alone = await vault.open("acme", "")
    await vault.assign(alone, [BEN])
    await vault.save_under("acme", alone, "resp_1")
    await mask(vault, [ANNA])
    call = await vault.open("acme", "s-1", previous="resp_1")
    assert await vault.assign(call, [ANNA, BEN]) == {ANNA: "<EMAIL_2>", BEN: "<EMAIL_1>"}
    assert call.text("<EMAIL_1> <EMAIL_2>") == f"{BEN[1]} {ANNA[1]}"


async def test_what_belongs_to_an_answer_is_kept_as_long_as_providers_keep_it() -> None:
    tables, clock = FakeTables(), FakeClock()
    vault = Vault(tables, PEPPER, clock)
    call = await vault.open("acme", "")
    await vault.save_under("acme", call, "resp_0")
    assert tables.data == {}
    await vault.assign(call, [BEN])
    await vault.save_under("acme", call, "resp_1")
    clock.advance(30 * 24 * HOUR_S)
    assert await vault.purge() == 0
    assert await vault.open("acme", "", previous="resp_1")
    clock.advance(datetime.timedelta(hours=2).total_seconds())
    assert await vault.purge() == 1
