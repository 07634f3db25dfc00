"""What an example does to the rows of the items that it names.

Everything here happens in the order of the examples, bit by bit the same however they are divided into runs: rows of
different items are worked on together, one item's examples one after the other, and the factors step after a fixed
count of examples, those that wait for the next step being part of the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from models import factors, neighbours, popularity, scorers
from state.behaviour import BehaviourRows
from state.records import Example


class Pending(msgspec.Struct, array_like=True):
    """Examples that wait for the next step of the factors, and how many there were in all.

    Attributes
    ----------
    examples
        Examples of the partition so far.
    items
        Ids of the items taken in the examples that wait.
    vectors
        Their users' vectors, float32, shape (len(items), 2, d).
    """

    examples: int = 0
    items: list[bytes] = []
    vectors: bytes = b""


_pending_decoder = msgspec.msgpack.Decoder(Pending)
_encode = msgspec.msgpack.Encoder().encode


def rows_of_steps(examples: int) -> int:
    """Rows that steps of so many examples may change besides the items taken: negatives, and what waited."""
    steps = examples // factors.BATCH + 1
    return steps * factors.NEGATIVES + factors.BATCH


@dataclass(frozen=True)
class Learned:
    """What examples have changed.

    Attributes
    ----------
    moved
        Numbers of the rows changed, ascending.
    pending
        What waits for the next step of the factors, packed.
    refused
        Updates of factors refused because a number was not finite.
    """

    moved: list[int]
    pending: bytes
    refused: int


def learn(rows: BehaviourRows, pending: bytes, examples: Sequence[Example], partition: int) -> Learned:
    """Learn from examples in their order, in place.

    Parameters
    ----------
    rows
        Rows of the partition.
    pending
        What waited for the next step of the factors, packed; empty at the start.
    examples
        Each once, in the order in which they stand in the partition.
    partition
        Number of the partition; negatives are drawn by it.
    """
    known = len(rows)
    numbers = np.array([rows.number_of(example.item.encode()) for example in examples])
    _count(rows, numbers, examples)
    before = _pending_decoder.decode(pending) if pending else Pending()
    stepped, after, refused = _step_factors(rows, before, numbers, examples, known, partition)
    return Learned(sorted({*numbers.tolist(), *stepped}), _encode(after), refused)


def _count(rows: BehaviourRows, numbers: npt.NDArray[np.int64], examples: Sequence[Example]) -> None:
    """Popularity and neighbours, in rounds: round n holds the n-th example of every item."""
    keys, ages = histories(examples)
    weights = scorers.LEARN.weights(ages)
    amounts = scorers.counted(np.count_nonzero(keys, axis=1))
    times = np.array([example.time for example in examples], np.int64)
    for chosen in rounds(numbers):
        taken = numbers[chosen]
        array = rows.array[taken]
        array["examples"] += 1
        array["counts"], array["time"] = popularity.add(
            array["counts"], array["time"], times[chosen], amounts[chosen], scorers.HALF_LIVES_MS
        )
        array["mass"] += neighbours.added_mass(keys[chosen], weights[chosen])
        neighbours.accumulate(array["keys"], array["weights"], keys[chosen], weights[chosen])
        rows.array[taken] = array


def histories(examples: Sequence[Example]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float32]]:
    """Histories of examples as arrays of one width: keys (0 for none) and ages (NaN for none), shape (n, L)."""
    width = scorers.HISTORY
    keys = np.frombuffer(b"".join(e.history.ljust(8 * width, b"\0") for e in examples), "<u8").reshape(
        -1, width
    )
    seconds = np.frombuffer(b"".join(e.times.ljust(4 * width, b"\0") for e in examples), "<u4").reshape(
        -1, width
    )
    times = np.array([example.time for example in examples]) / 1000.0
    ages = np.maximum(times[:, None] - seconds, 0.0)
    return keys, np.where(keys != 0, ages, np.nan).astype(np.float32)


def rounds(numbers: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Split places into rounds of distinct numbers, the n-th time of each number in round n.

    Examples
    --------
    >>> [places.tolist() for places in rounds(np.array([7, 8, 7, 7, 8]))]
    [[0, 1], [2, 4], [3]]
    """
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    nth = np.arange(len(numbers)) - np.repeat(starts, np.diff(np.r_[starts, len(numbers)]))
    times = np.empty(len(numbers), np.int64)
    times[order] = nth
    return [np.flatnonzero(times == n) for n in range(int(times.max(initial=-1)) + 1)]


def _step_factors(
    rows: BehaviourRows,
    pending: Pending,
    numbers: npt.NDArray[np.int64],
    examples: Sequence[Example],
    known_before: int,
    partition: int,
) -> tuple[set[int], Pending, int]:
    """Step the factors after every ``factors.BATCH`` examples; return the rows moved, what waits, and the refused."""
    waiting = len(pending.items)
    taken = np.concatenate([[rows.number[item] for item in pending.items], numbers]).astype(np.int64)
    vectors = np.concatenate(
        [_vectors([pending.vectors], waiting), _vectors([e.vectors for e in examples], 1)]
    )
    # Negatives are drawn among the items known when the step is due, however many came later in the same run.
    known = np.maximum.accumulate(np.r_[known_before, numbers + 1])[1:]
    moved: set[int] = set()
    refused = done = 0
    for end in range(factors.BATCH, len(taken) + 1, factors.BATCH):
        count = pending.examples - waiting + end
        against = factors.negatives(int(known[end - waiting - 1]), 0, partition, count)
        stepped, not_finite = _step(rows, vectors[done:end], taken[done:end], against)
        moved |= stepped
        refused += not_finite
        done = end
    after = Pending(
        pending.examples + len(examples),
        [rows.ids[number] for number in taken[done:]],
        np.ascontiguousarray(vectors[done:]).tobytes(),
    )
    return moved, after, refused


def _vectors(packed: Sequence[bytes], each: int) -> npt.NDArray[np.float32]:
    """Users' vectors, shape (n, 2, d); zeros for a user who had none."""
    size = each * 2 * factors.DIMENSIONS * 4
    joined = b"".join(vectors.ljust(size, b"\0") for vectors in packed)
    return np.frombuffer(joined, "<f4").reshape(-1, 2, factors.DIMENSIONS)


def _step(
    rows: BehaviourRows,
    vectors: npt.NDArray[np.float32],
    taken: npt.NDArray[np.int64],
    against: npt.NDArray[np.intp],
) -> tuple[set[int], int]:
    moved, places = np.unique(np.concatenate([taken, against]), return_inverse=True)
    array = rows.array[moved]
    refused = factors.step(
        array["factors"], array["accumulator"], vectors, places[: len(taken)], places[len(taken) :]
    )
    rows.array[moved] = array
    return set(moved.tolist()), refused
