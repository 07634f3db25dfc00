"""embed: encodes texts as vectors; a Faust app of its own, so that it can run where a GPU is.

The name of the consumer group contains the version of the encoder. A new encoder therefore reads every text again and
embeds the whole catalogue anew. The old vectors serve until the new ones are the majority.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import faust
import msgspec
import numpy as np

from afresh.models.arrays import Floats
from afresh.state.errors import mendable
from afresh.streams import metrics
from afresh.streams.encoders import load_encoder
from afresh.streams.kafka.app import create_app, source, watch_topics
from afresh.streams.kafka.lag import Lag
from afresh.streams.kafka.limits import BatchLimits
from afresh.streams.kafka.positions import Read
from afresh.streams.kafka.rights import needs
from afresh.streams.kafka.sender import Outgoing, Sender
from afresh.streams.kafka.throttling import Throttling
from afresh.streams.messages import Embedding, TextRequest, encode, text_request_decoder
from afresh.streams.runs.run import KafkaRecord, Run, not_ours
from afresh.streams.runs.runner import Runner
from afresh.streams.settings import Settings
from afresh.streams.stages.gathering import Gathering
from afresh.streams.topics import Topics

logger = logging.getLogger(__name__)


class Embed:
    """The agent of ``afresh.texts``, and its app.

    Parameters
    ----------
    settings
        Settings of the deployment; they name the encoder and Kafka.
    limits
        How large record batches may be.

    Raises
    ------
    AfreshError
        When the encoder cannot be loaded.
    """

    def __init__(self, settings: Settings, limits: BatchLimits | None = None) -> None:
        self._settings = settings
        self._topics = Topics(settings)
        self._encoder = load_encoder(settings)
        self.app = create_app(settings, f"{settings.namespace}-embed-{self._encoder.version}", limits)
        self._runner = Runner(self.app, "embed")
        self.app.unfinished = self._runner.unfinished
        self._sender: Sender | None = None
        self._gathering = Gathering(self._encoder.encode, settings.encoder_batch)
        self.app.agent(source(self.app, self._topics.texts), name="embed", concurrency=1)(self.agent)
        texts = self._topics.texts
        watch_topics(self.app, settings, [texts], {texts.name: Read(None)}, needs(read=[texts]))
        lag = Lag(self.app)
        self.app.task(lag.run)
        self.app.task(Throttling(self.app, lag).run)
        self.app.task(self.app.prove_writes)

    async def agent(self, stream: faust.StreamT[object]) -> None:
        """Take in runs forever."""
        await self._runner.drive(stream, self.process)

    async def process(self, run: Run) -> None:
        """Encode the newest text of each item in a run, batch by batch."""
        # A text without value is that of a deleted item: it must not be encoded any more.
        newest = {record.key: record for record in run.records}
        requests = [_request(record) for record in newest.values() if record.value is not None]
        # Sorted by length over the whole run: the encoder itself can sort only within one call.
        requests.sort(key=lambda request: len(request.text))
        size, waiting = self._settings.encoder_batch, len(requests)
        metrics.EMBEDDING_QUEUE.inc(waiting)
        try:
            for start in range(0, len(requests), size):
                batch = requests[start : start + size]
                with mendable(ValueError):
                    vectors = await self._gathering.vectors([request.text for request in batch])
                await self._send(batch, vectors)
                metrics.EMBEDDING_QUEUE.dec(len(batch))
                waiting -= len(batch)
        finally:
            # A run that a rebalance ends is read again, perhaps by another worker. Here, nothing of it waits any more.
            metrics.EMBEDDING_QUEUE.dec(waiting)
        run.done()

    async def _send(self, requests: Sequence[TextRequest], vectors: Floats) -> None:
        outgoing = Outgoing(self._settings.partitions)
        for request, vector in zip(requests, vectors, strict=True):
            embedding = Embedding(
                request.item,
                request.content,
                self._encoder.name,
                self._encoder.version,
                _packed(request, vector),
            )
            outgoing.add_keyed(self._topics.embeddings.name, request.item.encode(), encode(embedding))
        with self.app.writes.under_way():
            if self._sender is None:
                self._sender = Sender(await self.app.producers.start(), self.app.limits)
            await self._sender.send(outgoing)

    def not_ready(self) -> str:
        """Say in a few words what is not ready yet; empty when everything is."""
        if not self.app.started or not self.app.assigned():
            return "no partitions assigned"
        return self.app.refuses_writes()


def _packed(request: TextRequest, vector: Floats) -> bytes:
    """Return a vector as it is sent; empty if it is none, so that one text of a producer stops no others."""
    if np.isfinite(vector).all():
        return vector.astype(np.float16).tobytes()
    metrics.EMBEDDINGS_REFUSED.inc()
    logger.warning(
        "the encoder gives no finite vector of the text of item %s; it stays without one", request.item
    )
    return b""


def _request(record: KafkaRecord) -> TextRequest:
    try:
        return text_request_decoder.decode(record.value)
    except msgspec.MsgspecError as error:
        raise not_ours(record) from error
