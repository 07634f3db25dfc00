"""content: keeps the descriptions of items, requests an embedding when a text changes, and stores the embeddings."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from afresh.state.moments import OLDEST
from afresh.state.rows import brought, content
from afresh.state.rows.content import ContentRow, Vector
from afresh.state.store.changes import Change, in_groups
from afresh.state.store.marks import OWN_KEYS
from afresh.streams.generous import ITEMS_AGAIN
from afresh.streams.kafka.sender import Outgoing, OutgoingRecord, partition_of
from afresh.streams.messages import (
    NO_SOURCE,
    Embedding,
    Item,
    KeyedRecord,
    TextRequest,
    embedding_decoder,
    encode,
    keyed_decoder,
    keyed_key,
    own_key,
)
from afresh.streams.runs.run import KafkaRecord, Owned, Run
from afresh.streams.stages.again import AskingStage
from afresh.streams.stages.shared import Shared
from afresh.streams.stages.stage import Part, Source

MOVED = b"\x01"
"""Agent state of a partition whose misplaced rows have been moved; 0.1.0 kept none."""


class Content(AskingStage["ContentPart"]):
    """The agent of ``afresh.items.keyed`` and ``afresh.embeddings``.

    One agent reads both topics because both change the same rows.
    """

    def begin(self, run: Run, change: Change) -> ContentPart:
        """Begin a part of items or of embeddings."""
        return ContentPart(run, change, self._shared)

    def written(self, part: ContentPart) -> None:
        """Note which texts an encoder cannot read: nobody waits for their vectors."""
        self.unreadable |= part.unreadable

    async def prepare(self, owned: Owned) -> None:
        """Move the rows that 0.1.0 left in a partition that is not that of their key.

        It kept an item where the item's record stood. Each such row becomes a keyed record, older than any other.
        """
        change = self._table.change(owned.partition)
        if change.agent_state:
            return
        for keys in in_groups(list(self._misplaced(owned.partition)), change.room):
            outgoing = Outgoing(self._shared.settings.partitions)
            for key in keys:
                self._send_as_item(outgoing, key, content.unpack(change.get(key) or b""))
                change.delete_row(key)
            await self._runner.write(owned, outgoing, self._table, change)
            change = self._table.change(owned.partition)
        change.agent_state = MOVED
        # 0.1.0 counted the items of this partition as its own; now they come again, wherever they belong.
        change.marks.forget(self._shared.topics.items.name)
        await self._runner.write(owned, Outgoing(self._shared.settings.partitions), self._table, change)

    def _misplaced(self, partition: int) -> Iterator[bytes]:
        """Yield the keys of rows that are in a partition that is not that of their key."""
        partitions = self._shared.settings.partitions
        for key in self._table.rows[partition].keys_now():
            if key not in OWN_KEYS and partition_of(key, partitions) != partition:
                yield key

    def _send_as_item(self, outgoing: Outgoing, key: bytes, row: ContentRow) -> None:
        item = Item(
            id=key.decode(),
            domain=row.domain,
            title=row.title,
            text=row.text,
            attributes=row.attributes,
            available=row.available,
        )
        keyed = KeyedRecord(
            OLDEST.partition, OLDEST.offset, OLDEST.time, 0, msgspec.json.encode(item), inferred=True
        )
        topic = self._shared.topics.items_keyed
        record = OutgoingRecord(keyed_key(NO_SOURCE, key), encode(keyed))
        outgoing.add_to_partition(topic.name, partition_of(key, topic.partitions), record)


Told = tuple[KafkaRecord, KeyedRecord | None]
"""A record and its decoded keyed record; None for an embedding."""


class ContentPart(Part[Told]):
    """Items or embeddings that are written together.

    Attributes
    ----------
    unreadable
        Items of whose texts an encoder can make no vector.
    """

    def __init__(self, run: Run, change: Change, shared: Shared) -> None:
        super().__init__(run, change, shared)
        self._size = 0
        self._longest = content.longest(shared.settings.text_limit_bytes)
        self._template = shared.settings.text_template
        self._wanted = shared.wanted
        self.unreadable = set[bytes]()

    def read(self, record: KafkaRecord) -> Told:
        """Decode a keyed record. An embedding is decoded later, and only if it comes for the first time."""
        return record, (
            keyed_decoder.decode(record.value) if record.topic == self._topics.items_keyed.name else None
        )

    def fits(self, message: Told) -> bool:
        """Whether one more row fits, however long its texts are."""
        return self._size + self._longest <= self.change.room

    def source(self, message: Told) -> Source:
        """Return what the record of the item is counted by; the record itself if it was made from none."""
        record, keyed = message
        if keyed is None or keyed.inferred:
            return record.topic, self.incarnation, self.partition, record.offset
        return self._topics.items.name, keyed.incarnation, keyed.partition, keyed.offset

    def take(self, message: Told) -> None:
        """Take in an item, or the embedding of an item's text."""
        record, keyed = message
        if keyed is None:
            self._take_embedding(record)
        else:
            self._take_item(own_key(record.key), keyed)

    def _take_item(self, key: bytes, keyed: KeyedRecord) -> None:
        known = self._row(key)
        before = ContentRow(deleted=True) if known is None else known
        # What has vanished may be the very record that the row was made from.
        if keyed.moment < before.moment or (
            known and keyed.moment == before.moment and keyed.value is not None
        ):
            return
        if keyed.value is None:
            row, text = ContentRow(deleted=True), ""
        else:
            row, text = described(ITEMS_AGAIN.decode(keyed.value), before, self._template)
        if text and row.content != before.content:
            request = TextRequest(key.decode(), row.content, text, self._wanted().versions)
            self.outgoing.add_keyed(self._topics.texts.name, key, encode(request))
        elif before.content and not text:
            self._forget_text(key)
        elif known is None and keyed.value is None:
            # 0.1.0 may have left the text of an item that it deleted.
            self._forget_text(key)
        time, partition, offset = keyed.moment
        self._put_row(key, replace(row, time=time, partition=partition, offset=offset))

    def _take_embedding(self, record: KafkaRecord) -> None:
        if record.value is None:
            return
        embedding = embedding_decoder.decode(record.value)
        row = self._row(record.key)
        if row is None or not row.content:
            # The item was deleted, or lost its text, while the encoder worked. A new encoder must not read it again.
            self._forget_text(record.key)
        # While the encoder worked, the text may have changed again. Of some texts it can make no vector.
        elif row.content == embedding.content and not embedding.vector:
            self.unreadable.add(record.key)
        elif row.content == embedding.content and not row.is_read_by(embedding.encoder_version):
            self._put_row(record.key, content.with_vector(row, vector_of(embedding)))

    def _forget_text(self, key: bytes) -> None:
        for topic in (self._topics.texts, self._topics.embeddings):
            self.outgoing.add_keyed(topic.name, key, None)

    def _row(self, key: bytes) -> ContentRow | None:
        packed = self.change.get(key)
        return content.unpack(packed) if packed else None

    def _put_row(self, key: bytes, row: ContentRow) -> None:
        packed = content.pack(row)
        self.change.put_row(key, packed)
        self._size += len(key) + len(packed)


def described(item: Item, before: ContentRow, template: str) -> tuple[ContentRow, str]:
    """Return an item's new content row, made from its row before, and the text that the encoder reads.

    Vectors of an earlier text stay until the encoder has read the new one; without a text there are none. Those that
    the item brings take the place of all that it brought before.
    """
    text = content.text_for_encoder(item.title, item.text, item.attributes, template)
    row = replace(
        before,
        domain=item.domain,
        title=item.title,
        text=item.text,
        attributes=item.attributes,
        available=item.available,
        content=content.content_hash(text),
        vectors=[*(before.all_of(content.TEXT) if text else ()), *brought.vectors_of(item.vectors)],
        deleted=False,
    )
    return row, text


def vector_of(embedding: Embedding) -> Vector:
    """Return the vector that an encoder of texts has answered with."""
    return Vector(
        content.TEXT, embedding.encoder, embedding.encoder_version, embedding.content, embedding.vector
    )
