"""content: keeps the descriptions of items, requests an embedding when a text changes, and stores the embeddings."""

from __future__ import annotations

from msgspec.structs import replace

from afresh.state.rows import content
from afresh.state.rows.content import ContentRow
from afresh.state.store.changes import CHANGE_BYTES, Change
from afresh.streams import metrics
from afresh.streams.checks import RefusedError, check_keyed_item
from afresh.streams.dead_letters import dead_letter
from afresh.streams.messages import Item, TextRequest, embedding_decoder, encode
from afresh.streams.runs.run import KafkaRecord, Run
from afresh.streams.stages.shared import Shared
from afresh.streams.stages.stage import OwnPart, Stage


class Content(Stage["ContentPart"]):
    """The agent of ``afresh.items`` and ``afresh.embeddings``.

    One agent reads both topics because both change the same rows.
    """

    def begin(self, run: Run, change: Change) -> ContentPart:
        """Begin a part of items or of embeddings."""
        return ContentPart(run, change, self._shared)


class ContentPart(OwnPart):
    """Items or embeddings that are written together."""

    def __init__(self, run: Run, change: Change, shared: Shared) -> None:
        super().__init__(run, change, shared)
        self._size = 0

    def fits(self, message: KafkaRecord) -> bool:
        """Whether one more row fits, however long its texts are."""
        return self._size < CHANGE_BYTES // 2

    def take(self, message: KafkaRecord) -> None:
        """Take in an item, or the embedding of an item's text."""
        if message.topic == self._topics.items.name:
            self._take_item(message)
        else:
            self._take_embedding(message)

    def _take_item(self, record: KafkaRecord) -> None:
        try:
            item = check_keyed_item(record.key, record.value, self._settings)
        except RefusedError as error:
            letter = dead_letter(record, error, self.incarnation)
            self.outgoing.add_to_partition(self._topics.dead_letters.name, self.partition, letter)
            metrics.DEAD_LETTERS.labels(error.reason).inc()
            return
        if item is None:
            # The key of an unknown item may be anything, such as bytes longer than a record batch, or no text. It must
            # not get into the changelog.
            if self.change.get(record.key) is not None:
                self.change.delete_row(record.key)
            self._size += len(record.key)
        else:
            self._put_item(record.key, item)

    def _put_item(self, key: bytes, item: Item) -> None:
        packed = self.change.get(key)
        before = content.unpack(packed) if packed else ContentRow()
        row, text = described(item, before)
        if not text:
            row = replace(row, embedding=b"", encoder="", encoder_version="")
        elif row.content != before.content:
            request = TextRequest(item.id, row.content, text)
            self.outgoing.add_keyed(self._topics.texts.name, key, encode(request))
        self._put_row(key, row)

    def _take_embedding(self, record: KafkaRecord) -> None:
        packed = self.change.get(record.key)
        embedding = embedding_decoder.decode(record.value)
        row = content.unpack(packed) if packed else None
        # While the encoder worked, the item may have been deleted, or its text changed again.
        if row is None or row.content != embedding.content:
            return
        row = replace(
            row,
            embedding=embedding.vector,
            encoder=embedding.encoder,
            encoder_version=embedding.encoder_version,
        )
        self._put_row(record.key, row)

    def _put_row(self, key: bytes, row: ContentRow) -> None:
        packed = content.pack(row)
        self.change.put_row(key, packed)
        self._size += len(key) + len(packed)


def described(item: Item, before: ContentRow) -> tuple[ContentRow, str]:
    """Return an item's new content row, made from its row before, and the text that the encoder reads."""
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
