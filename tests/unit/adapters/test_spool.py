import fcntl
import logging
import os
import pathlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.spool import FILE_BYTES, FileSpool, frame, unframe

MIB = 1024 * 1024
ROOT = pathlib.Path(__file__).parents[3]


def spool(folder: pathlib.Path, max_bytes: int = 10 * MIB, store: str = "a") -> FileSpool:
    return FileSpool(str(folder / "spool"), store, max_bytes)


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted((folder / "spool").iterdir())


async def drain(one: FileSpool) -> list[bytes]:
    found: list[bytes] = []
    while (taken := await one.take()) is not None:
        found += taken[1]
        await one.done(taken[0])
    return found


async def test_entries_come_back_in_order_until_they_are_done_with(tmp_path: pathlib.Path) -> None:
    one = spool(tmp_path)
    assert await one.take() is None
    assert not (tmp_path / "spool").exists()
    assert await one.append([b"a", b"b"]) == 2
    assert await one.append([b"c"]) == 1
    taken = await one.take()
    assert taken is not None
    assert taken[1] == [b"a", b"b", b"c"]
    assert await one.take() == taken
    assert await one.append([b"d"]) == 1  # not into what is being brought in
    await one.done(taken[0])
    assert await drain(one) == [b"d"]
    assert files(tmp_path) == []
    await one.close()
    await one.close()


async def test_what_a_living_process_holds_is_its_own_and_what_it_lets_go_is_anybodys(tmp_path: pathlib.Path) -> None:
    first, second = spool(tmp_path), spool(tmp_path)
    await first.append([b"mine"])
    assert await second.take() is None
    await first.close()
    assert await drain(second) == [b"mine"]
    await second.close()


