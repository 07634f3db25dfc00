"""Alignment: partitions with the same number, of topics and of changelogs, belong to the same worker.

An agent that reads a partition writes rows to the same partition of its table. Faust assigns these partitions together
as long as all topics have the same number of partitions. If somebody adds partitions to one topic, Faust assigns that
topic separately. Records would then meet a table without their rows, and users would get into partitions where nobody
looks for them.
"""

from __future__ import annotations

from collections.abc import Collection

from faust.types import TP

from afresh.state.errors import AfreshError


def require_alignment(ours: Collection[TP], changelogs: Collection[str], partitions: int) -> None:
    """Raise unless the assigned partitions are aligned, with numbers below ``partitions``.

    Parameters
    ----------
    ours
        Partitions assigned to this worker, of topics and of changelogs.
    changelogs
        Changelog topics of the tables.
    partitions
        Number of partitions that every topic must have.

    Raises
    ------
    AfreshError
        If they are not aligned.

    Examples
    --------
    >>> require_alignment([TP("events", 1), TP("rows", 1)], ["rows"], 2)
    """
    numbers = sorted({tp.partition for tp in ours})
    together = all(sorted(tp.partition for tp in ours if tp.topic == each) == numbers for each in changelogs)
    if not together or any(number >= partitions for number in numbers):
        raise AfreshError(
            f"Somebody has added partitions to a topic while workers ran, and AFRESH_PARTITIONS is {partitions}; "
            "nothing was read from the new ones; see `afresh topics check`."
        )
