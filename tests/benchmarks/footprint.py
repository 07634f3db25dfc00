"""Memory that a row takes: the growth of resident memory while rows are loaded, in a process of its own."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.rows.behaviour import BehaviourRows
from afresh.state.store.rows import MemoryRows, Position
from tests.benchmarks import rows
from tests.benchmarks.events import Keyed

MOST = 200_000
"""Number of rows that is enough to measure the memory of one row."""

AT_ONCE = 1_000
PARTITIONS = 1


@dataclass(frozen=True)
class Part:
    """A structure of a worker that holds rows.

    Attributes
    ----------
    rows
        Function that makes the given number of rows, for each table that the structure holds.
    hold
        Function that takes the rows of each table and returns the structure.
    """

    rows: Callable[[int], Iterable[Iterable[Keyed]]]
    hold: Callable[..., object]


def _tables(*tables: Iterable[Keyed]) -> object:
    return [_table(made) for made in tables]


def _table(made: Iterable[Keyed]) -> MemoryRows:
    held = MemoryRows()
    # Copied, because every row that comes from Kafka is an object of its own.
    held.write(((key, bytes(bytearray(row))) for key, row in made), Position(0, 0))
    return held


def _learner(behaviour: Iterable[Keyed]) -> object:
    return BehaviourRows(dict(behaviour))


def _catalogue(behaviour: Iterable[Keyed], content: Iterable[Keyed]) -> object:
    catalogue = Catalogue()
    for made, apply in ((behaviour, catalogue.apply_behaviour), (content, catalogue.apply_content)):
        remaining = iter(made)
        while batch := dict(islice(remaining, AT_ONCE)):
            apply(batch)
    return catalogue


def _users(number: int) -> Iterable[Iterable[Keyed]]:
    return [rows.user_rows(number, number)]


def _behaviour(number: int) -> Iterable[Iterable[Keyed]]:
    return [rows.behaviour_rows(number, PARTITIONS)]


def _items(number: int) -> Iterable[Iterable[Keyed]]:
    return [rows.behaviour_rows(number, PARTITIONS), rows.content_rows(number)]


def _textless_items(number: int) -> Iterable[Iterable[Keyed]]:
    return [rows.behaviour_rows(number, PARTITIONS), rows.content_rows(number, text="")]


USER = "user"
PARTS = {
    USER: Part(_users, _tables),
    "item": Part(_items, _tables),
    "item without a text": Part(_textless_items, _tables),
    "item, again where it is learned": Part(_behaviour, _learner),
    "item, again in every Catalogue": Part(_items, _catalogue),
}


def measure(users: int, items: int) -> dict[str, float]:
    """Measure the bytes that each kind of row takes in memory, with ``users`` or ``items`` rows, at most ``MOST``."""
    counts = [min(users if name == USER else items, MOST) for name in PARTS]
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return dict(
            zip(PARTS, pool.starmap(_bytes_of, zip(PARTS, counts, strict=True), chunksize=1), strict=True)
        )


def _bytes_of(name: str, number: int) -> float:
    chosen = PARTS[name]
    # Make the rows once before: this fills caches, such as the partitions of keys, which are not memory of the rows.
    for made in chosen.rows(number):
        deque(made, maxlen=0)
    before = _resident()
    held = chosen.hold(*chosen.rows(number))
    gc.collect()
    grown = _resident() - before
    del held
    return grown / number


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
