"""inspection: finds the lists that Redis has lost one by one: by eviction, by hand, or in a failover."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from itertools import islice

from redis.exceptions import RedisError

from afresh.state.lists import Due, Found, ListStore
from afresh.state.rows import users as user_rows
from afresh.state.rows.merging import accounts_of
from afresh.streams import metrics
from afresh.streams.serving.popular import PopularLists
from afresh.streams.serving.sweep import Sweep
from afresh.streams.serving.users import Users

INSPECTION_SECONDS = 1.0
"""Time between two rounds."""

LAP_SECONDS = 5.0
"""Shortest time of a lap: with few users, a worker at rest would look at each of them again and again."""

ROUND_USERS = 200
"""Users whose lists are looked at in a round: 4 ms of work for a worker, and 5 ms for Redis, with lists of 8 kB."""

SAY_SECONDS = 60.0
"""Shortest time between two warnings of lost lists."""

logger = logging.getLogger(__name__)


class Inspection:
    """Goes round the users of this worker, lap after lap, and looks whether Redis has their lists.

    A list must take in what the user's row does, and be no older than the newest that this worker made, as far as that
    is remembered. So lists that a failover took back to earlier ones are found, too. Who has no row is not looked at.

    A round looks at ``ROUND_USERS`` users at most, and at all popular lists. While partitions stay where they are, each
    user is looked at within users ÷ ``ROUND_USERS`` rounds, rounded up, but not more often than once in
    ``LAP_SECONDS``. Beside what is there anyhow, the names of the users of one partition are held in memory, and the
    lost lists of one round.

    Parameters
    ----------
    store
        Store in Redis that lists are served from.
    users
        Users whose lists this worker makes.
    sweep
        Knows when lists were made, and has lost ones made again.
    popular
        Popular lists.
    clock
        Clock, monotonic, in seconds.
    """

    def __init__(
        self,
        store: ListStore,
        users: Users,
        sweep: Sweep,
        popular: PopularLists,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._users = users
        self._sweep = sweep
        self._popular = popular
        self._clock = clock
        self._lap: Iterator[tuple[str, int]] = iter(())
        self._lap_began = float("-inf")
        self._over = False
        self._round: dict[str, int] = {}
        self._lost: Counter[Found] = Counter()
        self._said = float("-inf")

    async def look(self, waiting: Container[str]) -> None:
        """Do a round. If Redis does not answer, the same users are looked at next time.

        No list may be in the making meanwhile: it would seem to be lost.

        Parameters
        ----------
        waiting
            Users who wait for new lists anyhow.
        """
        ours = self._users.partitions()
        # While lost lists wait to be made again, there is no use in finding more of them.
        if not ours or self._sweep.lost:
            return
        looked_at = self._round = self._round or self._next_round()
        due: dict[str, Due] = {}
        whose: dict[str, str] = {}
        for user, partition in looked_at.items():
            if partition in ours and user not in waiting:
                for key, least in self._due(user, partition).items():
                    due[key], whose[key] = least, user
        try:
            popular = await self._store.look_at_popular(self._popular.due)
            users = await self._store.look(due)
        except (RedisError, OSError):
            return
        self._round = {}
        # Asked again: partitions may have moved away meanwhile, and their lost lists would wait here for ever.
        ours = self._users.partitions()
        lost = {whose[key] for key in _lost(users)}
        self._sweep.note_lost({user: looked_at[user] for user in lost if looked_at[user] in ours})
        if _lost(popular):
            self._popular.start_over()
        await self._tell(Counter([*popular.values(), *users.values()]))

    def rest_seconds(self) -> float:
        """Return the time until the next round, in seconds."""
        if self._round or not self._over:
            return INSPECTION_SECONDS
        return max(INSPECTION_SECONDS, self._lap_began + LAP_SECONDS - self._clock())

    def begin_anew(self) -> None:
        """Begin a new lap, because partitions were assigned anew."""
        self._lap, self._round = iter(()), {}

    def _next_round(self) -> dict[str, int]:
        """Return the next users of the lap with their partitions, or the first ones of a new lap."""
        taken = dict(islice(self._lap, ROUND_USERS))
        if not taken:
            self._lap, self._lap_began = self._new_lap(), self._clock()
            taken = dict(islice(self._lap, ROUND_USERS))
        self._over = len(taken) < ROUND_USERS
        return taken

    def _new_lap(self) -> Iterator[tuple[str, int]]:
        for partition in sorted(self._users.partitions()):
            # Asked again: a later partition may have moved away before the lap comes to it.
            if partition in self._users.partitions():
                for user in self._users.names(partition):
                    yield user, partition

    def _due(self, user: str, partition: int) -> dict[str, Due]:
        """Return the least age of a user's list, by each account that has it; none if the user has no row any more."""
        packed = self._users.row(partition, user)
        if packed is None or (row := user_rows.unpack(packed)).to:
            return {}
        due = Due(row.since, row.revision, self._sweep.made_at(user, partition))
        return dict.fromkeys(accounts_of(row, user), due)

    async def _tell(self, found: Counter[Found]) -> None:
        """Count what was found, and warn of it now and then."""
        for what, number in found.items():
            metrics.INSPECTED_LISTS.labels(what).inc(number)
        found.pop("right", None)
        self._lost += found
        if self._lost and self._clock() - self._said >= SAY_SECONDS:
            logger.warning(
                "Redis has lost lists: %d are missing and %d are older than they should be; they are made again",
                self._lost["missing"],
                self._lost["stale"],
            )
            self._said, self._lost = self._clock(), Counter()
            await self.warn_of_eviction()

    async def warn_of_eviction(self) -> None:
        """Warn if Redis evicts lists when it is full; say nothing if it does not tell."""
        try:
            policy = await self._store.eviction()
        except (RedisError, OSError):
            return
        if policy:
            logger.warning(
                "Redis evicts lists when it is full (maxmemory-policy %s); use noeviction, and give it more memory",
                policy,
            )


def _lost(found: Mapping[str, Found]) -> list[str]:
    return [name for name, what in found.items() if what != "right"]
