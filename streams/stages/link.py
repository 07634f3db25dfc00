"""link: keeps the links of accounts, and has what people did moved to their canonical users.

All links are in the first partition, so that one worker at a time takes them in, in one order.
"""

from __future__ import annotations

from afresh.state.people import Pair, People, Tie, moves
from afresh.state.rows import links as rows
from afresh.state.rows.links import LinkRow
from afresh.state.store.changes import Change, PerAssignment
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.state.store.rows import Rows
from afresh.streams import metrics
from afresh.streams.checks import RefusedError
from afresh.streams.kafka.sender import OutgoingRecord, partition_of
from afresh.streams.kafka.tables import RunTable
from afresh.streams.links import LinkTold, read_link
from afresh.streams.messages import COMMAND_KEY, KeyedRecord, encode, keyed_decoder, own_key
from afresh.streams.runs.run import KafkaRecord, Run, not_ours
from afresh.streams.runs.runner import Runner
from afresh.streams.stages.shared import Shared
from afresh.streams.stages.stage import Part, Source, Stage

ROW_BYTES = 64
"""Upper bound on a row, in bytes, besides the names in it."""


class Linking(Stage["LinkingPart"]):
    """The agent of ``afresh.identities.keyed``."""

    def __init__(self, runner: Runner, table: RunTable, shared: Shared) -> None:
        super().__init__(runner, table, shared)
        self._people = PerAssignment(table, lambda partition: standing(table.rows[partition]))

    def begin(self, run: Run, change: Change) -> LinkingPart:
        """Begin a part, given who is one person so far."""
        return LinkingPart(run, change, self._people[run.partition], self._shared)

    def written(self, part: LinkingPart) -> None:
        """Show how many links stand."""
        for kind, count in part.people.kinds.items():
            metrics.LINKS.labels(kind).set(count)


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
        return any(
            not self._moved.isdisjoint((*found, *found.values()))
            for found in map(self.people.concerned, pairs)
        )

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


def standing(packed: Rows) -> People:
    """Return who is one person by the links in some rows."""
    people = People()
    for key, value in packed.items():
        if key != PARTITION_ROW_KEY and (row := rows.unpack(value)).tie is not None:
            people.put(pair_of_row(key, row), row.tie)
    return people


def pair_of_row(key: bytes, row: LinkRow) -> Pair:
    """Return the pair that a row is about."""
    if row.canonical:
        return Pair(key.decode(), row.canonical, told=True)
    told = read_link(key, None)
    assert told.pair is not None, key
    return told.pair