async def test_entries_for_another_store_are_let_alone_but_take_their_room(tmp_path: pathlib.Path) -> None:
    first, second = spool(tmp_path), spool(tmp_path, MIB, store="b")
    await first.append([b"x" * (MIB // 2)])
    await first.close()
    assert await second.take() is None
    assert await second.append([b"y" * (MIB // 4)] * 4) == 1
    await second.close()


async def test_what_was_taken_and_not_done_with_is_found_by_the_next(tmp_path: pathlib.Path) -> None:
    first, second, third = spool(tmp_path), spool(tmp_path), spool(tmp_path)
    await first.append([b"x"])
    await first.close()
    assert await second.take() is not None
    assert await third.take() is None
    await second.close()
    assert await drain(third) == [b"x"]
    await third.close()


async def test_a_file_cut_at_any_byte_gives_all_that_was_whole_before_the_cut(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    entries = [b"first", b"2", bytes(300), b"the last one"]
    one = spool(tmp_path)
    await one.append(entries)
    await one.close()
    (path,) = files(tmp_path)
    data = path.read_bytes()
    ends = [sum(8 + len(entry) for entry in entries[:count]) for count in range(len(entries) + 1)]
    assert ends[-1] == len(data)
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        following = spool(tmp_path)
        caplog.clear()
        assert await drain(following) == entries[: sum(end <= cut for end in ends) - 1]
        assert ("never confirmed" in caplog.text) == (cut not in ends)
        await following.close()
        assert not path.exists()


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.integers(0, 2**31), st.binary(min_size=1, max_size=1))
def test_a_byte_that_was_turned_makes_no_entry_that_never_was(entries: list[bytes], at: int, byte: bytes) -> None:
    data = b"".join(map(frame, entries))
    place = at % max(len(data), 1)
    found, whole = unframe(data[:place] + byte + data[place + 1 :])
    assert found == entries[: len(found)]
    assert whole == sum(8 + len(entry) for entry in found)


def test_zeros_at_the_end_are_no_entries() -> None:
    assert unframe(frame(b"x") + bytes(100)) == ([b"x"], 9)


async def test_files_stay_small_and_all_together_within_the_bound(tmp_path: pathlib.Path) -> None:
    first, second = spool(tmp_path), spool(tmp_path)
    assert await first.append([b"x" * MIB] * 5) == 5
    assert await first.append([b"x" * MIB] * 4) == 4
    assert [path.stat().st_size >= FILE_BYTES for path in files(tmp_path)] == [True, True]
    assert await second.append([b"y" * (MIB // 2)] * 3) == 1
    assert await first.append([b"z" * MIB]) == 0
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 10 * MIB
    assert len(await drain(first)) == 9
    assert await first.append([b"z" * MIB] * 9) == 9
    await first.close()
    await second.close()


async def test_a_folder_that_others_can_enter_is_not_used(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    one = spool(tmp_path)
    (tmp_path / "spool").mkdir(mode=0o755)
    with caplog.at_level(logging.ERROR):
        assert [await one.append([b"x"]), await one.append([b"x"])] == [0, 0]
        assert await one.take() is None
    assert len(caplog.records) == 1
    assert "mode 700" in caplog.text
    (tmp_path / "spool").rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "spool").symlink_to(tmp_path / "elsewhere")
    assert await one.append([b"x"]) == 0
    (tmp_path / "spool").unlink()
    assert await one.append([b"x"]) == 1
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "spool", *files(tmp_path))] == [0o700, 0o600]
    await one.close()


async def test_an_append_that_fails_half_way_leaves_nothing_of_itself(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = spool(tmp_path)
    assert await one.append([b"before"]) == 1
    write = os.write

    def broken(descriptor: int, data: memoryview) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:20])

    monkeypatch.setattr(os, "write", broken)
    assert await one.append([b"lost" * 10]) == 0
    monkeypatch.undo()
    assert [path.read_bytes() for path in files(tmp_path)] == [frame(b"before")]
    assert await one.append([b"after"]) == 1
    assert sorted(await drain(one)) == [b"after", b"before"]
    await one.close()


async def test_a_file_that_cannot_be_read_or_removed_stops_nobody(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    one, two = spool(tmp_path), spool(tmp_path)
    await one.append([b"x"])
    (tmp_path / "spool" / "a-0-folder.spool").mkdir()
    (tmp_path / "spool" / "a-0-link.spool").symlink_to(tmp_path / "nothing")
    await one.close()
    assert await drain(two) == [b"x"]
    assert "cannot be read" in caplog.text
    await two.close()


async def test_a_file_that_another_takes_before_it_is_locked_is_let_go(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lock = fcntl.flock

    def late(descriptor: int, how: int) -> None:
        monkeypatch.undo()
        for path in files(tmp_path):
            path.unlink()
        lock(descriptor, how)

    one = spool(tmp_path)
    monkeypatch.setattr(fcntl, "flock", late)
    assert await one.append([b"x"]) == 1
    assert await drain(one) == [b"x"]
    await one.append([b"y"])
    await one.close()
    following = spool(tmp_path)
    monkeypatch.setattr(fcntl, "flock", late)
    assert await following.take() is None  # whoever removed it has brought it in
    assert caplog.text == ""
    await following.close()


WRITER = """
import asyncio, sys
from gateway.adapters.spool import FileSpool

async def main():
    spool = FileSpool(sys.argv[1], "a", 1 << 30)
    number = 0
    while True:
        kept = await spool.append([b"%d" % (number + each) for each in range(7)])
        number += kept
        print(number, flush=True)

asyncio.run(main())
"""


async def test_a_kill_loses_nothing_that_was_confirmed_and_leaves_nothing_that_stays(tmp_path: pathlib.Path) -> None:
    confirmed = []
    for round_ in range(3):
        writer = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs here
            [sys.executable, "-c", WRITER, str(tmp_path / "spool")], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(3 + 5 * round_):
            writer.stdout.readline()
        other = spool(tmp_path)
        assert await drain(other) == []  # as long as it lives
        await other.close()
        writer.kill()
        said = writer.stdout.read().split()
        writer.wait()
        writer.stdout.close()
        confirmed.append(int(said[-1]) if said else 7 * (3 + 5 * round_))
        following = spool(tmp_path)
        found = await drain(following)
        assert found == [b"%d" % number for number in range(len(found))]
        assert len(found) >= confirmed[-1]
        await following.close()
    assert files(tmp_path) == []
