"""Checks the dead letters: each refused record must have one. Repeated ones must name the same source record."""

from __future__ import annotations

from afresh.deploy.ledger.events import Place, digest
from afresh.deploy.ledger.reading import Logs, ReadRecord, is_earlier
from afresh.deploy.ledger.report import Report
from afresh.state.store.marks import UNKNOWN
from afresh.streams.dead_letters import KEPT_BYTES
from afresh.streams.topics import Topics

Source = tuple[str, Place]
"""Topic, partition and offset of the refused record."""


def check_letters(logs: Logs, topics: Topics, refused: dict[Source, int], report: Report) -> None:
    """Compare the dead letters with the records that must be refused; ``refused`` holds digests of their bytes."""
    met: set[Source] = set()
    incarnations = {topic.name: logs.incarnation(topic) for topic in topics.all()}
    for partition in range(topics.dead_letters.partitions):
        for record in logs.records(topics.dead_letters, partition):
            source = _source(record)
            if source is None:
                report.differ(
                    "dead letters", f"the dead letter at {partition}@{record.offset} names no record"
                )
            elif is_earlier(_incarnation(record), incarnations.get(source[0], UNKNOWN)):
                report.events.unchecked += 1
            elif source in met:
                report.events.repeated += 1
            else:
                met.add(source)
                _check(source, record, refused, topics, report)
    report.events.refused, report.events.dead_letters = len(refused), len(met)
    for source in refused.keys() - met:
        report.differ("dead letters", f"the record {_told(source)} must be refused, but has no dead letter")


def _check(
    source: Source, record: ReadRecord, refused: dict[Source, int], topics: Topics, report: Report
) -> None:
    if source in refused:
        value = record.value or b""
        if len(value) < KEPT_BYTES and digest(value) != refused[source]:
            report.differ("dead letters", f"the bytes of the record {_told(source)} were changed")
    elif source[0] == topics.events.name:
        # Only events: compaction may have deleted a refused record of the items.
        report.differ(
            "dead letters", f"the record {_told(source)} must not be refused, but has a dead letter"
        )


def _source(record: ReadRecord) -> Source | None:
    headers = dict(record.headers)
    try:
        topic = headers["topic"].decode()
        return topic, Place(int(headers["partition"]), int(headers["offset"]))
    except (KeyError, ValueError):
        return None


def _incarnation(record: ReadRecord) -> int:
    noted = dict(record.headers).get("incarnation", b"")
    return int(noted) if noted.isdigit() else UNKNOWN


def _told(source: Source) -> str:
    topic, place = source
    return f"{place.partition}@{place.offset} of {topic}"
