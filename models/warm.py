"""Compiles what makes lists and learns, or loads what was compiled before: ``python -m afresh.models.warm``.

A worker does so before it begins. Where its image is built, or its environment made, this saves every first start the
time; the machine code is for the processor that it was compiled on, and is compiled anew on another kind.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from afresh.models.arrays import NONE
from afresh.models.compiled import FOLDER
from afresh.models.fusion.features import split
from afresh.models.fusion.weights import fuse, largest_parts
from afresh.models.learning.neighbours import accumulate
from afresh.models.lists.rank import first_of
from afresh.models.relations.relations import take_largest
from afresh.models.relations.revising import AllRows, Changed, Standing, fold_in, revise_rows, revise_texts
from afresh.models.retrieval.lookup import enter, find, find_halves
from afresh.models.scorers.cases import catalogue, user
from afresh.models.scoring import Request, score_lists


def warm() -> float:
    """Make a list of made-up items and learn, by all that is compiled; return the seconds that it took."""
    started = time.perf_counter()
    nothing = np.empty(0, np.int32)
    (found,) = score_lists([Request(user(), nothing, nothing)], catalogue())
    weights = np.zeros(found.features.shape[1], np.float32)
    best = first_of(fuse(weights, found.features), 1)
    largest_parts(weights, found.features, best, 1)
    split(found.features, best)
    keys, pairs = np.zeros((1, 1), np.uint64), np.zeros((2, 1, 1), np.float32)
    accumulate(keys, pairs, keys, pairs)
    _look_up()
    _revise()
    return time.perf_counter() - started


def _look_up() -> None:
    table, keys = np.full(2, NONE, np.int32), np.ones(1, np.uint64)
    enter(table, keys, 0)
    find(table, keys, keys)
    find_halves(table, keys, keys)


def _revise() -> None:
    items = np.zeros(1, np.int32)
    others, values = np.zeros((1, 1), np.int32), np.zeros((1, 1), np.float32)
    changed = Changed(others, values, values, values[0])
    rows = AllRows(others, values, others, values)
    standing = Standing(others, values, others, values, values, *(values[0].copy() for _ in range(5)))
    revise_rows(items, changed, changed, rows, standing)
    revise_texts(items, others, values, rows, standing)
    fold_in(items, standing, values[0])
    take_largest(np.zeros(2, np.int64), others[0], values[0], others, values)


if __name__ == "__main__":
    sys.stdout.write(f"What makes lists and learns is compiled, in {warm():.1f} s, and kept in {FOLDER}\n")
