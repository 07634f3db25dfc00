"""Alignment: a partition of a topic and those of all changelogs with its number belong to one worker.

An agent that reads a partition writes rows to the same partition of its table. Faust keeps them together as long as all
topics have equally many partitions. Once somebody adds some to a topic, it deals that topic out by itself: records
would meet a table without their rows, and users would lie in partitions where nobody looks for them.
"""

from __future__ import annotations

from collections.abc import Collection

from faust.types import TP

from afresh.state.errors import AfreshError


def require_alignment(ours: Collection[TP], changelogs: Collection[str], partitions: int) -> None:
    """Return if partitions assigned to a worker are those of a deployment with so many of each topic.

    Parameters
    ----------
    ours
        What this worker was assigned, of topics and of changelogs.
    changelogs
        Topics of the tables.
    partitions
        Of every topic.

    Raises
    ------
    AfreshError
        If they are not.

    Examples
    --------
    >>> require_alignment([TP("events", 1), TP("rows", 1)], ["rows"], 2)
    """
    numbers = sorted({tp.partition for tp in ours})
    together = all(sorted(tp.partition for tp in ours if tp.topic == each) == numbers for each in changelogs)
    if not together or any(number >= partitions for number in numbers):
        raise AfreshError(
            f"Somebody has added partitions to a topic while workers ran, and AFRESH_PARTITIONS is {partitions}; "
            "nothing was read from the new ones: see `afresh topics check`."
        )
