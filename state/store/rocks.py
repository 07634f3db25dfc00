"""Rows in RocksDB: for state larger than memory, and for restarts that find the state on disk.

Each worker has one database, and each table a column family. Keys begin with their partition. Rows and their new
position in the changelog are in one write batch. So after a crash the two are of one moment, and only the end of the
changelog is read. The database is a copy: if it is damaged or too old, it is deleted and read from the changelog.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
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

from afresh.state.store.rows import TOMBSTONES_MS, DamagedError, Position, StoreError, Written

logger = logging.getLogger(__name__)

T = TypeVar("T")

LAYOUT_VERSION = 1

KEPT_MS = TOMBSTONES_MS - 4 * 3_600_000
"""Age from which rows are too old. Tombstones written since then may be gone from the changelog, and rows deleted
meanwhile would stay for ever. The four hours less than ``TOMBSTONES_MS`` allow for clocks that differ."""

CACHE_BYTES = 128 * 1024 * 1024
"""Size of the cache of blocks read, for all tables together."""

WRITE_BUFFER_BYTES = 32 * 1024 * 1024
"""Size of the buffer of each table; when it is full, its rows go to a file. All tables together have twice as much."""

BLOOM_BITS = 10
"""Bits for each key in the Bloom filters, which save reads of absent keys. One absent key in a hundred is still
read."""

DAMAGED = "DAMAGED"
"""Name of a file that tells the next start to delete the database, because a read found damage."""

POSITIONS = "default"
"""Column family of the positions. Batches write to it unless another one is given."""

KEYS_AT_ONCE = 1000
"""Keys that are read at once for a caller who takes hours. An iterator that lived so long would keep files from being
deleted."""

LOCKED = "/LOCK"
SURROUNDINGS = ("No space left", "Permission denied", "Read-only file system", "Too many open files")
"""Texts of errors that do not go away if the database is deleted."""


class _Kept(msgspec.Struct, array_like=True):
    """Position as it is stored on disk."""

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
        Folder of the database; made if it does not exist.
    tables
        Names of the tables.

    Attributes
    ----------
    families
        Column family of each table.

    Raises
    ------
    StoreError
        Another process uses the folder, the disk is full or read-only, or a newer program wrote the database.
    """

    def __init__(self, folder: Path, tables: Sequence[str]) -> None:
        self.folder = folder
        self._tables = tables
        self._db = self._open()
        self.families = {table: self._db.get_column_family(table) for table in tables}
        self._drop_old()

    def partitions(self, table: str) -> RocksPartitions:
        """Return the rows of a table."""
        return RocksPartitions(self, table)

    def close(self) -> None:
        """Close the database and release the folder."""
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
                f"{self.folder} cannot be opened ({problem}); mend that, or set AFRESH_DATA_DIR."
            )
        logger.warning(
            "%s cannot be used (%s): deleted, to be rebuilt from the changelogs", self.folder, problem
        )
        shutil.rmtree(self.folder)
        return self._connect()

    def _connect(self) -> Rdict:
        self.folder.mkdir(parents=True, exist_ok=True)
        # The same options for all: else every table would have a cache and buffers of its own.
        options = _options()
        return Rdict(str(self.folder), options, dict.fromkeys([POSITIONS, *self._tables], options))

    def _drop_old(self) -> None:
        """Delete the rows of partitions that have been elsewhere for too long: they would only take up space."""
        for position_key in list(self._db.keys()):
            table, _, partition = cast(bytes, position_key).decode().rpartition("/")
            if table in self.families:
                RocksRows(self, table, int(partition))

    def position(self, position_key: bytes) -> Position | None:
        """Return the stored position of a partition.

        Raises
        ------
        StoreError
            A newer version of this program wrote it.
        """
        packed = self.explained(lambda: self._db.get(position_key))
        if packed is None:
            return None
        kept = _decoder.decode(packed)
        if kept.version > LAYOUT_VERSION:
            raise StoreError(
                f"{self.folder} has layout {kept.version}; this program knows {LAYOUT_VERSION}: use the newer "
                "program, or delete the folder."
            )
        return Position(kept.offset, kept.time)

    def batch(
        self, table: str, position_key: bytes, position: Position | None
    ) -> tuple[WriteBatch, ColumnFamily]:
        """Begin a write of a table's rows together with their new position."""
        batch = WriteBatch(raw_mode=True)
        if position is None:
            batch.delete(position_key)
        else:
            batch.put(position_key, _encode(_Kept(LAYOUT_VERSION, position.offset, position.time)))
        # A handle keeps the database open, so none is held for longer than a write.
        return batch, self._db.get_column_family_handle(table)

    def write(self, batch: WriteBatch) -> None:
        """Write a whole batch, or nothing."""
        self.explained(lambda: self._db.write(batch))

    def explained(self, act: Callable[[], T]) -> T:
        """Do something with the database; turn its errors, which have no type of their own, into ours."""
        try:
            return act()
        except Exception as error:
            raise self.failed(error) from error

    def failed(self, error: Exception) -> StoreError:
        """Make the error that says what happened and what to do; note damage for the next start."""
        problem = str(error)
        if "Corruption" in problem:
            (self.folder / DAMAGED).touch()
            return DamagedError(
                f"{self.folder} is damaged ({problem}); start again: it is then rebuilt from the changelogs."
            )
        return StoreError(
            f"{self.folder} cannot be used ({problem}); free some space or mend the disk, or set AFRESH_DATA_DIR, "
            "and start again. Nothing is lost: the changelogs have all rows."
        )


