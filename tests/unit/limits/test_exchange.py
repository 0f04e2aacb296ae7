"""One exchange, by hand: what is charged, granted, written and announced."""

import datetime as dt
import json
from typing import Any

import msgspec
import pytest

from gateway.domain.limits import MINUTE, NOW, Ceiling, Metric, Mode
from gateway.domain.tables import Action, Entity, Write
from gateway.limits.exchange import Ask, Outcome, Report, Rows, exchange

UTC = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)
NOW_S = int(UTC.timestamp())
DAY, MIN, CALLS = "c|tokens.day|2026-11-22", "c|tokens.minute|", "c|concurrency.now|"
OF_DAY = Ceiling(Metric.TOKENS, "day", 1000, Mode.ENFORCE, (50, 80, 100), "product")
OF_MINUTE = Ceiling(Metric.TOKENS, MINUTE, 100)
AT_ONCE = Ceiling(Metric.CONCURRENCY, NOW, 4)


def lease(worker: str, expires_in_s: float = 20, **held: tuple[int, int]) -> Entity:
    rows = {{"day": DAY, "minute": MIN, "calls": CALLS}[name]: each for name, each in held.items()}
    values = {"held": json.dumps(rows), "expires": UTC + dt.timedelta(seconds=expires_in_s), "since": UTC, "seq": 7}
    return Entity("p", f"l|{worker}", values, f"etag of {worker}")


def counter(row: str, **values: Any) -> Entity:
    return Entity("p", row, values, f"etag of {row}")


def done(*asks: Ask, rows: tuple[Entity, ...] = (), **over: Any) -> tuple[Outcome, dict[str, Write]]:
    counters = {entity.row: entity for entity in rows if entity.row.startswith("c|")}
    leases = {entity.row: entity for entity in rows if entity.row.startswith("l|")}
    outcome = exchange(Rows(counters, leases), asks, "product", "me", 8, UTC, **over)
    return outcome, {write.row: write for write in outcome.writes}


def ask(row: str = DAY, ceiling: Ceiling = OF_DAY, **over: Any) -> Ask:
    return Ask(row, ceiling, **over)


def test_a_first_grant_makes_the_counter_and_the_lease() -> None:
    outcome, writes = done(ask(need=100, least=100, want=150))
    assert outcome.outs == {DAY: 150}
    assert outcome.free == {DAY: 850}
    assert (writes[DAY].action, writes[DAY].values) == (Action.INSERT, {"out": 150, "spent": 0})
    assert (writes["l|me"].action, writes["l|me"].values["seq"]) == (Action.INSERT, 8)
    assert json.loads(str(writes["l|me"].values["held"])) == {DAY: [0, 150]}
    assert writes["l|me"].values["expires"] == UTC + dt.timedelta(seconds=30)


def test_every_write_depends_on_what_was_read() -> None:
    _, writes = done(ask(need=1, least=1), rows=(counter(DAY, spent=5, out=3), lease("me", day=(5, 3))))
    assert {row: (write.action, write.etag) for row, write in writes.items()} == {
        DAY: (Action.REPLACE, f"etag of {DAY}"),
        "l|me": (Action.REPLACE, "etag of me"),
    }


def test_what_was_taken_moves_from_out_to_spent() -> None:
    outcome, writes = done(ask(report=Report(((0, 40),), 40)), rows=(counter(DAY, spent=10, out=60), lease("me", day=(10, 60))))
    assert writes[DAY].values == {"spent": 50, "out": 20}
    assert json.loads(str(writes["l|me"].values["held"])) == {DAY: [50, 20]}
    assert outcome.outs == {DAY: 20}


def test_a_debt_is_charged_before_anything_is_granted() -> None:
    outcome, writes = done(ask(report=Report(((0, 990),), 990), need=11, least=11), rows=(counter(DAY, out=10), lease("me", day=(0, 10))))
    assert writes[DAY].values | {"told": ""} == {"spent": 990, "out": 0, "told": ""}
    assert (outcome.outs, outcome.free) == ({DAY: 0}, {DAY: 10})


def test_the_slices_of_all_holders_count_as_spent() -> None:
    rows = (counter(DAY, spent=500, out=490), lease("other", day=(500, 490)))
    assert done(ask(need=11, least=11), rows=rows)[0].outs == {DAY: 0}
    assert done(ask(need=10, least=10), rows=rows)[0].outs == {DAY: 10}


