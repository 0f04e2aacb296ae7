import datetime

from hypothesis import given
from hypothesis import strategies as st

from gateway.metering.scan import MAX_PIECES, _ranges, scan
from tests.fakes.tables import FakeTables

UTC = datetime.UTC
AT = datetime.datetime(2026, 1, 31, 12, tzinfo=UTC)
moments = st.integers(-3 * 24 * 60, 3 * 24 * 60).map(lambda minutes: AT + datetime.timedelta(minutes=minutes))


@given(moments, moments, st.lists(st.tuples(moments, st.sampled_from(["a", "ab", "b"]), st.sampled_from("0f")), max_size=30), st.booleans())
async def test_every_record_of_the_span_is_read_exactly_once_and_hardly_another(
    start: datetime.datetime, below: datetime.datetime, made: list[tuple[datetime.datetime, str, str]], one_tenant: bool
) -> None:
    tables = FakeTables()
    for number, (at, tenant, shard) in enumerate(made):
        await tables.upsert("usage", f"{at.isoformat()[:13]}|{tenant}|{shard}", f"{number:03}", {"at": at})
    tenant = "a" if one_tenant else None
    read = [entity.row async for page in scan(tables, start, below, tenant) for entity in page]
    assert len(read) == len(set(read))
    whose = [(f"{number:03}", at) for number, (at, name, _) in enumerate(made) if tenant in (None, name)]
    assert {row for row, at in whose if start <= at < below} <= set(read)
    hour = datetime.timedelta(hours=1)
    assert set(read) <= {row for row, at in whose if start - hour < at < below + hour}


def test_a_span_without_end_is_read_as_one() -> None:
    first, last = datetime.datetime.min.replace(tzinfo=UTC), datetime.datetime.max.replace(tzinfo=UTC)
    assert list(_ranges(first, last, None)) == [("0001-01-01T00|", "9999-12-31T23|~")]
    assert len(list(_ranges(AT, AT + datetime.timedelta(hours=MAX_PIECES), "a"))) == MAX_PIECES
    assert len(list(_ranges(AT, AT + datetime.timedelta(hours=MAX_PIECES + 1), "a"))) == 1
    assert list(_ranges(last - datetime.timedelta(minutes=1), last, "a")) == [("9999-12-31T23|a|", "9999-12-31T23|a|~")]
    assert list(_ranges(last - datetime.timedelta(minutes=1), last, None)) == [("9999-12-31T23|", "9999-12-31T23|~")]
    assert list(_ranges(last, first, None)) == []
