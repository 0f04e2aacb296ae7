"""Placeholders are the same in every call of a session, in every worker and after a restart, and nobody reads them at rest."""

import asyncio

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.tables_sqlite import SqliteTables
from gateway.domain.tables import Entity
from gateway.errors import GuardrailUnavailable, RequestError
from gateway.guardrails.masking import vault_rows
from gateway.guardrails.masking.placeholders import Entry, Placeholders
from gateway.guardrails.masking.vault import BELIEVED_S, Vault
from gateway.guardrails.masking.vault_rows import TABLE, Sealer
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

PEPPER = b"a pepper of at least sixteen bytes"
ANNA, BEN, PHONE = ("EMAIL", "anna@contoso.com"), ("EMAIL", "ben@contoso.com"), ("PHONE", "+49 30 1234567")
HOUR_S = 3600


@pytest.fixture(params=["fake", "sqlite"])
async def tables(request, tmp_path):
    made = FakeTables() if request.param == "fake" else SqliteTables(str(tmp_path / "t.db"))
    yield made
    await made.close()


async def sessions_of(tables) -> list[Entity]:
    rows = (await tables.query(TABLE)).entities
    return [each for each in rows if not each.partition.startswith("expires")]


async def mask(vault: Vault, found: list[tuple[str, str]], session: str = "s-1", tenant: str = "acme", texts=()) -> list[str]:
    given_out = await vault.assign(await vault.open(tenant, session), found, texts)
    return [given_out[each] for each in found]


async def test_a_session_keeps_its_placeholders_over_calls_workers_and_restarts(tables) -> None:
    clock = FakeClock()
    one, other = Vault(tables, PEPPER, clock), Vault(tables, PEPPER, clock)
    assert await mask(one, [BEN, PHONE]) == ["<EMAIL_1>", "<PHONE_1>"]
    assert await mask(other, [ANNA, BEN]) == ["<EMAIL_2>", "<EMAIL_1>"]
    assert await mask(one, [PHONE, ANNA]) == ["<PHONE_1>", "<EMAIL_2>"]
    assert await mask(Vault(tables, PEPPER, clock), [ANNA, BEN, PHONE]) == ["<EMAIL_2>", "<EMAIL_1>", "<PHONE_1>"]
    assert len(await sessions_of(tables)) == 1


async def test_sessions_and_tenants_know_nothing_of_each_other(tables) -> None:
    vault = Vault(tables, PEPPER, FakeClock())
    assert await mask(vault, [BEN], "s-1") == ["<EMAIL_1>"]
    assert await mask(vault, [ANNA], "s-2") == ["<EMAIL_1>"]
    assert await mask(vault, [ANNA], "s-1", "globex") == ["<EMAIL_1>"]
    assert await mask(vault, [ANNA], "s-1") == ["<EMAIL_2>"]
    assert len({each.row for each in await sessions_of(tables)}) == 3


async def test_a_call_without_a_session_leaves_nothing_behind() -> None:
    tables = FakeTables()
    vault = Vault(tables, PEPPER, FakeClock())
    assert await mask(vault, [BEN, ANNA], "") == ["<EMAIL_1>", "<EMAIL_2>"]
    assert await mask(vault, [ANNA], "") == ["<EMAIL_1>"]
    assert (tables.calls, tables.data) == (0, {})


async def test_nothing_is_read_where_there_is_nothing_to_mask() -> None:
    tables = FakeTables()
    vault = Vault(tables, PEPPER, FakeClock())
    assert await mask(vault, []) == []
    assert tables.calls == 0


async def test_a_known_original_costs_no_store_for_five_seconds_and_then_one_read() -> None:
    tables, clock = FakeTables(), FakeClock()
    vault = Vault(tables, PEPPER, clock)
    await mask(vault, [ANNA])
    before = tables.calls
    clock.advance(BELIEVED_S)
    await mask(vault, [ANNA])
    assert tables.calls == before
    clock.advance(0.1)
    await mask(vault, [ANNA])
    assert tables.calls == before + 1


