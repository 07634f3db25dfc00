"""answering: answers questions, each a text whose vectors somebody waits for, while other texts are being read.

A question needs no mark: one that is read twice gives the same answer. Anything may stand in the topic of questions.
What cannot be read is answered with the reason, or dropped if it has no key to answer to.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from afresh.models.arrays import Floats
from afresh.models.encoder.base import Kind
from afresh.state.encoders import Named
from afresh.state.errors import mendable
from afresh.streams import metrics
from afresh.streams.kafka.sender import Outgoing
from afresh.streams.messages import UNDECODABLE, Answer, Question, TextVector, encode, question_decoder
from afresh.streams.runs.run import KafkaRecord, Run
from afresh.streams.stages.readers import Readers
from afresh.streams.topics import Topic

AT_ONCE = 32
"""Questions of a run that are answered together, so that the first ones do not wait for all."""

LATE_MS = 30_000
"""Age of a question, in ms by Kafka's time, from which on nobody waits for the answer any more."""

LONGEST_KEY = 256
"""Most bytes of a question's key: the answer has it, too, and must fit into a batch."""

LONGEST_REASON = 200
"""Most characters of what is said of a record that is no question."""

NOT_HERE = "the embed worker that was asked has not loaded this version; look at: afresh embeddings status"
NO_TOKENS = "the text has no tokens"
NOT_FINITE = "the encoder gives no finite vector of this text"

logger = logging.getLogger(__name__)


class Answering:
    """Answers runs of questions.

    Parameters
    ----------
    readers
        The encoders.
    answers
        Topic of the answers.
    send
        Sends records; returns when they are acknowledged.
    now
        Clock, seconds since 1970.
    """

    def __init__(
        self,
        readers: Readers,
        answers: Topic,
        send: Callable[[Outgoing], Awaitable[None]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._readers = readers
        self._answers = answers
        self._send = send
        self._now = now

    async def process(self, run: Run) -> None:
        """Answer the questions of a run, some at a time; those that are too old are passed over."""
        for start in range(0, len(run.records), AT_ONCE):
            await self._answer(self._due(run.records[start : start + AT_ONCE]))
        run.done()

    def _due(self, records: Sequence[KafkaRecord]) -> list[KafkaRecord]:
        """Return the records that can and need to be answered."""
        keyed = [record for record in records if record.key and len(record.key) <= LONGEST_KEY]
        if len(keyed) < len(records):
            metrics.QUESTIONS.labels("without a key").inc(len(records) - len(keyed))
            logger.warning(
                "%d records of %s-%d are dropped: a question needs a key of 1 to %d bytes for its answer",
                *(len(records) - len(keyed), records[0].topic, records[0].partition, LONGEST_KEY),
                extra={"topic": records[0].topic, "partition": records[0].partition},
            )
        due = [record for record in keyed if record.timestamp >= 1000 * self._now() - LATE_MS]
        metrics.QUESTIONS.labels("too old").inc(len(keyed) - len(due))
        return due

    async def _answer(self, records: Sequence[KafkaRecord]) -> None:
        if not records:
            return
        read = [_question(record) for record in records]
        found = iter(await self._read([each for each in read if isinstance(each, Question)]))
        outgoing = Outgoing(self._answers.partitions)
        for record, each in zip(records, read, strict=True):
            answer = Answer(next(found)) if isinstance(each, Question) else each
            metrics.QUESTIONS.labels("refused" if answer.reason else "answered").inc()
            outgoing.add_keyed(self._answers.name, record.key or b"", encode(answer))
        await self._send(outgoing)
        for record in records:
            metrics.QUESTION_SECONDS.observe(max(self._now() - record.timestamp / 1000, 0.0))

    async def _read(self, questions: Sequence[Question]) -> list[list[TextVector]]:
        """Return what encoders say of each question. All texts for an encoder go into one call."""
        found: list[list[TextVector]] = [[] for _ in questions]
        together: defaultdict[tuple[str, Kind], list[int]] = defaultdict(list)
        for place, question in enumerate(questions):
            for version in self._readers.versions(question.encoders):
                together[version, question.kind].append(place)
        calls = [
            self._vectors(version, kind, [questions[place].text for place in places])
            for (version, kind), places in together.items()
        ]
        for places, vectors in zip(together.values(), await asyncio.gather(*calls), strict=True):
            for place, vector in zip(places, vectors, strict=True):
                found[place].append(vector)
        return found

    async def _vectors(self, version: str, kind: Kind, texts: Sequence[str]) -> list[TextVector]:
        if version not in self._readers:
            return [TextVector("", version, b"", NOT_HERE)] * len(texts)
        reader = self._readers[version]
        with mendable(ValueError):
            vectors = await reader.questions[kind].vectors(texts)
        return [_told(reader.encoder, vector) for vector in vectors]


def _question(record: KafkaRecord) -> Question | Answer:
    """Return the question in a record, or the answer that says why it is none."""
    try:
        return question_decoder.decode(record.value or b"")
    except UNDECODABLE as error:
        # The error may quote the record, which may be as large as Kafka takes.
        return Answer([], f"this is no question as afresh writes them: {str(error)[:LONGEST_REASON]}")


def _told(encoder: Named, vector: Floats) -> TextVector:
    """Return a vector as it is answered."""
    if not np.isfinite(vector).all():
        return TextVector(encoder.name, encoder.version, b"", NOT_FINITE)
    if not vector.any():
        return TextVector(encoder.name, encoder.version, b"", NO_TOKENS)
    return TextVector(encoder.name, encoder.version, vector.astype(np.float16).tobytes())
