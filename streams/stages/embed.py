"""embed: encodes texts as vectors; a Faust app of its own, so that it can run where a GPU is.

It reads new and changed texts, and texts that are to be read again: those wait behind the others. Which encoders read
them the plan says, that all embed workers follow (``state.encoders``), or the request itself. Questions, for whose
vectors somebody waits, are read beside all of them (``streams.stages.answering``).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Sequence

import faust
import msgspec
import numpy as np
from msgspec.structs import replace

from afresh.models.arrays import Floats
from afresh.state.encoders import Named, Plan, announced
from afresh.state.errors import mendable
from afresh.streams import metrics
from afresh.streams.encoders import embed_group
from afresh.streams.kafka.app import create_app, source, watch_topics
from afresh.streams.kafka.follow import Follower
from afresh.streams.kafka.lag import Lag
from afresh.streams.kafka.limits import BatchLimits
from afresh.streams.kafka.positions import Read
from afresh.streams.kafka.rights import Needs, needs
from afresh.streams.kafka.sender import Outgoing, Sender
from afresh.streams.kafka.throttling import Throttling
from afresh.streams.messages import PLAN_KEY, Embedding, TextRequest, encode, text_request_decoder
from afresh.streams.planning import planned
from afresh.streams.runs.run import KafkaRecord, Run, not_ours
from afresh.streams.runs.runner import Runner
from afresh.streams.settings import Settings
from afresh.streams.stages.answering import Answering
from afresh.streams.stages.readers import Readers
from afresh.streams.topics import Topics

logger = logging.getLogger(__name__)

LOAD_SECONDS = 0.5
"""Time between two looks whether other encoders are wanted."""


class Embed:
    """The agents of ``afresh.texts``, ``afresh.texts.again`` and ``afresh.questions``, and their app.

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
        self._topics = topics = Topics(settings)
        self.readers = Readers(settings)
        self.app = create_app(settings, embed_group(settings), limits)
        self._follower = Follower(settings, {topics.encoders.name: planned(self.plan)})
        self._ready = asyncio.Event()
        self._new, self._again, self._asked = runners = [
            Runner(self.app, name, self._ready) for name in ("embed", "embed again", "answer")
        ]
        self.app.unfinished = lambda: any(runner.unfinished() for runner in runners)
        self._sender: Sender | None = None
        self._answering = Answering(self.readers, topics.answers, self._send)
        read = [topics.texts, topics.texts_again, topics.questions]
        self.app.agent(source(self.app, topics.texts), name="embed", concurrency=1)(self.agent)
        self.app.agent(source(self.app, topics.texts_again), name="again", concurrency=1)(self.agent_again)
        self.app.agent(source(self.app, topics.questions), name="answer", concurrency=1)(self.agent_questions)
        watch_topics(self.app, settings, read, {topic.name: Read(None) for topic in read}, rights_of(topics))
        lag = Lag(self.app)
        for task in (
            self._follower.run,
            self.load,
            lag.run,
            Throttling(self.app, lag).run,
            self.app.prove_writes,
        ):
            self.app.task(task)

    async def agent(self, stream: faust.StreamT[object]) -> None:
        """Take in runs of new texts forever."""
        await self._new.drive(stream, self.process)

    async def agent_again(self, stream: faust.StreamT[object]) -> None:
        """Take in runs of texts that are read again, forever."""
        await self._again.drive(stream, self.process_again)

    async def agent_questions(self, stream: faust.StreamT[object]) -> None:
        """Take in runs of questions forever."""
        await self._asked.drive(stream, self._answering.process)

    def plan(self, plan: Plan) -> None:
        """Take in what is wanted of encoders."""
        self.readers.plan = plan

    async def load(self) -> None:
        """Tell which encoder the settings name, and load those that are wanted, forever."""
        await self._follower.caught_up.wait()
        await self.announce()
        while True:
            await self.readers.load()
            self._ready.set()
            await asyncio.sleep(LOAD_SECONDS)

    async def announce(self) -> None:
        """Plan with the encoder of the settings, if they name another one than when it was planned the last time."""
        plan = announced(self.readers.plan, self.readers.own, int(time.time() * 1000))
        if plan is None:
            return
        outgoing = Outgoing(self._settings.partitions)
        outgoing.add_keyed(self._topics.encoders.name, PLAN_KEY, encode(plan))
        await self._send(outgoing)
        self.plan(plan)

    async def process(self, run: Run) -> None:
        """Encode the newest text of each item in a run, batch by batch.

        What an encoder is to read that is not loaded yet is put off: new texts of the others do not wait for it.
        """
        requests = _newest(run)
        await self._put_off(requests)
        await self._read(requests, later=False)
        run.done()

    async def process_again(self, run: Run) -> None:
        """Encode texts again, behind all new ones."""
        requests = _newest(run)
        await self.readers.wait_for([version for request in requests for version in request.encoders])
        await self._read(requests, later=True)
        run.done()

    async def _put_off(self, requests: Sequence[TextRequest]) -> None:
        outgoing = Outgoing(self._settings.partitions)
        for request in requests:
            missing = [version for version in request.encoders if version not in self.readers]
            if missing:
                put_off = encode(replace(request, encoders=missing))
                outgoing.add_keyed(self._topics.texts_again.name, request.item.encode(), put_off)
        if outgoing.batches:
            await self._send(outgoing)

    async def _read(self, requests: Sequence[TextRequest], *, later: bool) -> None:
        by_version: defaultdict[str, list[TextRequest]] = defaultdict(list)
        for request in requests:
            for version in self.readers.versions(request.encoders):
                if version in self.readers:
                    by_version[version].append(request)
        waiting = sum(map(len, by_version.values()))
        metrics.EMBEDDING_QUEUE.inc(waiting)
        try:
            for version, some in by_version.items():
                # Sorted by length over the whole run: the encoder itself can sort only within one call.
                some.sort(key=lambda request: len(request.text))
                for start in range(0, len(some), self._settings.encoder_batch):
                    batch = some[start : start + self._settings.encoder_batch]
                    await self._encode(version, batch, later=later)
                    metrics.EMBEDDING_QUEUE.dec(len(batch))
                    waiting -= len(batch)
        finally:
            # A run that a rebalance ends is read again, perhaps by another worker. Here, nothing of it waits any more.
            metrics.EMBEDDING_QUEUE.dec(waiting)

    async def _encode(self, version: str, requests: Sequence[TextRequest], *, later: bool) -> None:
        if version not in self.readers:
            # It was wanted when this run began, and is not any more.
            return
        reader = self.readers[version]
        with mendable(ValueError):
            vectors = await reader.gathering.vectors([request.text for request in requests], later=later)
        await self._send(self._answers(reader.encoder, requests, vectors))

    def _answers(self, encoder: Named, requests: Sequence[TextRequest], vectors: Floats) -> Outgoing:
        outgoing = Outgoing(self._settings.partitions)
        for request, vector in zip(requests, vectors, strict=True):
            embedding = Embedding(
                request.item, request.content, encoder.name, encoder.version, _packed(request, vector)
            )
            outgoing.add_keyed(self._topics.embeddings.name, request.item.encode(), encode(embedding))
        return outgoing

    async def _send(self, outgoing: Outgoing) -> None:
        with self.app.writes.under_way():
            if self._sender is None:
                self._sender = Sender(await self.app.producers.start(), self.app.limits)
            await self._sender.send(outgoing)

    def not_ready(self) -> str:
        """Say in a few words what is not ready yet; empty when everything is."""
        if not self.app.started or not self.app.assigned():
            return "no partitions assigned"
        if not self._ready.is_set():
            return "encoders not loaded"
        return self.app.refuses_writes()


def rights_of(topics: Topics) -> Needs:
    """Return what embed workers need."""
    return needs(
        read=[topics.texts, topics.texts_again, topics.questions, topics.encoders],
        written=[topics.embeddings, topics.texts_again, topics.answers, topics.encoders],
    )


def _newest(run: Run) -> list[TextRequest]:
    """Return the newest text of each item in a run."""
    # A text without value is that of a deleted item: it must not be encoded any more.
    newest = {record.key: record for record in run.records}
    return [_request(record) for record in newest.values() if record.value is not None]


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