@pytest.mark.parametrize("workers", [2, 8])
async def test_workers_at_once_agree_on_every_placeholder(tables, workers: int) -> None:
    clock = FakeClock()
    vaults = [Vault(tables, PEPPER, clock) for _ in range(workers)]
    people = [("EMAIL", f"p{number}@contoso.com") for number in range(6)]
    asked = [[people[(at + step) % 6] for step in range(3)] for at in range(workers)]
    given_out = await asyncio.gather(*(mask(vault, found) for vault, found in zip(vaults, asked, strict=True)))
    pairs = {pair for found, names in zip(asked, given_out, strict=True) for pair in zip(found, names, strict=True)}
    assert len({person for person, _ in pairs}) == len({name for _, name in pairs}) == len(pairs)
    assert dict(zip(people, await mask(Vault(tables, PEPPER, clock), people), strict=True)).items() >= dict(pairs).items()


async def test_a_worker_that_was_slower_takes_what_the_quicker_one_gave() -> None:
    tables, clock = FakeTables(), FakeClock()
    slow, quick = Vault(tables, PEPPER, clock), Vault(tables, PEPPER, clock)
    await mask(slow, [PHONE])
    assert await mask(quick, [BEN]) == ["<EMAIL_1>"]
    assert await mask(slow, [ANNA, BEN]) == ["<EMAIL_2>", "<EMAIL_1>"]


async def test_a_placeholder_typed_by_the_client_gets_another_number_and_the_session_keeps_both(tables) -> None:
    vault = Vault(tables, PEPPER, FakeClock())
    await mask(vault, [ANNA])
    call = await vault.open("acme", "s-1")
    assert await vault.assign(call, [ANNA], ["who is <EMAIL_1>?"]) == {ANNA: "<EMAIL_2>"}
    assert call.text("<EMAIL_1> <EMAIL_2>") == "<EMAIL_1> anna@contoso.com"
    assert await mask(Vault(tables, PEPPER, FakeClock()), [ANNA, BEN]) == ["<EMAIL_1>", "<EMAIL_3>"]


async def test_at_rest_neither_originals_nor_sessions_can_be_read(tables) -> None:
    vault = Vault(tables, PEPPER, FakeClock())
    placeholders = await vault.open("acme", "session of Anna")
    await vault.assign(placeholders, [ANNA])
    await vault.save_under("acme", placeholders, "resp_123")
    stored = repr((await tables.query(TABLE)).entities)
    for secret in ("anna", "Anna", "contoso", "EMAIL", "resp_123"):
        assert secret not in stored
    assert "anna" not in repr(vars(vault)) + repr(placeholders) + repr(list(vault._kept.values()))


async def test_another_pepper_finds_nothing_and_a_row_under_another_key_does_not_open() -> None:
    tables, clock = FakeTables(), FakeClock()
    await mask(Vault(tables, PEPPER, clock), [ANNA])
    assert await mask(Vault(tables, b"another pepper, as long as that", clock), [BEN]) == ["<EMAIL_1>"]
    mine, other = (Sealer(each) for each in (PEPPER, b"another pepper, as long as that"))
    place = mine.place("acme", "session", "s-1")
    with pytest.raises(GuardrailUnavailable, match="another session"):
        other.open(place, tables.data[TABLE, place.partition, place.row].values)


@pytest.mark.parametrize("fault", ["bit", "cut", "empty", "moved", "partition", "older cell"])
async def test_a_row_that_was_changed_or_moved_does_not_open(fault: str) -> None:
    tables = FakeTables()
    vault = Vault(tables, PEPPER, FakeClock())
    await mask(vault, [ANNA])
    await mask(vault, [BEN], "s-2")
    mine, other = (Sealer(PEPPER).place("acme", "session", name) for name in ("s-1", "s-2"))
    row = tables.data[TABLE, mine.partition, mine.row]
    data = row.values["d0"]
    assert isinstance(data, bytes)
    changed = {
        "bit": data[:-20] + bytes([data[-20] ^ 1]) + data[-19:],
        "cut": data[:-1],
        "empty": b"",
        "moved": tables.data[TABLE, other.partition, other.row].values["d0"],
        "partition": data,
        "older cell": data + data,
    }[fault]
    if fault == "partition":
        with pytest.raises(GuardrailUnavailable):
            Sealer(PEPPER).open(vault_rows.Place("globex|00", mine.row), row.values)
        return
    await tables.upsert(TABLE, mine.partition, mine.row, {**row.values, "d0": changed})
    with pytest.raises(GuardrailUnavailable, match="cannot be read") as caught:
        await mask(Vault(tables, PEPPER, FakeClock()), [ANNA])
    assert "anna" not in caught.value.message
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)


