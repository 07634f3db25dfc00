"""Learning: how an example changes the row of the item taken.

Examples count in their order. Rows of different items are worked on together, and the examples of one item one after
the other. So the result is the same, bit by bit, however the examples are divided into runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from afresh.models.arrays import Floats, Integers, Keys
from afresh.models.layout import HALF_LIVES_MS, HISTORY
from afresh.models.learning import horizons, neighbours, popularity
from afresh.state.keys import NO_KEY, keys_of
from afresh.state.records import Example
from afresh.state.rows.behaviour import BehaviourRows


def learn(rows: BehaviourRows, examples: Sequence[Example]) -> list[int]:
    """Learn from examples in their order, in place.

    Parameters
    ----------
    rows
        Behaviour rows of the partition.
    examples
        New examples, each once, in the order of the partition.

    Returns
    -------
    Numbers of the rows changed, ascending.
    """
    numbers = np.array([rows.number_of(example.item.encode()) for example in examples])
    _count(rows, numbers, examples)
    return sorted(set(numbers.tolist()))


def _count(rows: BehaviourRows, numbers: Integers, examples: Sequence[Example]) -> None:
    """Update counts and neighbours, in rounds: round n holds the n-th example of every item."""
    keys, ages = histories(examples)
    weights = np.stack([neighbours.LEARN.weights(ages), neighbours.NEXT.weights(ages)])
    amounts = horizons.counted(np.array([example.taken for example in examples], np.int64))
    times = np.array([example.time for example in examples], np.int64)
    for chosen in rounds(numbers):
        taken = numbers[chosen]
        array = rows.array[taken]
        array["examples"] += 1
        array["counts"], array["time"] = popularity.count_event(
            array["counts"], array["time"], times[chosen], amounts[chosen], HALF_LIVES_MS
        )
        array["mass"] *= neighbours.FADE
        array["mass"] += neighbours.added_mass(keys[chosen], weights[:, chosen])
        pairs = array["pairs"]
        # Copies: within a row, the numbers of a field do not stand next to each other.
        known = pairs["key"].copy()
        strengths = np.stack([pairs["weight"], pairs["next"].astype(np.float32)]) * neighbours.FADE
        neighbours.accumulate(known, strengths, keys[chosen], weights.take(chosen, axis=1))
        pairs["key"], pairs["weight"], pairs["next"] = known, *strengths
        rows.array[taken] = array


def histories(examples: Sequence[Example]) -> tuple[Keys, Floats]:
    """Return the histories of examples as arrays of shape (n, L): keys (0 for none) and ages in seconds (NaN for none).

    The item taken is left out of its own history, so that it never becomes its own neighbour.
    """
    width = HISTORY
    keys = np.frombuffer(b"".join(e.history.ljust(8 * width, b"\0") for e in examples), "<u8").reshape(
        -1, width
    )
    seconds = np.frombuffer(b"".join(e.times.ljust(4 * width, b"\0") for e in examples), "<u4").reshape(
        -1, width
    )
    times = np.array([example.time for example in examples]) / 1000.0
    ages = np.maximum(times[:, None] - seconds, 0.0)
    taken = keys_of(example.item for example in examples)
    keys = np.where(keys == taken[:, None], np.uint64(NO_KEY), keys)
    return keys, np.where(keys != NO_KEY, ages, np.nan).astype(np.float32)


def rounds(numbers: Integers) -> list[Integers]:
    """Split the places of numbers into rounds: round n holds the place of the n-th occurrence of each number.

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
