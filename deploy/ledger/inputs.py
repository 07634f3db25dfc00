"""Checks that the newest record of each key of an input was passed on and noted, and says which of them counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from afresh.deploy.ledger.comparing import compare, leave_unchecked, shown, struct_fields
from afresh.deploy.ledger.events import Place, digest
from afresh.deploy.ledger.letters import Source
from afresh.deploy.ledger.reading import (
    Logs,
    ReadRecord,
    Rows,
    decoded,
    is_earlier,
    made_from_what_is_gone,
    newest,
)
from afresh.deploy.ledger.report import Report
from afresh.state.rows import intake
from afresh.state.rows.intake import IntakeRow
from afresh.streams.checks import RefusedError
from afresh.streams.messages import NO_SOURCE, KeyedRecord, keyed_decoder
from afresh.streams.settings import Settings
from afresh.streams.stages.intake import INPUTS, Input, target_of
from afresh.streams.topics import Topic, Topics

Counting = dict[bytes, KeyedRecord]
"""The keyed record that counts, by the record's own key."""

Entries = dict[tuple[int, bytes], KeyedRecord]
"""Newest keyed record by source partition and the record's own key."""


@dataclass
class InputRecords:
    """What stands in an input.

    Attributes
    ----------
    newest
        Newest record that can be used, by partition and key.
    keys
        Partition and key of all records.
    """

    newest: dict[tuple[int, bytes], ReadRecord] = field(default_factory=dict)
    keys: set[tuple[int, bytes]] = field(default_factory=set)


def check_inputs(
    logs: Logs, topics: Topics, settings: Settings, refused: dict[Source, int], report: Report
) -> dict[str, dict[int, Counting]]:
    """Compare the inputs with their keyed records, and with the rows of the intake.

    Adds the records that must be refused to ``refused``.

    Returns
    -------
    By input and partition of its keyed topic, the keyed records that count.
    """
    due: dict[int, Rows] = {partition: {} for partition in range(topics.intake.partitions)}
    counting = {}
    for each in INPUTS:
        fed = _fed(each, logs, topics.named(each.topic), settings, refused)
        for (partition, key), record in fed.newest.items():
            if record.value is not None:
                row = IntakeRow(offset=record.offset, incarnation=logs.incarnation(topics.named(each.topic)))
                due[partition][intake.row_key(each.topic, key)] = intake.pack(row)
        counting[each.topic] = _check(each, fed, logs, topics, report)
    for partition, rows in due.items():
        found = newest(logs.records(topics.intake, partition))
        if any(made_from_what_is_gone(found, logs, topics.named(each.topic)) for each in INPUTS):
            leave_unchecked(report, "intake", found)
            continue
        compare(report, "intake", "key", rows, found, lambda row: struct_fields(intake.unpack(row)))
    return counting


def _fed(of: Input, logs: Logs, topic: Topic, settings: Settings, refused: dict[Source, int]) -> InputRecords:
    fed = InputRecords()
    for partition in range(topic.partitions):
        for record in logs.records(topic, partition):
            place = (partition, record.key or b"")
            fed.keys.add(place)
            try:
                of.check(record.key, record.value, settings)
            except RefusedError:
                refused[topic.name, Place(partition, record.offset)] = digest(record.value or b"")
            else:
                fed.newest[place] = record
    return fed


def _check(of: Input, fed: InputRecords, logs: Logs, topics: Topics, report: Report) -> dict[int, Counting]:
    keyed = topics.named(of.keyed)
    entries: Entries = {}
    counting: dict[int, Counting] = {}
    for partition in range(keyed.partitions):
        counting[partition] = {}
        found = dict(_keyed(of, logs, keyed, partition, report))
        for (_, key), entry in found.items():
            before = counting[partition].get(key)
            if before is None or entry.moment > before.moment:
                counting[partition][key] = entry
        entries |= found
    topic = topics.named(of.topic)
    now = logs.incarnation(topic)
    _compare(
        fed,
        {place: each for place, each in entries.items() if not is_earlier(each.incarnation, now)},
        topic,
        report,
    )
    return counting


def _keyed(
    of: Input, logs: Logs, topic: Topic, partition: int, report: Report
) -> Iterator[tuple[tuple[int, bytes], KeyedRecord]]:
    for record, keyed in decoded(logs, topic, partition, keyed_decoder.decode, report):
        key = record.key or b""
        own = key[2:]
        if target_of(of, own, topic.partitions) != partition:
            report.differ(
                topic.name, f"the record of {shown(own)} is in partition {partition}, not that of its key"
            )
        yield (int.from_bytes(key[:2], "big"), own), keyed


def _compare(fed: InputRecords, entries: Entries, topic: Topic, report: Report) -> None:
    for (partition, key), record in fed.newest.items():
        entry = entries.get((partition, key))
        if entry is None or (entry.offset, entry.value) != (record.offset, record.value):
            report.differ(
                topic.name, f"the record of {shown(key)} at {partition}@{record.offset} was not passed on"
            )
    for (partition, key), entry in entries.items():
        if partition != NO_SOURCE and entry.value is not None and (partition, key) not in fed.keys:
            report.differ(
                topic.name, f"{shown(key)} has vanished from partition {partition}, and was not deleted"
            )
