"""The Blobs Protocol, over a folder and over Blob Storage's emulator."""

import asyncio
import itertools
import secrets

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.adapters.blobs_files import FileBlobs
from gateway.domain.tables import EntityExists
from gateway.errors import NotFound, RequestError, StoreUnavailable

FEW = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
SERIAL = itertools.count()
RUN = secrets.token_hex(4)

SEGMENTS = st.text(
    st.one_of(
        st.sampled_from("aAzZ09-_.~%+=@ 'éﬀ日"),
        st.characters(min_codepoint=0x20, max_codepoint=0xFFFD, exclude_categories=["Cs", "Cc"], exclude_characters="/\\"),
    ),
    min_size=1,
    max_size=6,
).filter(lambda text: not text.endswith("."))
NAMES = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)

ODD = [
    "plain.json",
    "a/b/c.json",
    "UPPER",
    "upper",
    "100% sure?#&+=;,@:'\"<>|*",
    "..a/...b",
    ".hidden",
    "%2e%2e/%2f",
    "~",
    "CON",
    " space ",
    "日本語/😀",
    "é",
    "e\u0301",
    "x" * 255,
    "😀" * 300,
    "long/" * 200 + "end",
]


@pytest.mark.parametrize("name", ODD)
async def test_returns_a_blob_under_any_name(blobs, container, name):
    for other in ODD:
        if other != name:
            await blobs.put(container, other, b"other")
    await blobs.put(container, name, b"\x00data")
    assert await blobs.get(container, name) == b"\x00data"
    assert sorted(await blobs.list(container)) == sorted(ODD)
    assert await blobs.delete(container, name)
    assert sorted(await blobs.list(container)) == sorted(set(ODD) - {name})


@pytest.mark.parametrize(
    "name", ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../../b", "a/.", "a.", "a\\b", "a\nb", "\0", "\ud800", "x" * 1025]
)
async def test_refuses_a_name_that_would_not_stay_what_it_is(blobs, container, name):
    for call in (blobs.put(container, name, b""), blobs.get(container, name), blobs.delete(container, name)):
        with pytest.raises(RequestError):
            await call


@pytest.mark.parametrize("container", ["ab", "Upper", "a--b", "-ab", "ab-", "a_b", "../..", "x" * 64, "abc\n"])
async def test_refuses_a_container_name_that_the_service_would_refuse(blobs, container):
    for call in (blobs.put(container, "n", b""), blobs.get(container, "n"), blobs.delete(container, "n"), blobs.list(container)):
        with pytest.raises(RequestError):
            await call


async def test_finds_nothing_in_a_container_that_nobody_made(blobs, container):
    with pytest.raises(NotFound):
        await blobs.get(container, "name")
    assert await blobs.delete(container, "name") is False
    assert await blobs.list(container) == []


async def test_finds_nothing_under_a_name_that_nobody_used(blobs, container):
    await blobs.put(container, "name", b"")
    with pytest.raises(NotFound):
        await blobs.get(container, "other")
    assert await blobs.delete(container, "other") is False
    assert await blobs.get(container, "name") == b""


async def test_put_replaces_and_changes_the_etag(blobs, container):
    first = await blobs.put(container, "name", b"one", content_type="application/json")
    second = await blobs.put(container, "name", b"one")
    await blobs.put(container, "name", b"three")
    assert await blobs.get(container, "name") == b"three"
    assert first != second


async def test_put_leaves_a_blob_that_it_must_not_overwrite(blobs, container):
    await blobs.put(container, "name", b"one", overwrite=False)
    with pytest.raises(EntityExists):
        await blobs.put(container, "name", b"two", overwrite=False)
    assert await blobs.get(container, "name") == b"one"


async def test_one_of_many_puts_that_must_not_overwrite_wins(blobs, container):
    outcomes = await asyncio.gather(*(blobs.put(container, "name", bytes([n]), overwrite=False) for n in range(8)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["EntityExists"] * 7 + ["str"]
    (winner,) = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, str)]
    assert await blobs.get(container, "name") == bytes([winner])


async def test_a_reader_sees_a_whole_blob_while_others_write(blobs, container):
    contents = [bytes([number]) * 300_000 for number in range(6)]
    await blobs.put(container, "name", contents[0])
    writes = asyncio.gather(*(blobs.put(container, "name", content) for content in contents))
    while not writes.done():
        assert await blobs.get(container, "name") in contents
    await writes


@FEW
@given(names=st.lists(NAMES, unique=True, min_size=1, max_size=8), limit=st.integers(1, 4))
async def test_the_pages_of_a_list_hold_each_name_once_and_in_order(blobs, names, limit):
    container = f"c-{RUN}-{next(SERIAL)}"
    for name in names:
        await blobs.put(container, name, b"")
    found, after = [], None
    while page := await blobs.list(container, limit=limit, after=after):
        assert len(page) <= limit
        found += page
        after = page[-1]
    assert found == sorted(names)


async def test_lists_the_names_with_a_prefix(blobs, container):
    for name in ("jobs/1/in", "jobs/1/out", "jobs/10/in", "jobs/2/in", "job", "Jobs/1/in"):
        await blobs.put(container, name, b"")
    assert await blobs.list(container, "jobs/1/") == ["jobs/1/in", "jobs/1/out"]
    assert await blobs.list(container, "jobs/1", after="jobs/1/in", limit=1) == ["jobs/1/out"]
    assert await blobs.list(container, "none") == []


async def test_a_folder_holds_no_half_written_blob_and_nothing_outside(tmp_path):
    blobs = FileBlobs(str(tmp_path / "made"))
    for name in ODD:
        await blobs.put("container", name, b"x")
        with pytest.raises(EntityExists):
            await blobs.put("container", name, b"y", overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["container"]
    files = list((tmp_path / "made" / "container").iterdir())
    assert all(path.is_file() and path.name.isascii() and len(path.name) < 255 and not path.name.endswith(".tmp") for path in files)
    assert len({path.name.lower() for path in files}) == len(files)


async def test_a_folder_that_cannot_be_used_is_an_unavailable_store(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    blobs = FileBlobs(str(tmp_path / "file"))
    for call in (blobs.put("container", "n", b""), blobs.get("container", "n"), blobs.delete("container", "n"), blobs.list("container")):
        with pytest.raises(StoreUnavailable) as caught:
            await call
        assert str(tmp_path) not in str(caught.value)