def test_keys_are_derived_as_hkdf_derives_them() -> None:
    made = Sealer(PEPPER)._expand(b"names")
    info = b"gateway: placeholders, 1|names"
    assert made == HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(PEPPER)


@given(st.lists(st.builds(Entry, st.sampled_from(["EMAIL", "NAME"]), st.integers(1, 10**6), st.text()), max_size=8))
def test_what_is_sealed_opens_as_it_was_and_never_looks_alike_twice(entries: list[Entry]) -> None:
    sealer = Sealer(PEPPER)
    place = sealer.place("acme", "session", "s-1")
    once, again = (sealer.seal(place, entries) for _ in range(2))
    assert list(sealer.open(place, once)) == list(sealer.open(place, again)) == entries
    assert once != again


async def test_a_long_session_takes_many_cells_and_a_full_one_is_refused(tables) -> None:
    vault = Vault(tables, PEPPER, FakeClock())
    many = [("EMAIL", f"{number:05}{'x' * 50}@contoso.com") for number in range(5000)]
    assert (await mask(vault, many))[-1] == "<EMAIL_5000>"
    assert await mask(Vault(tables, PEPPER, FakeClock()), many[-2:]) == ["<EMAIL_4999>", "<EMAIL_5000>"]
    with pytest.raises(RequestError, match="begin another") as caught:
        await mask(vault, [("EMAIL", f"{number:06}{'y' * 90}") for number in range(9000)])
    assert caught.value.param == "x-gateway-session"
    assert await mask(vault, many[:1]) == ["<EMAIL_1>"]


async def test_a_session_that_is_used_lives_on_and_one_that_is_not_ends(tables) -> None:
    clock = FakeClock()
    vault = Vault(tables, PEPPER, clock)
    await mask(vault, [BEN])
    for _ in range(4):
        clock.advance(20 * HOUR_S)
        assert await vault.purge() == 0
        assert await mask(vault, [ANNA, BEN]) == ["<EMAIL_2>", "<EMAIL_1>"]
    clock.advance(25 * HOUR_S + 1)
    assert await mask(vault, [ANNA]) == ["<EMAIL_1>"]
    assert len(await sessions_of(tables)) == 1


async def test_purging_deletes_what_is_over_and_what_told_of_it(tables) -> None:
    clock = FakeClock()
    vault = Vault(tables, PEPPER, clock)
    for number in range(5):
        await mask(vault, [BEN], f"s-{number}")
    clock.advance(10 * HOUR_S)
    await mask(vault, [ANNA], "s-0")
    clock.advance(15 * HOUR_S)
    other = Vault(tables, PEPPER, clock)
    assert sum(await asyncio.gather(vault.purge(), other.purge())) >= 4
    assert len(await sessions_of(tables)) == 1
    assert await mask(other, [ANNA], "s-0") == ["<EMAIL_2>"]
    clock.advance(26 * HOUR_S)
    assert await vault.purge() == 1
    assert (await tables.query(TABLE)).entities == []
    assert await vault.purge() == 0


async def test_a_session_that_is_used_while_it_is_purged_lives() -> None:
    class Lively(FakeTables):
        async def get(self, table, partition, row):
            found = await super().get(table, partition, row)
            if self.used_again is not None:
                vault, self.used_again = self.used_again, None
                await mask(vault, [ANNA])
            return found

        used_again: Vault | None = None

    tables, clock = Lively(), FakeClock()
    await mask(Vault(tables, PEPPER, clock), [BEN])
    clock.advance(26 * HOUR_S)
    tables.used_again = Vault(tables, PEPPER, clock)
    assert await Vault(tables, PEPPER, clock).purge() == 0
    assert await mask(Vault(tables, PEPPER, clock), [PHONE, ANNA]) == ["<PHONE_1>", "<EMAIL_1>"]
    assert len(await sessions_of(tables)) == 1


