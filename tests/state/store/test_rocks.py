from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import randbytes
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from afresh.state.store import rocks
from afresh.state.store.rocks import RocksStore
from afresh.state.store.rows import MemoryPartitions, MemoryRows, Partitions, Position, StoreError

NOW = 1_800_000_000_000
HERE = Position(41, NOW)

TABLES = ["users", "content"]

keys = st.sampled_from([b"", b"a", b"b", b"\0", b"\xff", b"\xff\xff", b"a longer key"])
batches = st.lists(st.tuples(keys, st.none() | st.binary(max_size=4)), max_size=5)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 2), batches),
        st.tuples(st.sampled_from(["forget", "leave"]), st.integers(0, 2)),
        st.tuples(st.just("start again")),
    ),
    max_size=12,
)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW / 1000)


@pytest.fixture
def store(tmp_path: Path) -> RocksStore:
    return RocksStore(tmp_path / "rows", TABLES)


def kept(partitions: Partitions, count: int = 3) -> dict[int, tuple[dict[bytes, bytes], int | None]]:
    """Return the rows of each partition, and the offset of their position."""
    found = {}
    for partition in range(count):
        rows = partitions[partition]
        found[partition] = dict(rows.items()), rows.position and rows.position.offset
    return found


def killed(folder: Path, *lines: str) -> str:
    """Run lines in a process that ends as if killed, so that RocksDB does not tidy up; return its stderr."""
    before = [
        "import os, resource, signal, sys, traceback",
        "from pathlib import Path",
        "from afresh.state.store.rocks import RocksStore",
        "from afresh.state.store.rows import Position",
        f"NOW = {NOW}",
        "try:",
        f"    rows = RocksStore(Path({str(folder)!r}), {TABLES}).partitions('users')[0]",
    ]
    after = ["except Exception:", "    traceback.print_exc()", "    sys.stderr.flush()", "os._exit(9)"]
    code = "\n".join([*before, *(f"    {line}" for line in lines), *after])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stderr


def again(store: RocksStore) -> RocksStore:
    store.close()
    return RocksStore(store.folder, TABLES)


@pytest.mark.slow
@given(steps)
@limits(max_examples=25)
def test_rows_on_disk_equal_rows_in_memory_after_any_writes_and_restarts(
    done: list[Any],
) -> None:
    with TemporaryDirectory() as folder:
        store = RocksStore(Path(folder) / "rows", TABLES)
        disk, memory = store.partitions("users"), MemoryPartitions()
        for number, (what, *rest) in enumerate(done):
            match what, *rest:
                case "write", partition, batch:
                    for partitions in (disk, memory):
                        partitions[partition].write(batch, Position(number, NOW))
                case "forget", partition:
                    for partitions in (disk, memory):
                        partitions[partition].forget()
                case "leave", partition:
                    # Memory would drop the rows, but files stay: the partition may come back.
                    disk.keep_only({0, 1, 2} - {partition})
                case _:
                    store = again(store)
                    disk = store.partitions("users")
            assert kept(disk) == kept(memory)
            for partition in range(3):
                for key in (b"", b"a", b"\xff\xff", b"nobody"):
                    assert disk[partition].get(key) == memory[partition].get(key)
        assert list(store.partitions("content")[0].items()) == []
        store.close()


def test_memory_drops_the_rows_of_a_partition_that_leaves() -> None:
    memory = MemoryPartitions()
    memory[0].write([(b"a", b"1")], HERE)
    memory.keep_only({1})
    assert memory == {}
    assert memory[0].position is None


def test_rows_are_counted_without_partition_rows(store: RocksStore) -> None:
    memory = MemoryPartitions({0: MemoryRows({b"": b"own", b"a": b"1"}), 1: MemoryRows({b"b": b"1"})})
    assert memory.count_rows() == 2
    users = store.partitions("users")
    users[0].write([(b"%d" % number, b"row") for number in range(100)], HERE)
    assert 90 <= users.count_rows() <= 110


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_one_who_takes_hours_meets_each_key_once_and_holds_no_iterator(
    store: RocksStore, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rocks, "KEYS_AT_ONCE", 2)
    users = store.partitions("users")
    for partition in range(3):
        users[partition].write([(bytes(number), b"1") for number in range(count)], HERE)
    begun: list[bytes] = []
    first = users[1]._first

    def note(start: bytes) -> Any:
        begun.append(start)
        return first(start)

    monkeypatch.setattr(users[1], "_first", note)
    assert list(users[1].keys_slowly()) == [bytes(number) for number in range(count)]
    assert len(begun) == count // 2 + 1


def test_rows_written_without_a_position_are_gone_at_the_next_start(store: RocksStore) -> None:
    """Without a position nobody knows up to which offset they are complete."""
    store.partitions("users")[0].write([(b"a", b"1")], None)
    assert kept(again(store).partitions("users"), 1) == {0: ({}, None)}


@pytest.mark.parametrize(("hours", "offset"), [(19, 41), (21, None)])
def test_rows_older_than_the_oldest_sure_tombstone_are_dropped(
    store: RocksStore, hours: int, offset: int | None
) -> None:
    """A row deleted meanwhile would stay for ever, because its tombstone may be gone from the changelog."""
    position = Position(41, NOW - hours * 3_600_000)
    store.partitions("users")[0].write([(b"a", b"1")], position)
    store = again(store)
    assert kept(store.partitions("users"), 1)[0][1] == offset
    assert bool(list(store._db.keys())) == (offset is not None)


