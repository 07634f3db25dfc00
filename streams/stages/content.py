"""content: keeps what items are, asks for embeddings of texts that changed, and takes the embeddings in."""

from __future__ import annotations

import faust
from msgspec.structs import replace

from afresh.state.rows import content
from afresh.state.rows.content import ContentRow
from afresh.state.store.changes import CHANGE_BYTES, Change
from afresh.streams import metrics
from afresh.streams.kafka.sender import Outgoing
from afresh.streams.kafka.tables import RunTable
from afresh.streams.messages import ITEM_VERSION, Item, TextRequest, embedding_decoder, encode, item_decoder
from afresh.streams.runs.runner import KafkaRecord, Run, Runner
from afresh.streams.settings import Settings
from afresh.streams.stages.ingest import RefusedError, dead_letter, decode_known
from afresh.streams.topics import Topics


class Content:
    """The agent of ``afresh.items`` and ``afresh.embeddings``.

    It is one agent for both topics, since both write the same rows.
    """

    def __init__(self, runner: Runner, table: RunTable, settings: Settings, topics: Topics) -> None:
        self._runner = runner
        self._table = table
        self._settings = settings
        self._topics = topics

    async def agent(self, stream: faust.StreamT[object]) -> None:
        """Take in runs for ever."""
        await self._runner.drive(stream, self.process)

    async def process(self, run: Run) -> None:
        """Take in a run of items or of embeddings, in parts whose rows fit into one record batch."""
        take = self._take_item if run.topic == self._topics.items.name else self._take_embedding
        position = 0
        while position < len(run.records):
            change = self._table.change(run.partition)
            outgoing = Outgoing(self._settings.partitions)
            size = 0
            while position < len(run.records) and size < CHANGE_BYTES // 2:
                record = run.records[position]
                if change.marks.count_offset(record.topic, record.partition, record.offset):
                    size += take(record, change, outgoing)
                else:
                    metrics.SKIPPED.labels("content").inc()
                position += 1
            await self._runner.write(run, outgoing, self._table, change)
        run.done()

    def _take_item(self, record: KafkaRecord, change: Change, outgoing: Outgoing) -> int:
        try:
            item = self.check(record)
        except RefusedError as error:
            outgoing.add_to_partition(
                self._topics.dead_letters.name, record.partition, dead_letter(record, error)
            )
            metrics.DEAD_LETTERS.labels(error.reason).inc()
            return 0
        if item is None:
            # A key that no item has may be anything: longer than a record batch, or no text.
            if change.get(record.key) is not None:
                change.delete_row(record.key)
            return len(record.key)
        return self._put_item(record.key, item, change, outgoing)

    def check(self, record: KafkaRecord) -> Item | None:
        """Decode an item and check it; None deletes the item of the record's key.

        Raises
        ------
        RefusedError
            When the item can not be used.
        """
        if not record.key:
            raise RefusedError("key", "An item's record has no key; key it by the item's id.")
        if record.value is None:
            return None
        item = check(record.value, self._settings)
        if record.key != item.id.encode():
            raise RefusedError("key", f"The key of the item {item.id!r} is not its id.")
        return item

    def _put_item(self, key: bytes, item: Item, change: Change, outgoing: Outgoing) -> int:
        packed = change.get(key)
        before = content.unpack(packed) if packed else ContentRow()
        row, text = described(item, before)
        if not text:
            row = replace(row, embedding=b"", encoder="", encoder_version="")
        elif row.content != before.content:
            outgoing.add_keyed(self._topics.texts.name, key, encode(TextRequest(item.id, row.content, text)))
        return self._put(key, row, change)

    def _take_embedding(self, record: KafkaRecord, change: Change, outgoing: Outgoing) -> int:
        del outgoing
        packed = change.get(record.key)
        embedding = embedding_decoder.decode(record.value)
        row = content.unpack(packed) if packed else None
        # The item was deleted, or its text changed again, while the encoder worked.
        if row is None or row.content != embedding.content:
            return 0
        row = replace(
            row,
            embedding=embedding.vector,
            encoder=embedding.encoder,
            encoder_version=embedding.encoder_version,
        )
        return self._put(record.key, row, change)

    @staticmethod
    def _put(key: bytes, row: ContentRow, change: Change) -> int:
        packed = content.pack(row)
        change.put_row(key, packed)
        return len(key) + len(packed)


def check(value: bytes, settings: Settings) -> Item:
    """Decode an item and check it.

    Raises
    ------
    RefusedError
        When the item can not be used.
    """
    return decode_known(item_decoder, value, "item", ITEM_VERSION, settings.text_limit_bytes)


def described(item: Item, before: ContentRow) -> tuple[ContentRow, str]:
    """Content row of an item, given the one that it had before, and the text that the encoder reads."""
    text = content.text_for_encoder(item.title, item.text, item.attributes)
    row = replace(
        before,
        domain=item.domain,
        title=item.title,
        text=item.text,
        attributes=item.attributes,
        available=item.available,
        content=content.content_hash(text),
    )
    return row, text
