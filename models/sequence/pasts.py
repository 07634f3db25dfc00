"""Pasts: the last items of users with their times, laid out as the inputs of the sequence encoder.

This module needs no torch, so that whoever serves the encoder lays its inputs out by the same code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from afresh.models.arrays import NONE, Bytes, Indices, Integers

LENGTH = 50
"""Items of a past that the encoder reads: those that a user's row keeps."""

GAPS = 30
"""Buckets of gaps in time: below half a second, then by powers of two up to eight years."""


class Past(NamedTuple):
    """What a user took, oldest first; nobody writes into its arrays.

    Attributes
    ----------
    items
        Numbers of the items, shape (n,).
    times
        When they were taken, in ms, shape (n,).
    """

    items: Indices
    times: Integers


class Padded(NamedTuple):
    """Pasts of one length; places behind the end of a past hold ``NONE`` and the time of its end.

    Attributes
    ----------
    items
        Numbers of the items, shape (B, L).
    gaps
        Bucket of the time between each place and each place before it, shape (B, L, L).
    """

    items: Indices
    gaps: Bytes


def past_of(taken: Iterable[tuple[int, int]]) -> Past:
    """Return the past of items and times in ms, oldest first.

    Examples
    --------
    >>> past_of([(7, 1000), (3, 5000)]).items.tolist()
    [7, 3]
    """
    pairs = list(taken)
    made = Past(
        np.array([item for item, _ in pairs], np.int32), np.array([time for _, time in pairs], np.int64)
    )
    for array in made:
        array.setflags(write=False)
    return made


def bucket(gaps: Integers) -> Bytes:
    """Return the bucket of each gap in ms; what comes late, before its forerunner, has no gap.

    Examples
    --------
    >>> bucket(np.array([-5, 0, 1000, 1999, 2000, 60_000])).tolist()
    [0, 0, 1, 1, 2, 6]
    """
    return np.frexp(gaps / 1000)[1].clip(0, GAPS - 1).astype(np.uint8) * (gaps > 0)


def padded(pasts: Sequence[Past], length: int) -> Padded:
    """Lay pasts of at most ``length`` items out in arrays of this length."""
    items = np.full((len(pasts), length), NONE, np.int32)
    times = np.zeros((len(pasts), length), np.int64)
    for row, past in enumerate(pasts):
        items[row, : len(past.items)] = past.items
        times[row, : len(past.times)] = past.times
        times[row, len(past.times) :] = past.times[-1]
    return Padded(items, bucket(times[:, :, None] - times[:, None, :]))
