"""sweep: finds the idle users whose lists are outdated."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

Stamp = tuple[int, int]
"""Versions of the Catalogue and of the weights that a list was made from, besides the user's row."""

EARLIEST, LATEST = "", "~"
"""Before and after every ``generated_at``."""


class Made(NamedTuple):
    """What is remembered of a list: when it was made, by two clocks, and from what."""

    clock: float
    partition: int
    stamp: Stamp
    generated_at: str


@dataclass
class Pass:
    """A pass over the users of a partition.

    Attributes
    ----------
    partition, users
        The partition, and the users who are still to come; None if no pass is under way.
    oldest
        When the oldest of the lists was generated that were made since the pass began, or forgotten since.
    """

    partition: int | None = None
    users: Iterator[str] = field(default_factory=lambda: iter(()))
    oldest: str = LATEST


class Sweep:
    """Remembers the stamps of the newest lists, and says which lists are outdated.

    Users without a remembered stamp, such as all users after a restart, are refreshed in passes over the table. A pass
    over a partition begins when its stamp has changed since the last pass began. Once nothing changes any more, every
    list shows the last state, and the sweep rests. Of all other lists a partition's *floor* is remembered: each was
    generated then, or later.

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
        self._lost: dict[str, int] = {}
        self._made: OrderedDict[str, Made] = OrderedDict()
        self._begun: dict[int, Stamp] = {}
        self._floors: dict[int, str] = {}
        self._pass = Pass()

    def note_made(self, user: str, partition: int, stamp: Stamp, generated_at: str) -> None:
        """Remember when a user's list was made, and its stamp."""
        self._made[user] = Made(self._clock(), partition, stamp, generated_at)
        self._made.move_to_end(user)
        self._lower_pass(partition, generated_at)
        if len(self._made) > self._limit:
            _, oldest = self._made.popitem(last=False)
            self._lower_pass(oldest.partition, oldest.generated_at)
            floor = self._floors.get(oldest.partition, EARLIEST)
            self._floors[oldest.partition] = min(floor, oldest.generated_at)

    def forget(self, user: str) -> None:
        """Forget the list of a user who has no row any more."""
        self._made.pop(user, None)

    def _lower_pass(self, partition: int, generated_at: str) -> None:
        if partition == self._pass.partition:
            self._pass.oldest = min(self._pass.oldest, generated_at)

    def made_at(self, user: str, partition: int) -> str:
        """Return when a user's newest list was generated at the earliest."""
        made = self._made.get(user)
        return made.generated_at if made else self._floors.get(partition, EARLIEST)

    def note_lost(self, lost: Mapping[str, int]) -> None:
        """Treat the lists of users, given with their partitions, as outdated, whatever their age and stamps."""
        self._lost |= lost

    @property
    def lost(self) -> int:
        """Number of lost lists that are not chosen yet."""
        return len(self._lost)

    def outdated(self, count: int, age_seconds: float, stamps: Mapping[int, Stamp]) -> dict[str, int]:
        """Choose the users whose lists should be made anew.

        Parameters
        ----------
        count
            Maximum number of users.
        age_seconds
            Lists younger than this are not chosen, unless they were lost.
        stamps
            Stamp that a list made now would have, by partition. Users of other partitions are not ours.

        Returns
        -------
        Partition of each user chosen: first those whose lists were lost, then those with known stamps, oldest list
        first.
        """
        ours = (user for user, partition in self._lost.items() if partition in stamps)
        chosen = {user: self._lost.pop(user) for user in list(islice(ours, count))}
        before = self._clock() - age_seconds
        for user, made in self._made.items():
            if made.clock > before or len(chosen) == count:
                break
            if made.stamp != stamps.get(made.partition, made.stamp):
                chosen[user] = made.partition
        return chosen | dict(islice(self._unknown(stamps), count - len(chosen)))

    def _unknown(self, stamps: Mapping[int, Stamp]) -> Iterator[tuple[str, int]]:
        while True:
            # While partitions are assigned, none is ours. The pass then waits, and must not run out meanwhile.
            if (under_way := self._pass.partition) is not None and under_way in stamps:
                yield from self._go_on(under_way)
            due = next((each for each, stamp in stamps.items() if self._begun.get(each) != stamp), None)
            if due is None:
                return
            self._begun[due] = stamps[due]
            self._pass = Pass(due, iter(self._names(due)))

    def _go_on(self, partition: int) -> Iterator[tuple[str, int]]:
        """Go on with the pass over a partition.

        At its end, the newest lists of all users who are not remembered were made, or forgotten, since it began.
        """
        for user in self._pass.users:
            if user not in self._made:
                yield user, partition
        if self._pass.oldest != LATEST:
            self._floors[partition] = max(self._floors.get(partition, EARLIEST), self._pass.oldest)
        self._pass = Pass()

    def keep_only(self, partitions: Collection[int]) -> None:
        """Forget the lists of all other partitions."""
        self._lost = {user: each for user, each in self._lost.items() if each in partitions}
        self._made = OrderedDict(item for item in self._made.items() if item[1].partition in partitions)
        self._begun = {each: stamp for each, stamp in self._begun.items() if each in partitions}
        self._floors = {each: floor for each, floor in self._floors.items() if each in partitions}
        if self._pass.partition not in partitions:
            self._pass = Pass()

    def start_over(self) -> None:
        """Treat every list as outdated."""
        self._lost.clear()
        self._made.clear()
        self._begun.clear()
        self._floors.clear()
        self._pass = Pass()
