"""Puts texts of similar length together, so that little of a batch is padding."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield batches of texts, those with the longest first.

    Parameters
    ----------
    lengths
        Tokens of each text; a text without tokens is in no batch.
    budget
        Tokens of a batch with its padding, at most; a text that is longer is alone.

    Yields
    ------
    Places in ``lengths``.

    Examples
    --------
    >>> list(batches([3, 9, 0, 4, 4], budget=10))
    [[1], [3, 4], [0]]
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if not lengths[place]:
            break
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def threads_of(asked: int | None) -> int:
    """Return on how many threads an encoder runs: as many as were asked for, or one less than the process has cores."""
    if asked is not None:
        return asked
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)
