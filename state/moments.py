"""Moments: which of two records of one key is the newer, wherever they stand."""

from __future__ import annotations

from typing import NamedTuple


class Moment(NamedTuple):
    """When a record came among all records of its topic, whatever its partition; the greater one is the newer.

    Attributes
    ----------
    time
        When Kafka appended the record, in ms since 1970; in a partition it never falls.
    partition, offset
        Where the record stands: they decide between records of the same ms.

    Examples
    --------
    >>> Moment(1_700_000_000_001, 0, 5) > Moment(1_700_000_000_000, 3, 90) > OLDEST
    True
    """

    time: int
    partition: int
    offset: int


OLDEST = Moment(-(2**62), -1, -1)
"""Moment before all others: that of a row of which nobody knows what record made it."""
