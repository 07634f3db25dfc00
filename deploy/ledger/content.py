"""Recomputes the items' content rows from the catalogue feed and the embeddings."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from afresh.deploy.ledger.comparing import UNREADABLE, compare, leave_unchecked, shown, struct_fields
from afresh.deploy.ledger.events import Place, digest
from afresh.deploy.ledger.letters import Source
from afresh.deploy.ledger.reading import Logs, ReadRecord, Rows, decoded, made_from_what_is_gone, newest
from afresh.deploy.ledger.report import Report
from afresh.state.rows import content
from afresh.state.rows.content import ContentRow
from afresh.streams.checks import RefusedError, check_item
from afresh.streams.messages import Embedding, Item, embedding_decoder, text_request_decoder
from afresh.streams.settings import NO_ENCODER, Settings
from afresh.streams.stages.content import described
from afresh.streams.topics import Topics

TABLE = "content"


def usable(record: ReadRecord, settings: Settings) -> Item | None:
    """Return the item of a record that has a value, or None if the record must be refused."""
    try:
        item = check_item(record.value or b"", settings)
    except RefusedError:
        return None
    return item if record.key == item.id.encode() else None


@dataclass
class FedContent:
    """The newest state of the catalogue feed in one partition.

    Attributes
    ----------
    items
        Newest item by key.
    embeddings
        Newest embedding of each text of an item, by key and hash of the text.
    asked
        Texts that an encoder was asked to encode, as key and hash of the text.
    """

    items: dict[bytes, Item] = field(default_factory=dict)
    embeddings: dict[tuple[bytes, int], Embedding] = field(default_factory=dict)
    asked: set[tuple[bytes, int]] = field(default_factory=set)

    def row(self, key: bytes, item: Item) -> ContentRow:
        """Return the row of an item, with its embedding if an encoder has answered."""
        row, text = described(item, ContentRow())
        embedding = self.embeddings.get((key, row.content)) if text else None
        if embedding is None:
            return row
        return replace(
            row,
            embedding=embedding.vector,
            encoder=embedding.encoder,
            encoder_version=embedding.encoder_version,
        )


def check_content(
    logs: Logs, topics: Topics, settings: Settings, refused: dict[Source, int], report: Report
) -> dict[int, Rows]:
    """Recompute the content rows and compare them with their changelog; return the rows of the changelog.

    Adds the items that must be refused to ``refused``.
    """
    found: dict[int, Rows] = {}
    for partition in range(topics.items.partitions):
        feed = FedContent()
        for record in logs.records(topics.items, partition):
            _take(record, partition, feed, topics, settings, refused)
        for _, embedding in decoded(logs, topics.embeddings, partition, embedding_decoder, report):
            feed.embeddings[embedding.item.encode(), embedding.content] = embedding
        for _, request in decoded(logs, topics.texts, partition, text_request_decoder, report):
            feed.asked.add((request.item.encode(), request.content))
        found[partition] = newest(logs.records(topics.content, partition))
        due = {key: _due(feed.row(key, item), found[partition].get(key)) for key, item in feed.items.items()}
        if made_from_what_is_gone(found[partition], logs, topics.items):
            leave_unchecked(report, TABLE, found[partition])
            continue
        compare(report, TABLE, "item", due, found[partition], lambda row: struct_fields(content.unpack(row)))
        _check_texts(feed, due, settings, report)
    return found


def _take(
    record: ReadRecord,
    partition: int,
    feed: FedContent,
    topics: Topics,
    settings: Settings,
    refused: dict[Source, int],
) -> None:
    key = record.key or b""
    if key and record.value is None:
        feed.items.pop(key, None)
        return
    item = usable(record, settings) if key else None
    if item is None:
        refused[topics.items.name, Place(partition, record.offset)] = digest(record.value or b"")
    else:
        feed.items[key] = item


def _due(row: ContentRow, found: bytes | None) -> bytes:
    """Return a row as it must be. As long as no encoder has answered, it keeps the embedding of an earlier text."""
    if row.content and not row.embedding and found is not None:
        try:
            before = content.unpack(found)
        except UNREADABLE:
            return content.pack(row)
        row = replace(
            row,
            embedding=before.embedding,
            encoder=before.encoder,
            encoder_version=before.encoder_version,
        )
    return content.pack(row)


def _check_texts(feed: FedContent, due: Rows, settings: Settings, report: Report) -> None:
    for key, packed in due.items():
        row = content.unpack(packed)
        text = (key, row.content)
        if row.content and text not in feed.asked:
            report.differ("texts", f"no encoder was asked to encode the text of item {shown(key)}")
        elif row.content and settings.encoder != NO_ENCODER and text not in feed.embeddings:
            report.differ("texts", f"the text of item {shown(key)} has no embedding yet")