def test_a_second_process_is_refused_with_advice(store: RocksStore) -> None:
    said = killed(store.folder)
    assert f"Another process uses {store.folder}; give every worker an AFRESH_DATA_DIR of its own." in said
    store.partitions("users")[0].write([(b"a", b"1")], HERE)
    assert kept(again(store).partitions("users"), 1)[0] == ({b"a": b"1"}, 41)


def damage(folder: Path, how: str) -> None:
    table = max(folder.glob("*.sst"), key=lambda file: file.stat().st_size)
    match how:
        case "a table cut short":
            table.write_bytes(table.read_bytes()[: table.stat().st_size // 2])
        case "a table gone":
            table.unlink()
        case "no manifest":
            for file in folder.glob("MANIFEST-*"):
                file.unlink()
        case "nonsense":
            (folder / "CURRENT").write_bytes(b"\0nonsense")


def fill(store: RocksStore, offset: int = 41) -> None:
    rows = [(b"%d" % number, randbytes(500)) for number in range(1000)]
    store.partitions("users")[0].write(rows, Position(offset, NOW))
    store.families["users"].flush()


@pytest.mark.parametrize("how", ["a table cut short", "a table gone", "no manifest", "nonsense"])
def test_a_database_that_cannot_be_read_is_deleted_with_a_warning(
    store: RocksStore, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    fill(store)
    store.close()
    damage(store.folder, how)
    store = RocksStore(store.folder, TABLES)
    assert kept(store.partitions("users"), 1) == {0: ({}, None)}
    assert "deleted, to be rebuilt from the changelogs" in caplog.text
    fill(store)
    assert len(kept(again(store).partitions("users"), 1)[0][0]) == 1000


def test_a_log_cut_short_loses_the_last_rows_together_with_their_position(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    killed(folder, *(f"rows.write([(b'{n}', bytes(1000))], Position({n}, NOW))" for n in range(10)))
    log = max(folder.glob("*.log"))
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    rows, offset = kept(RocksStore(folder, TABLES).partitions("users"), 1)[0]
    assert offset is not None
    assert 0 < offset < 9
    assert sorted(rows) == [b"%d" % number for number in range(offset + 1)]


def test_a_killed_process_has_kept_everything_that_it_wrote(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    killed(
        folder, "rows.write([(b'a', b'1')], Position(1, NOW))", "rows.write([(b'a', b'2')], Position(2, NOW))"
    )
    assert kept(RocksStore(folder, TABLES).partitions("users"), 1)[0] == ({b"a": b"2"}, 2)


def test_damage_found_by_a_read_is_an_error_and_the_next_start_rebuilds(store: RocksStore) -> None:
    fill(store)
    store.close()
    table = max(store.folder.glob("*.sst"), key=lambda file: file.stat().st_size)
    content = bytearray(table.read_bytes())
    content[10] ^= 0xFF
    table.write_bytes(content)
    store = RocksStore(store.folder, TABLES)
    with pytest.raises(StoreError, match=r"is damaged .*start again: it is then rebuilt from the changelogs"):
        list(store.partitions("users")[0].items())
    with pytest.raises(StoreError, match="is damaged"):
        store.partitions("users")[0].get(b"0")
    assert kept(again(store).partitions("users"), 1) == {0: ({}, None)}


def test_a_full_disk_is_an_error_with_advice_and_loses_nothing_written_before(
    tmp_path: Path,
) -> None:
    """A limit on the size of files stands for a full disk."""
    said = killed(
        tmp_path / "rows",
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
        "rows.write([(b'a', b'1')], Position(1, NOW))",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))",
        "rows.write([(b'b', bytes(1_000_000))], Position(2, NOW))",
    )
    assert "StoreError" in said
    assert "free some space or mend the disk, or set AFRESH_DATA_DIR" in said
    assert kept(RocksStore(tmp_path / "rows", TABLES).partitions("users"), 1)[0] == ({b"a": b"1"}, 1)


def test_a_folder_that_cannot_be_written_is_an_error_and_nothing_is_deleted(
    store: RocksStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)
    store.close()

    def full(self: RocksStore) -> None:
        raise Exception("IO error: No space left on device: While appending to file")  # noqa: TRY002 - rocksdict's own

    with monkeypatch.context() as patched:
        patched.setattr(RocksStore, "_connect", full)
        with pytest.raises(StoreError, match=r"No space left on device.*mend that, or set AFRESH_DATA_DIR"):
            RocksStore(store.folder, TABLES)
    assert len(kept(RocksStore(store.folder, TABLES).partitions("users"), 1)[0][0]) == 1000


def test_a_layout_of_a_newer_program_is_refused(store: RocksStore) -> None:
    store._db[b"users/0"] = msgspec.msgpack.encode([rocks.LAYOUT_VERSION + 1, 7, NOW])
    with pytest.raises(StoreError, match="has layout 2; this program knows 1: use the newer program"):
        again(store)
