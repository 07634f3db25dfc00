"""link: keeps the links of accounts, and has what people did moved to their canonical users.

All links are in the first partition, so that one worker at a time takes them in, in one order.
"""

from __future__ import annotations

import asyncio

from afresh.state.people import Pair, People, Tie, moves
from afresh.state.rows import links as rows
from afresh.state.rows.links import LinkRow
from afresh.state.store.changes import Change
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.state.store.rows import Rows
from afresh.streams import metrics
from afresh.streams.checks import RefusedError
from afresh.streams.kafka.sender import OutgoingRecord, partition_of
from afresh.streams.kafka.tables import RunTable
from afresh.streams.links import LinkTold, read_link
from afresh.streams.messages import COMMAND_KEY, KeyedRecord, encode, keyed_decoder, own_key
from afresh.streams.runs.run import KafkaRecord, Owned, Run, not_ours
from afresh.streams.runs.runner import Runner
from afresh.streams.stages.prepared import PreparedStage
from afresh.streams.stages.shared import Shared
from afresh.streams.stages.stage import Part, Source
from afresh.streams.topics import FIRST_PARTITION

ROW_BYTES = 64
"""Upper bound on a row, in bytes, besides the names in it."""

AT_ONCE = 1000
"""Rows or people that are gone through before the event loop gets its turn."""


class Linking(PreparedStage["LinkingPart"]):
    """The agent of ``afresh.identities.keyed``."""

    def __init__(self, runner: Runner, table: RunTable, shared: Shared) -> None:
        super().__init__(runner, table, shared)
        self._people: dict[int, tuple[int, People]] = {}

    async def prepare(self, owned: Owned) -> None:
        """Find out from the rows who is one person, anew in each assignment: a run that was dropped has changed it."""
        people = await standing(self._table.rows[owned.partition])
        # Of partitions that have moved away nothing must stay in memory.
        self._people = {p: each for p, each in self._people.items() if each[0] >= owned.generation}
        self._people[owned.partition] = owned.generation, people
        if owned.partition == FIRST_PARTITION:
            show(people)

    def begin(self, run: Run, change: Change) -> LinkingPart:
        """Begin a part, given who is one person so far."""
        return LinkingPart(run, change, self._people[run.partition][1], self._shared)

    def written(self, part: LinkingPart) -> None:
        """Show how many people there are now."""
        show(part.people)


Read = tuple[KafkaRecord, KeyedRecord, LinkTold]
"""A record, the input's record in it, and what that says."""


class LinkingPart(Part[Read]):
    """Links that are taken in together.

    Attributes
    ----------
    people
        Who is one person.
    """

    def __init__(self, run: Run, change: Change, people: People, shared: Shared) -> None:
        super().__init__(run, change, shared)
        self.people = people
        self._state = rows.unpack_state(change.agent_state)
        self._size = 0
        self._moved: set[str] = set()

    def read(self, record: KafkaRecord) -> Read:
        """Decode a link."""
        keyed = keyed_decoder.decode(record.value)
        try:
            return record, keyed, read_link(own_key(record.key), keyed.value)
        except RefusedError as error:
            raise not_ours(record) from error

    def fits(self, message: Read) -> bool:
        """Whether one more row fits, and nobody is concerned whom this part moves already.

        Kafka must have all moves of one link before it gets the next ones of the same rows: parts are sent one after
        the other, but the records of one part to all partitions at once. Else what a later move sends from one
        partition to another could come there before an earlier move.
        """
        record, _, told = message
        self._size += len(record.key or b"") + len(record.value or b"") + ROW_BYTES
        return self._size <= self.change.room and not (self._moved and self._concerns_moved(told))

    def _concerns_moved(self, told: LinkTold) -> bool:
        pairs = [pair for pair, _ in told.changes(rows.unpack(self.change.get(told.key)))]
        found = [person for pair in pairs for person in self.people.concerned(pair).values()]
        return any(not self._moved.isdisjoint((each.canonical, *each.accounts)) for each in set(found))

    def source(self, message: Read) -> Source:
        """Return the place of the record itself."""
        record, _, _ = message
        return record.topic, self.incarnation, record.partition, record.offset

    def take(self, message: Read) -> None:
        """Keep a link, or its end, unless a newer record of it is known."""
        _, keyed, told = message
        before = rows.unpack(self.change.get(told.key))
        if keyed.moment >= before.moment:
            self.change.put_row(told.key, rows.pack(told.row(keyed.moment)))
            for pair, tie in told.changes(before):
                self._set(pair, tie, keyed.time)

    def _set(self, pair: Pair, tie: Tie | None, appended: int) -> None:
        """Set a link, and command what follows from it."""
        renamed = self.people.set(pair, tie)
        if not renamed:
            return
        self._moved.update(name for each in renamed for name in each)
        self._state.next(appended)
        for move in moves(renamed, self._state.time, self._state.number):
            self._state.number = move.number
            topic = self._topics.interactions
            target = partition_of(move.row.encode(), topic.partitions)
            self.outgoing.add_to_partition(topic.name, target, OutgoingRecord(COMMAND_KEY, encode(move)))
            metrics.MOVES_SENT.labels(move.name).inc()

    def close(self) -> None:
        """Put the newest number into the change."""
        self.change.agent_state = rows.pack(self._state)


async def standing(packed: Rows) -> People:
    """Return who is one person by the links in some rows; in between, others get their turns."""
    people = People()
    for number, key in enumerate(packed.keys_now()):
        row = LinkRow() if key == PARTITION_ROW_KEY else rows.unpack(packed.get(key))
        if row.tie is not None:
            people.put(pair_of_row(key, row), row.tie)
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    for number, _ in enumerate(people.count_people()):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    return people


def pair_of_row(key: bytes, row: LinkRow) -> Pair:
    """Return the pair that a row is about."""
    if row.canonical:
        return Pair(key.decode(), row.canonical, told=True)
    told = read_link(key, None)
    assert told.pair is not None, key
    return told.pair


def show(people: People) -> None:
    """Show how many links stand, and how many people there are."""
    for kind, count in people.kinds.items():
        metrics.LINKS.labels(kind).set(count)
    metrics.PEOPLE.set(people.sizes.people.total())
    metrics.LARGEST_PERSON.set(people.sizes.largest)
    metrics.ACCOUNTS_APART.labels("hub").set(people.hubs)
    metrics.ACCOUNTS_APART.labels("too_many").set(people.sizes.apart)
