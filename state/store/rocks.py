"""Rows in RocksDB: state larger than memory, which a restart finds again on disk.

One database a worker, a column family a table; keys begin with their partition. Rows stand in the same write batch
as the position in the changelog that they bring about, so that after a crash the two are of one moment and only the
changelog's tail is read. The database is a copy: what is damaged or too old is deleted and read from the changelog.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar, cast

import msgspec
from rocksdict import (
    BlockBasedOptions,
    Cache,
    ColumnFamily,
    DBCompressionType,
    Options,
    Rdict,
    RdictIter,
    ReadOptions,
    WriteBatch,
)

from afresh.state.store.rows import TOMBSTONES_MS, Position, StoreError, Written

logger = logging.getLogger(__name__)

T = TypeVar("T")

LAYOUT_VERSION = 1

KEPT_MS = TOMBSTONES_MS - 4 * 3_600_000
"""Age from which rows are too old: tombstones written since may be gone, and rows that were deleted meanwhile would
stay for ever. The difference is for clocks."""

CACHE_BYTES = 128 * 1024 * 1024
"""Blocks read, of all tables."""

WRITE_BUFFER_BYTES = 32 * 1024 * 1024
"""Rows written, of each table, before they go to a file; twice as much for all tables together."""

BLOOM_BITS = 10
"""Bits a key of the filters that spare a read for absent keys: one in a hundred is read in vain."""

DAMAGED = "DAMAGED"
"""File that tells the next start to delete a database in which a read found damage."""

POSITIONS = "default"
"""Column family of the positions: the one that batches write to unless told otherwise."""

LOCKED = "/LOCK"
SURROUNDINGS = ("No space left", "Permission denied", "Read-only file system", "Too many open files")
"""Errors that deleting the database would not end."""


class _Kept(msgspec.Struct, array_like=True):
    """Position as it stands on disk."""

    version: int
    offset: int
    time: int


_decoder = msgspec.msgpack.Decoder(_Kept)
_encode = msgspec.msgpack.Encoder().encode


class RocksStore:
    """The database of a worker.

    Parameters
    ----------
    folder
        Where it is; made if need be.
    tables
        Names of the tables.

    Attributes
    ----------
    families
        Column family of each table.

    Raises
    ------
    StoreError
        When another process uses the folder, its disk is full or read-only, or a newer program wrote it.
    """

    def __init__(self, folder: Path, tables: Sequence[str]) -> None:
        self.folder = folder
        self._tables = tables
        self._db = self._open()
        self.families = {table: self._db.get_column_family(table) for table in tables}
        self._drop_old()

    def partitions(self, table: str) -> RocksPartitions:
        """Rows of a table."""
        return RocksPartitions(self, table)

    def close(self) -> None:
        """Let go of the folder."""
        for family in self.families.values():
            family.close()
        self._db.close()

    def _open(self) -> Rdict:
        damaged = self.folder / DAMAGED
        try:
            db = self._connect()
            if not damaged.exists():
                return db
            db.close()
            problem = "a read found damage"
        except Exception as error:
            problem = str(error)
        if LOCKED in problem:
            raise StoreError(
                f"Another process uses {self.folder}; give every worker an AFRESH_DATA_DIR of its own."
            )
        if any(words in problem for words in SURROUNDINGS):
            raise StoreError(
                f"{self.folder} can not be opened ({problem}); mend that, or set AFRESH_DATA_DIR."
            )
        logger.warning(
            "%s can not be used (%s): deleted, to be rebuilt from the changelogs", self.folder, problem
        )
        shutil.rmtree(self.folder)
        return self._connect()

    def _connect(self) -> Rdict:
        self.folder.mkdir(parents=True, exist_ok=True)
        # One cache and one set of buffers for all tables.
        options = _options()
        return Rdict(str(self.folder), options, dict.fromkeys([POSITIONS, *self._tables], options))

    def _drop_old(self) -> None:
        """Delete the rows of partitions that have been elsewhere for too long: they would only take room."""
        for place in list(self._db.keys()):
            table, _, partition = cast(bytes, place).decode().rpartition("/")
            if table in self.families:
                RocksRows(self, table, int(partition))

    def position(self, place: bytes) -> Position | None:
        """Position that is kept for a partition.

        Raises
        ------
        StoreError
            When a newer version of this program wrote it.
        """
        packed = self.explained(lambda: self._db.get(place))
        if packed is None:
            return None
        kept = _decoder.decode(packed)
        if kept.version > LAYOUT_VERSION:
            raise StoreError(
                f"{self.folder} has layout {kept.version}; this program knows {LAYOUT_VERSION}: use the newer "
                "program, or delete the folder."
            )
        return Position(kept.offset, kept.time)

    def batch(self, table: str, place: bytes, position: Position | None) -> tuple[WriteBatch, ColumnFamily]:
        """Begin a write of a table's rows, together with the position that they bring about."""
        batch = WriteBatch(raw_mode=True)
        if position is None:
            batch.delete(place)
        else:
            batch.put(place, _encode(_Kept(LAYOUT_VERSION, position.offset, position.time)))
        # Handles keep the database open: none is held for longer than a write.
        return batch, self._db.get_column_family_handle(table)

    def write(self, batch: WriteBatch) -> None:
        """Write all of a batch or nothing."""
        self.explained(lambda: self._db.write(batch))

    def explained(self, act: Callable[[], T]) -> T:
        """Do something with the database; its errors, which have no type of their own, become ours."""
        try:
            return act()
        except Exception as error:
            raise self.failed(error) from error

    def failed(self, error: Exception) -> StoreError:
        """Error that says what happened and what to do; notes damage for the next start."""
        problem = str(error)
        if "Corruption" in problem:
            (self.folder / DAMAGED).touch()
            return StoreError(
                f"{self.folder} is damaged ({problem}); start again: it is then rebuilt from the changelogs."
            )
        return StoreError(
            f"{self.folder} can not be used ({problem}); free some space or mend the disk, or set AFRESH_DATA_DIR, "
            "and start again: nothing is lost, the changelogs have it all."
        )


