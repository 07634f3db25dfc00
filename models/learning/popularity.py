"""Popularity: counts of events that fade with time."""

from __future__ import annotations

import numpy as np

from afresh.models.arrays import Integers, Reals


def count_event(
    counts: Reals, times: Integers, at: Integers, amounts: Reals, half_lives_ms: Reals
) -> tuple[Reals, Integers]:
    """Count one more event on each of R distinct items.

    The count at time t is the sum over events of amount * 2**(-(t - time of the event) / half-life). It is kept as of
    the newest event. A late event adds what would be left of it by then. So the order of arrival changes only the last
    bits.

    Parameters
    ----------
    counts
        The counts so far, shape (R, H).
    times
        Time as of which the counts are kept, in ms, shape (R,). It may be anything where the counts are 0.
    at
        Time of the event, in ms, shape (R,).
    amounts
        What the event adds to each count, shape (R, H).
    half_lives_ms
        Half-life of each count, in ms, shape (H,).

    Returns
    -------
    The new counts and times.

    Examples
    --------
    >>> hour, one = np.array([3_600_000.0]), np.ones((1, 1))
    >>> counts, times = count_event(np.zeros((1, 1)), np.array([0]), np.array([3_600_000]), one, hour)
    >>> counts, times = count_event(counts, times, np.array([7_200_000]), one, hour)
    >>> counts.tolist(), times.tolist()
    ([[1.5]], [7200000])
    >>> count_event(counts, times, np.array([3_600_000]), one, hour)[0].tolist()
    [[2.0]]
    """
    newest = np.where(counts.any(axis=1), np.maximum(times, at), at)
    late = decayed(amounts, at, newest, half_lives_ms)
    return decayed(counts, times, newest, half_lives_ms) + late, newest


def decayed(counts: Reals, times: Integers, now: Integers | int, half_lives_ms: Reals) -> Reals:
    """Return counts as of ``now`` (ms), shape (R, H). A ``now`` before their own time raises them accordingly.

    Examples
    --------
    >>> decayed(np.array([[8.0]]), np.array([0]), 2_000, np.array([1_000.0])).tolist()
    [[2.0]]
    """
    half_lives = np.asarray(now - times)[:, None] / half_lives_ms
    # 2**±1000 is near the limit of float64. Beyond it a count would become infinite and stay so.
    return np.asarray(counts * np.exp2(np.clip(-half_lives, -1000.0, 1000.0)))
