"""Memory that a row takes: resident memory before and after, in a process of its own."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from state.behaviour import BehaviourRows
from state.catalogue import Catalogue
from state.rows import MemoryRows, Position
from tests.benchmarks import rows
from tests.benchmarks.events import Keyed

MOST = 200_000
"""Rows that are enough to measure one by."""

AT_ONCE = 1_000
PARTITIONS = 1


def _kept(made: Iterable[Keyed]) -> MemoryRows:
    held = MemoryRows()
    # A copy of each, as a row that comes from Kafka is an object of its own.
    held.write(((key, bytes(bytearray(row))) for key, row in made), Position(0, 0))
    return held


def _users(number: int) -> object:
    return _kept(rows.user_rows(number, number))


def _items(number: int) -> object:
    return _kept(rows.behaviour_rows(number, PARTITIONS)), _kept(rows.content_rows(number))


def _learner(number: int) -> object:
    return BehaviourRows(dict(rows.behaviour_rows(number, PARTITIONS)))


def _catalogue(number: int) -> object:
    catalogue = Catalogue()
    for made, apply in (
        (rows.behaviour_rows(number, PARTITIONS), catalogue.apply_behaviour),
        (rows.content_rows(number), catalogue.apply_content),
    ):
        part: dict[bytes, bytes | None] = {}
        for key, row in made:
            part[key] = row
            if len(part) == AT_ONCE:
                apply(part)
                part = {}
        if part:
            apply(part)
    return catalogue


USER = "user"
PARTS: dict[str, Callable[[int], object]] = {
    USER: _users,
    "item": _items,
    "item, again where it is learned": _learner,
    "item, again in every Catalogue": _catalogue,
}


def measure(users: int, items: int) -> dict[str, float]:
    """Bytes that each kind of row takes in memory, measured by as many of them, up to ``MOST``."""
    counts = [min(users if part == USER else items, MOST) for part in PARTS]
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return dict(
            zip(PARTS, pool.starmap(_bytes_of, zip(PARTS, counts, strict=True), chunksize=1), strict=True)
        )


def _bytes_of(part: str, number: int) -> float:
    before = _resident()
    held = PARTS[part](number)
    gc.collect()
    grown = _resident() - before
    del held
    return grown / number


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
