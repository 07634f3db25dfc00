"""sweep: finds the idle users whose lists are outdated."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice, repeat

Stamp = tuple[int, int]
"""Versions of the Catalogue and of the weights that a list was made from, besides the user's row."""


class Sweep:
    """Remembers the stamps of the newest lists, and says which lists are outdated.

    Users without a remembered stamp, such as all users after a restart, are refreshed in passes over the table. A pass
    over a partition begins when its stamp has changed since the last pass began. Once nothing changes any more, every
    list shows the last state, and the sweep rests.

    Parameters
    ----------
    names
        Returns the names of all users of a partition.
    limit
        Number of lists whose stamps are remembered.
    clock
        Clock, monotonic, in seconds.
    """

    def __init__(
        self,
        names: Callable[[int], Iterable[str]],
        limit: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._names = names
        self._limit = limit
        self._clock = clock
        self._made: OrderedDict[str, tuple[float, int, Stamp]] = OrderedDict()
        self._begun: dict[int, Stamp] = {}
        self._pass: Iterator[tuple[str, int]] = iter(())

    def note_made(self, user: str, partition: int, stamp: Stamp) -> None:
        """Remember when a user's list was made, and its stamp."""
        self._made[user] = (self._clock(), partition, stamp)
        self._made.move_to_end(user)
        if len(self._made) > self._limit:
            self._made.popitem(last=False)

    def outdated(self, count: int, age_seconds: float, stamps: Mapping[int, Stamp]) -> dict[str, int]:
        """Choose the users whose lists should be made anew.

        Parameters
        ----------
        count
            Maximum number of users.
        age_seconds
            Lists younger than this are not chosen.
        stamps
            Stamp that a list made now would have, by partition. Users of other partitions are not ours.

        Returns
        -------
        Partition of each user chosen: first the users with known stamps, oldest list first.
        """
        chosen: dict[str, int] = {}
        before = self._clock() - age_seconds
        for user, (made_at, partition, stamp) in self._made.items():
            if made_at > before or len(chosen) == count:
                break
            if stamp != stamps.get(partition, stamp):
                chosen[user] = partition
        return chosen | dict(islice(self._unknown(stamps), count - len(chosen)))

    def _unknown(self, stamps: Mapping[int, Stamp]) -> Iterator[tuple[str, int]]:
        while True:
            for user, partition in self._pass:
                if partition in stamps and user not in self._made:
                    yield user, partition
            due = next((each for each, stamp in stamps.items() if self._begun.get(each) != stamp), None)
            if due is None:
                return
            self._begun[due] = stamps[due]
            self._pass = zip(self._names(due), repeat(due))

    def keep_only(self, partitions: Collection[int]) -> None:
        """Forget the lists of all other partitions."""
        self._made = OrderedDict(item for item in self._made.items() if item[1][1] in partitions)
        self._begun = {each: stamp for each, stamp in self._begun.items() if each in partitions}

    def start_over(self) -> None:
        """Treat every list as outdated."""
        self._made.clear()
        self._begun.clear()
        self._pass = iter(())