async def test_a_row_that_lost_its_end_is_over() -> None:
    tables, clock = FakeTables(), FakeClock()
    vault = Vault(tables, PEPPER, clock)
    await mask(vault, [ANNA])
    (row,) = await sessions_of(tables)
    await tables.upsert(TABLE, row.partition, row.row, {"d0": b""})
    assert await mask(Vault(tables, PEPPER, clock), [BEN]) == ["<EMAIL_1>"]
    clock.advance(26 * HOUR_S)
    assert await vault.purge() == 1


async def test_an_erased_session_begins_anew_and_other_workers_notice_in_five_seconds(tables) -> None:
    clock = FakeClock()
    vault, other = Vault(tables, PEPPER, clock), Vault(tables, PEPPER, clock)
    await mask(vault, [BEN, ANNA])
    assert await mask(other, [ANNA]) == ["<EMAIL_2>"]
    assert await vault.erase("acme", "s-1")
    assert not await vault.erase("acme", "s-1")
    assert await sessions_of(tables) == []
    clock.advance(BELIEVED_S + 0.1)
    assert await mask(other, [ANNA]) == ["<EMAIL_1>"]


async def test_a_store_that_does_not_answer_makes_it_unavailable() -> None:
    tables = FakeTables()
    vault = Vault(tables, PEPPER, FakeClock())
    call = await vault.open("acme", "")
    await vault.assign(call, [BEN])
    tables.down = True
    asked = [
        mask(vault, [ANNA]), vault.open("acme", "", previous="resp_1"), vault.save_under("acme", call, "resp_1"),
        vault.erase("acme", "s-1"), vault.purge(),
    ]  # fmt: skip
    for each in asked:
        with pytest.raises(GuardrailUnavailable, match="cannot be reached"):
            await each
    assert await mask(vault, [ANNA], "") == ["<EMAIL_1>"]


async def test_what_could_not_be_written_is_not_believed() -> None:
    tables = FakeTables()
    vault = Vault(tables, PEPPER, FakeClock())
    await mask(vault, [BEN])
    tables.down = True
    with pytest.raises(GuardrailUnavailable):
        await mask(vault, [ANNA])
    tables.down = False
    assert await mask(vault, [PHONE, ANNA, BEN]) == ["<PHONE_1>", "<EMAIL_2>", "<EMAIL_1>"]


async def test_memory_is_bounded_and_forgets_the_least_recently_used() -> None:
    tables = FakeTables()
    vault = Vault(tables, PEPPER, FakeClock(), max_kept_bytes=5000)
    for number in range(50):
        await mask(vault, [BEN], f"s-{number}")
    assert 0 < sum(each.size for each in vault._kept.values()) == vault._kept_bytes <= 5000
    before = tables.calls
    await mask(vault, [BEN], "s-49")
    assert tables.calls == before
    assert await mask(vault, [ANNA, BEN], "s-0") == ["<EMAIL_2>", "<EMAIL_1>"]


async def test_a_write_that_always_comes_too_late_ends() -> None:
    class Contested(FakeTables):
        async def insert(self, table, partition, row, values):
            raise vault_rows_exists

    from gateway.domain.tables import EntityExists

    vault_rows_exists = EntityExists("the row exists already")
    with pytest.raises(GuardrailUnavailable, match="at once"):
        await mask(Vault(Contested(), PEPPER, FakeClock()), [BEN])


@given(st.lists(st.tuples(st.sampled_from(["EMAIL", "NAME"]), st.text(max_size=5)), min_size=1, max_size=5), st.integers(0, 3))
def test_what_was_masked_in_a_session_comes_back(found: list[tuple[str, str]], known: int) -> None:
    async def run() -> None:
        vault = Vault(FakeTables(), PEPPER, FakeClock())
        await mask(vault, found[:known])
        call: Placeholders = await vault.open("acme", "s-1")
        given_out = await vault.assign(call, found, ["".join(text for _, text in found)])
        assert call.text(" ".join(given_out[each] for each in found)) == " ".join(text for _, text in found)

    asyncio.run(run())
