"""Recomputes the items' content rows from the keyed items and the embeddings."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from msgspec.structs import replace

from afresh.deploy.ledger.comparing import UNREADABLE, compare, leave_unchecked, shown, struct_fields
from afresh.deploy.ledger.inputs import Counting
from afresh.deploy.ledger.reading import Logs, Rows, made_from_what_is_gone, newest
from afresh.deploy.ledger.report import Report
from afresh.state.rows import content
from afresh.state.rows.content import ContentRow, Vector
from afresh.streams.generous import ITEMS_AGAIN
from afresh.streams.messages import (
    UNDECODABLE,
    Embedding,
    KeyedRecord,
    embedding_decoder,
    text_request_decoder,
)
from afresh.streams.settings import NO_ENCODER, Settings
from afresh.streams.stages.content import described, vector_of
from afresh.streams.topics import Topic, Topics

TABLE = "content"


@dataclass
class Encoded:
    """What encoders were asked and have answered in a partition; a record without value takes all of its key back.

    Attributes
    ----------
    asked
        Hashes of the texts of an item that an encoder was asked to encode, by key.
    answered
        Embeddings of each text of an item, by key and hash of the text.
    """

    asked: defaultdict[bytes, set[int]] = field(default_factory=lambda: defaultdict(set))
    answered: defaultdict[bytes, defaultdict[int, list[Embedding]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )


def check_content(
    logs: Logs, topics: Topics, settings: Settings, items: dict[int, Counting], report: Report
) -> dict[int, Rows]:
    """Recompute the content rows and compare them with their changelog; return the rows of the changelog.

    Parameters
    ----------
    logs, topics, settings, report
        The deployment, and what gets the differences.
    items
        The keyed items that count, by partition.
    """
    found: dict[int, Rows] = {}
    for partition, counting in items.items():
        read = _read(logs, topics, partition, report)
        found[partition] = newest(logs.records(topics.content, partition))
        if made_from_what_is_gone(found[partition], logs, topics.items_keyed):
            leave_unchecked(report, TABLE, found[partition])
            continue
        due = {
            key: _due(key, each, read, found[partition].get(key), settings.text_template)
            for key, each in counting.items()
        }
        packed = {key: content.pack(row) for key, row in due.items()}
        compare(
            report, TABLE, "item", packed, found[partition], lambda row: struct_fields(content.unpack(row))
        )
        _check_texts(due, read, settings, report)
    return found


def _read(logs: Logs, topics: Topics, partition: int, report: Report) -> Encoded:
    read = Encoded()
    for topic in (topics.texts, topics.texts_again):
        for record in logs.records(topic, partition):
            key = record.key or b""
            if record.value is None:
                read.asked.pop(key, None)
                continue
            try:
                read.asked[key].add(text_request_decoder.decode(record.value).content)
            except UNDECODABLE as error:
                _tell(topic, partition, record.offset, error, report)
    for record in logs.records(topics.embeddings, partition):
        key = record.key or b""
        if record.value is None:
            read.answered.pop(key, None)
            continue
        try:
            embedding = embedding_decoder.decode(record.value)
        except UNDECODABLE as error:
            _tell(topics.embeddings, partition, record.offset, error, report)
        else:
            read.answered[key][embedding.content].append(embedding)
    return read


def _tell(topic: Topic, partition: int, offset: int, error: Exception, report: Report) -> None:
    report.differ("records", f"the record at {partition}@{offset} of {topic.name} cannot be read ({error})")


def _due(key: bytes, keyed: KeyedRecord, read: Encoded, found: bytes | None, template: str) -> ContentRow:
    """Return a row as it must be. As long as no encoder has answered, it keeps the vectors of an earlier text."""
    time, partition, offset = keyed.moment
    if keyed.value is None:
        return ContentRow(deleted=True, time=time, partition=partition, offset=offset)
    row, text = described(ITEMS_AGAIN.decode(keyed.value), ContentRow(), template)
    row = replace(row, time=time, partition=partition, offset=offset)
    if not text:
        return row
    answers = [vector_of(each) for each in read.answered[key][row.content] if each.vector]
    read_by = [_as_answered(each, row, answers) for each in _vectors(found)]
    row = replace(row, vectors=[*read_by, *row.vectors])
    if answers and not any(row.is_read_by(each.encoder_version) for each in answers):
        row = content.with_vector(row, answers[-1])
    return row


def _as_answered(vector: Vector, row: ContentRow, answers: list[Vector]) -> Vector:
    """Return a vector of a row as its encoder answered. Two answers of one encoder may differ in their last bits."""
    of_it = [each for each in answers if each.encoder_version == vector.encoder_version]
    return vector if vector.content != row.content or not of_it or vector in of_it else of_it[0]


def _vectors(found: bytes | None) -> list[Vector]:
    """Return what encoders of texts say in a row."""
    try:
        return content.unpack(found).all_of(content.TEXT) if found else []
    except UNREADABLE:
        return []


def _check_texts(due: dict[bytes, ContentRow], read: Encoded, settings: Settings, report: Report) -> None:
    for key, row in due.items():
        if row.content and row.content not in read.asked[key]:
            report.differ("texts", f"no encoder was asked to encode the text of item {shown(key)}")
        elif row.content and settings.encoder != NO_ENCODER and row.content not in read.answered[key]:
            report.differ("texts", f"the text of item {shown(key)} has no embedding yet")