class RocksPartitions(dict[int, "RocksRows"]):
    """Rows of a table in RocksDB; those of partitions that moved away stay on disk, since they may come back."""

    def __init__(self, store: RocksStore, table: str) -> None:
        super().__init__()
        self._store = store
        self._table = table

    def __missing__(self, partition: int) -> RocksRows:
        rows = self[partition] = RocksRows(self._store, self._table, partition)
        return rows

    def keep_only(self, partitions: Collection[int]) -> None:
        """Let go of all other partitions, but for their files."""
        for partition in self.keys() - set(partitions):
            del self[partition]

    def count_rows(self) -> int:
        """Rows of the table on disk, as RocksDB estimates them: to count them is to read them all."""
        return self._store.families[self._table].property_int_value("rocksdb.estimate-num-keys") or 0


class RocksRows:
    """Rows of one partition of a table in RocksDB."""

    def __init__(self, store: RocksStore, table: str, partition: int) -> None:
        self._store = store
        self._table = table
        self._family = store.families[table]
        self._prefix = partition.to_bytes(2, "big")
        self._place = f"{table}/{partition}".encode()
        # Kept, since iterators look at the bytes of the bound that lie in here.
        self._until = ReadOptions()
        self._until.set_iterate_upper_bound(_after(self._prefix))
        self.position = store.position(self._place)
        if self.position is None or self.position.time < time.time() * 1000 - KEPT_MS:
            self.forget()

    def get(self, key: bytes, /) -> bytes | None:
        """Row of a key."""
        try:
            row: bytes | None = self._family.get(self._prefix + key)
        except Exception as error:
            raise self._store.failed(error) from error
        return row

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys and their rows."""
        return ((at.key()[len(self._prefix) :], at.value()) for at in self._every(self._first()))

    def keys_now(self) -> Iterator[bytes]:
        """Keys as of now, whatever is written while they are gone through."""
        return (at.key()[len(self._prefix) :] for at in self._every(self._first()))

    def _every(self, at: RdictIter) -> Iterator[RdictIter]:
        """Stop at every row, and raise at the end if it was not the last one."""
        while at.valid():
            yield at
            at.next()
        self._store.explained(at.status)

    def _first(self) -> RdictIter:
        """Iterator at the first key, of a moment.

        It is not that of rocksdict's own items(), which at a damaged block ends as if all were read.
        """
        at = self._family.iter(self._until)
        at.seek(self._prefix)
        return at

    def write(self, written: Iterable[Written], position: Position | None) -> None:
        """Write rows and the position that they bring about, together or not at all."""
        batch, family = self._store.batch(self._table, self._place, position)
        for key, row in written:
            if row is None:
                batch.delete(self._prefix + key, family)
            else:
                batch.put(self._prefix + key, row, family)
        self._store.write(batch)
        self.position = position

    def forget(self) -> None:
        """Delete all rows and the position."""
        batch, family = self._store.batch(self._table, self._place, None)
        batch.delete_range(self._prefix, _after(self._prefix), family)
        self._store.write(batch)
        self.position = None


def _after(prefix: bytes) -> bytes:
    """First key after all that begin with a prefix."""
    return (int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix), "big")


def _options() -> Options:
    blocks = BlockBasedOptions()
    blocks.set_block_cache(Cache(CACHE_BYTES))
    blocks.set_bloom_filter(BLOOM_BITS, block_based=False)
    blocks.set_cache_index_and_filter_blocks(True)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_db_write_buffer_size(2 * WRITE_BUFFER_BYTES)
    options.set_max_total_wal_size(4 * WRITE_BUFFER_BYTES)
    options.set_keep_log_file_num(2)
    return options