def test_a_slice_shrinks_with_what_is_left_and_with_the_holders() -> None:
    assert done(ask(need=1, want=900))[0].outs == {DAY: 250}
    rows = (counter(DAY, spent=200), lease("b"), lease("c"), lease("gone", -1))
    assert done(ask(need=1, want=900), rows=rows)[0].outs == {DAY: 800 // (4 * 3)}
    assert done(ask(need=1, want=900), rows=(counter(DAY, spent=999),))[0].outs == {DAY: 1}


def test_of_several_that_wait_those_are_served_that_there_is_room_for() -> None:
    rows = (counter(DAY, spent=980),)
    assert done(ask(need=45, least=15, want=45), rows=rows)[0].outs == {DAY: 20}
    assert done(ask(need=45, least=21, want=45), rows=rows)[0].outs == {DAY: 0}


def test_a_window_that_is_over_grants_nothing_and_still_takes_reports() -> None:
    outcome, writes = done(
        ask(report=Report(((0, -30),), -30), back=70, need=5, want=5, running=False),
        rows=(counter(DAY, spent=50, out=40), lease("me", day=(50, 40))),
    )
    assert writes[DAY].values == {"spent": 20, "out": 0}
    assert outcome.outs == {DAY: 0}


def test_a_minute_counts_its_slots_for_61_seconds() -> None:
    slots = json.dumps([[NOW_S - 61, 50], [NOW_S - 60, 30], [NOW_S, 20]])
    outcome, writes = done(ask(MIN, OF_MINUTE, need=50, least=50), rows=(counter(MIN, slots=slots, out=0),))
    assert outcome.outs == {MIN: 50}
    assert json.loads(str(writes[MIN].values["slots"])) == [[NOW_S - 60, 30], [NOW_S, 20]]
    assert outcome.slots == {MIN: ((NOW_S - 60, 30), (NOW_S, 20))}


def test_spends_of_a_minute_count_in_their_own_second_and_refunds_lower_it() -> None:
    slots = json.dumps([[NOW_S - 5, 30]])
    report = Report(((NOW_S - 5, -20), (NOW_S - 2, 7), (NOW_S - 99, 3)), 10)
    outcome, writes = done(ask(MIN, OF_MINUTE, report=report), rows=(counter(MIN, slots=slots, out=10), lease("me", minute=(0, 10))))
    assert json.loads(str(writes[MIN].values["slots"])) == [[NOW_S - 5, 10], [NOW_S - 2, 7]]
    assert (writes[MIN].values["out"], outcome.free) == (0, {MIN: 83})


def test_places_in_use_cannot_be_given_back() -> None:
    outcome, _ = done(ask(CALLS, AT_ONCE, back=1, floor=2), rows=(counter(CALLS, out=3), lease("me", calls=(0, 3))))
    assert outcome.outs == {CALLS: 2}


@pytest.mark.parametrize(("over_s", "minute_left", "calls_left"), [(-1, 30, 2), (1, 30, 0), (62, 0, 0)])
def test_a_dead_holders_places_and_minutes_come_back_when_their_time_is_over(over_s: float, minute_left: int, calls_left: int) -> None:
    rows = (counter(MIN, slots="[]", out=30), counter(CALLS, out=2), lease("dead", -over_s, minute=(0, 30), calls=(0, 2)))
    outcome, writes = done(ask(MIN, OF_MINUTE), ask(CALLS, AT_ONCE), rows=rows)
    assert outcome.free == {MIN: 100 - minute_left, CALLS: 4 - calls_left}
    if over_s > 61:
        assert (writes["l|dead"].action, writes["l|dead"].etag) == (Action.DELETE, "etag of dead")


def test_what_a_dead_holder_has_of_a_calendar_window_stays_spent() -> None:
    outcome, writes = done(ask(need=800, least=800), rows=(counter(DAY, spent=0, out=300), lease("dead", -500, day=(0, 300))))
    assert outcome.free == {DAY: 700}
    assert "l|dead" not in writes


def test_nothing_to_say_writes_nothing() -> None:
    assert done(ask(need=5, least=5), rows=(counter(DAY, spent=1000, told="[50,80,100]"),))[1] == {}


def test_a_lease_is_renewed_while_it_holds_something_or_a_call_is_under_way() -> None:
    held = (counter(DAY, spent=0, out=9), lease("me", day=(0, 9)))
    assert set(done(ask(), rows=held)[1]) == {"l|me"}
    empty = (counter(DAY, spent=9, out=0), lease("me", day=(9, 0)))
    assert set(done(ask(), rows=empty)[1]) == set()
    assert set(done(ask(), rows=empty, renew=True)[1]) == {"l|me"}


def test_who_goes_gives_all_back_and_leaves_no_lease() -> None:
    rows = (counter(DAY, spent=1, out=9), lease("me", day=(1, 9)))
    outcome, writes = done(ask(report=Report(((0, 4),), 4), back=5, want=50), rows=rows, final=True)
    assert writes[DAY].values == {"spent": 5, "out": 0}
    assert (writes["l|me"].action, outcome.outs) == (Action.DELETE, {DAY: 0})


def test_a_threshold_is_announced_in_the_transaction_that_crosses_it_and_never_again() -> None:
    report = Report(((0, 801),), 801)
    _, writes = done(ask(report=report), rows=(counter(DAY, out=900), lease("me", day=(0, 900))))
    assert {row for row in writes if row.startswith("a|")} == {"a|tokens.day|2026-11-22|50", "a|tokens.day|2026-11-22|80"}
    assert writes["a|tokens.day|2026-11-22|80"].values == {
        "at": UTC, "spent": 801, "limit": 1000, "percent": 80, "mode": "enforce", "scope": "product", "source": "product",
        "delivered": False,
    }  # fmt: skip
    told = counter(DAY, **writes[DAY].values)
    assert not any(row.startswith("a|") for row in done(ask(report=Report(((0, 5),), 5)), rows=(told, lease("me", day=(801, 99))))[1])


def test_a_refusal_is_announced_as_all_of_it_unless_the_call_could_never_fit() -> None:
    rows = (counter(DAY, spent=990, told="[50,80]"),)
    assert "a|tokens.day|2026-11-22|100" in done(ask(need=20, least=20), rows=rows)[1]
    assert done(ask(need=2000, least=2000, possible=False), rows=rows)[1] == {}


def test_a_soft_limit_is_announced_when_it_is_really_reached() -> None:
    soft = msgspec.structs.replace(OF_DAY, mode=Mode.SOFT)
    rows = (counter(DAY, spent=990, told="[50,80]"),)
    assert done(ask(ceiling=soft, need=20, least=20), rows=rows)[1] == {}
    _, writes = done(ask(ceiling=soft, report=Report(((0, 20),), 20)), rows=rows)
    assert writes["a|tokens.day|2026-11-22|100"].values["mode"] == "soft"
    assert writes[DAY].values["spent"] == 1010
