"""Recomputes the items' behaviour rows from the examples; takes each example once."""

from __future__ import annotations

from collections.abc import Callable

from afresh.deploy.ledger.comparing import behaviour_fields, compare, leave_unchecked, rounded_elsewhere
from afresh.deploy.ledger.events import Place
from afresh.deploy.ledger.folding import DueExample, ExampleDigest, RecomputedUsers
from afresh.deploy.ledger.reading import (
    Logs,
    ReadRecord,
    Rows,
    decoded,
    earlier_incarnations,
    made_from_what_is_gone,
    newest,
)
from afresh.deploy.ledger.report import Report
from afresh.state.records import EXAMPLE_VERSION, Example
from afresh.state.rows.behaviour import BehaviourRows
from afresh.state.rows.learning import learn
from afresh.streams.kafka.sender import partition_of
from afresh.streams.messages import example_decoder
from afresh.streams.topics import Topics

TABLE = "behaviour"

LEARNED_AT_ONCE = 4096


class Learning:
    """Learns the examples of one partition.

    Parameters
    ----------
    partition, partitions
        Number of the partition, and how many partitions there are.
    due
        Examples of all partitions that must be there. Each example that is found is removed.
    incarnation
        Incarnation of the topic of interactions.
    is_gone
        Tells whether the interaction of an example is gone, or the user's row just before it.
    report
        Gets the differences.
    """

    def __init__(
        self,
        partition: int,
        partitions: int,
        due: dict[Place, DueExample],
        incarnation: int,
        is_gone: Callable[[Example], bool],
        report: Report,
    ) -> None:
        self._partition = partition
        self._partitions = partitions
        self._due = due
        self._incarnation = incarnation
        self._is_gone = is_gone
        self._report = report
        self._rows = BehaviourRows({})
        self._met: dict[tuple[int, Place], ExampleDigest] = {}
        self._batch: list[Example] = []

    def take(self, record: ReadRecord, example: Example) -> None:
        """Take in a record, unless it is a repeated one."""
        place, found = Place(example.source, example.offset), ExampleDigest.of(example, record.value or b"")
        # 0.1.0 named no incarnation; this program may have sent the same example again, with one.
        known = (example.incarnation or self._incarnation, place)
        if known not in self._met:
            self._met[known] = found
            self._check(example, place, found)
            self._batch.append(example)
            if len(self._batch) == LEARNED_AT_ONCE:
                self._learn()
            return
        self._report.events.repeated += 1
        if not self._met[known].agrees(found):
            self._report.differ("examples", f"{_told(example)} came again with other content")

    def _check(self, example: Example, place: Place, found: ExampleDigest) -> None:
        if example.version > EXAMPLE_VERSION:
            self._report.differ(
                "examples",
                f"{_told(example)} has version {example.version}; this program knows {EXAMPLE_VERSION}",
            )
        meant = None if (gone := self._is_gone(example)) else self._due.pop(place, None)
        if gone:
            self._report.events.unchecked += 1
        elif meant is None:
            self._report.differ(
                "examples", f"{_told(example)} must not be learned from, or is in two partitions"
            )
        elif not meant.digest.agrees(found, meant.partly):
            self._report.differ(
                "examples", f"{_told(example)} does not hold the state of user {meant.user!r} just before it"
            )
        if partition_of(example.item.encode(), self._partitions) != self._partition:
            self._report.differ(
                "examples", f"{_told(example)} is in partition {self._partition}, which is not its item's"
            )

    def _learn(self) -> None:
        if self._batch:
            learn(self._rows, self._batch)
            self._batch = []

    def compare(self, found: Rows) -> None:
        """Compare the learned rows with the rows of the changelog."""
        self._learn()
        due = {item: self._rows.packed(number) for number, item in enumerate(self._rows.ids)}
        compare(self._report, TABLE, "item", due, found, behaviour_fields, rounded_elsewhere)


def check_items(logs: Logs, topics: Topics, users: RecomputedUsers, report: Report) -> dict[int, Rows]:
    """Recompute the behaviour rows and compare them with their changelog; return the rows of the changelog.

    ``users`` holds the examples that must be there. The missing ones are left in it.
    """
    found: dict[int, Rows] = {}
    incarnation = logs.incarnation(topics.interactions)
    due, earlier = users.examples, earlier_incarnations(users.found.values(), logs, topics.interactions)

    def is_gone(example: Example) -> bool:
        return example.incarnation in earlier or example.source not in users.counts

    for partition in range(topics.examples.partitions):
        learning = Learning(partition, topics.examples.partitions, due, incarnation, is_gone, report)
        for record, example in decoded(logs, topics.examples, partition, example_decoder.decode, report):
            learning.take(record, example)
        found[partition] = newest(logs.records(topics.behaviour, partition))
        if made_from_what_is_gone(found[partition], logs, topics.examples):
            leave_unchecked(report, TABLE, found[partition])
        else:
            learning.compare(found[partition])
    if any(made_from_what_is_gone(rows, logs, topics.examples) for rows in found.values()):
        # Nobody can tell which of the missing examples were in the topic that is gone.
        report.events.unchecked += len(due)
        return found
    for place, missing in due.items():
        report.differ(
            "examples",
            f"the example of user {missing.user!r}, who took item {missing.item!r}, is missing (interaction "
            f"{place.partition}@{place.offset})",
        )
    return found


def _told(example: Example) -> str:
    return f"the example of item {example.item!r} from {example.source}@{example.offset}"