class RocksPartitions(dict[int, "RocksRows"]):
    """Rows of a table in RocksDB. Rows of partitions that moved away stay on disk, because they may come back."""

    def __init__(self, store: RocksStore, table: str) -> None:
        super().__init__()
        self._store = store
        self._table = table

    def __missing__(self, partition: int) -> RocksRows:
        rows = self[partition] = RocksRows(self._store, self._table, partition)
        return rows

    def keep_only(self, partitions: Collection[int]) -> None:
        """Release all other partitions, but keep their files."""
        for partition in self.keys() - set(partitions):
            del self[partition]

    def count_rows(self) -> int:
        """Return how many rows the table has on disk, as RocksDB estimates it: an exact count would read all rows."""
        return self._store.families[self._table].property_int_value("rocksdb.estimate-num-keys") or 0


class RocksRows:
    """Rows of one partition of a table in RocksDB."""

    def __init__(self, store: RocksStore, table: str, partition: int) -> None:
        self._store = store
        self._table = table
        self._family = store.families[table]
        self._prefix = partition.to_bytes(2, "big")
        self._position_key = f"{table}/{partition}".encode()
        # Kept for the life of this object: iterators read the bytes of the bound, which are in here.
        self._until = ReadOptions()
        self._until.set_iterate_upper_bound(_after(self._prefix))
        self.position = store.position(self._position_key)
        if self.position is None or self.position.time < time.time() * 1000 - KEPT_MS:
            self.forget()

    def get(self, key: bytes, /) -> bytes | None:
        """Return the row of a key."""
        try:
            row: bytes | None = self._family.get(self._prefix + key)
        except Exception as error:
            raise self._store.failed(error) from error
        return row

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Return all keys and their rows."""
        return ((at.key()[len(self._prefix) :], at.value()) for at in self._every(self._first(self._prefix)))

    def keys_now(self) -> Iterator[bytes]:
        """Return all keys as of now. Rows may be written while the caller goes through them slowly."""
        return (at.key()[len(self._prefix) :] for at in self._every(self._first(self._prefix)))

    def keys_slowly(self) -> Iterator[bytes]:
        """Return all keys for a caller who takes hours; of those written or deleted meanwhile, some."""
        start = self._prefix
        while True:
            keys = [at.key() for at in islice(self._every(self._first(start)), KEYS_AT_ONCE)]
            yield from (key[len(self._prefix) :] for key in keys)
            if len(keys) < KEYS_AT_ONCE:
                return
            start = keys[-1] + b"\0"

    def _every(self, at: RdictIter) -> Iterator[RdictIter]:
        """Stop at every row; raise at the end if not all rows could be read."""
        while at.valid():
            yield at
            at.next()
        self._store.explained(at.status)

    def _first(self, start: bytes) -> RdictIter:
        """Make an iterator over the rows as of now, at the first key from ``start`` on.

        rocksdict's own items() would not do: at a damaged block it ends as if all rows were read.
        """
        at = self._family.iter(self._until)
        at.seek(start)
        return at

    def write(self, written: Iterable[Written], position: Position | None) -> None:
        """Write rows together with their new position, or nothing at all."""
        batch, family = self._store.batch(self._table, self._position_key, position)
        for key, row in written:
            if row is None:
                batch.delete(self._prefix + key, family)
            else:
                batch.put(self._prefix + key, row, family)
        self._store.write(batch)
        self.position = position

    def forget(self) -> None:
        """Delete all rows and the position; the changelog must then be read from its start."""
        batch, family = self._store.batch(self._table, self._position_key, None)
        batch.delete_range(self._prefix, _after(self._prefix), family)
        self._store.write(batch)
        self.position = None


def _after(prefix: bytes) -> bytes:
    """Return the first key after all keys that begin with a prefix."""
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
