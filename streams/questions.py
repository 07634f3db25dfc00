"""Questions: asks the embed workers for the vectors of a text, and waits for the answer.

A question is a record with a key of its own. The answer has the same key, and stands in the partition of that key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

import afresh.streams.kafka.batches  # noqa: F401 - replaces how aiokafka takes batches apart
from afresh.models.encoder.base import Kind
from afresh.state.errors import AfreshError, UnavailableError
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.polls import poll_long
from afresh.streams.kafka.rights import refusal
from afresh.streams.kafka.sender import Outgoing, Sender
from afresh.streams.messages import (
    LONGEST_QUESTION,
    UNDECODABLE,
    Answer,
    Question,
    TextVector,
    answer_decoder,
    encode,
)
from afresh.streams.runs.run import not_ours
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics

ANSWER_SECONDS = 5.0
"""Longest wait for an answer, unless the asker has less time."""

POLL_SECONDS = 1.0
RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Questions:
    """Asks the embed workers; ``Questions.open`` makes one.

    Parameters
    ----------
    settings
        Settings of the deployment.
    sender
        Sends the questions.
    """

    def __init__(self, settings: Settings, sender: Sender) -> None:
        self._topics = Topics(settings)
        self._sender = sender
        self._waiting: dict[bytes, asyncio.Future[Answer]] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Questions]:
        """Connect to Kafka for the block, and follow the answers from their end, outside of any group."""
        consumer = AIOKafkaConsumer(
            **kafka_options(settings),
            enable_auto_commit=False,
            auto_offset_reset="latest",
            isolation_level="read_committed",
        )
        producer = AIOKafkaProducer(
            **kafka_options(settings), acks="all", enable_idempotence=settings.idempotence
        )
        async with AsyncExitStack() as stack:
            for client in (producer, consumer):
                stack.push_async_callback(client.stop)
                await client.start()
            poll_long(consumer, settings.fetch_max_wait_seconds)
            questions = cls(settings, Sender(producer))
            await questions._begin(consumer)
            following = asyncio.create_task(questions._follow(consumer))
            try:
                yield questions
            finally:
                following.cancel()
                with suppress(asyncio.CancelledError):
                    await following

    async def vectors(
        self,
        text: str,
        kind: Kind = "query",
        encoders: Sequence[str] = (),
        seconds: float = ANSWER_SECONDS,
    ) -> dict[str, TextVector]:
        """Ask for the vectors of a text.

        Parameters
        ----------
        text
            The text, of at most ``LONGEST_QUESTION`` characters.
        kind
            Whether it is a document or a query.
        encoders
            Versions of the encoders that are to read it; none: all that the embed worker has.
        seconds
            Longest wait for the answer, in seconds.

        Returns
        -------
        What each encoder says, by its version.

        Raises
        ------
        UnavailableError
            If no embed worker answers in time.
        AfreshError
            If the text is too long, the question is refused, or Kafka refuses a right.
        """
        if len(text) > LONGEST_QUESTION:
            raise AfreshError(
                f"a text of {len(text):,} characters is too long for a question; ask for {LONGEST_QUESTION:,} at most"
            )
        # As encoders read it: lone surrogates cannot be sent.
        question = Question(text.encode("utf-8", "replace").decode(), kind, list(encoders))
        try:
            async with asyncio.timeout(seconds):
                answer = await self._answer(question)
        except TimeoutError as error:
            raise UnavailableError(
                f"no embed worker answered within {seconds:g} s; look whether afresh embed-worker runs and is ready"
            ) from error
        if answer.reason:
            raise AfreshError(f"the embed worker refuses the question: {answer.reason}")
        return {each.encoder_version: each for each in answer.vectors}

    async def _answer(self, question: Question) -> Answer:
        key = uuid4().hex.encode()
        outgoing = Outgoing(self._topics.questions.partitions)
        outgoing.add_keyed(self._topics.questions.name, key, encode(question))
        self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            await self._sender.send(outgoing)
            return await self._waiting[key]
        finally:
            del self._waiting[key]

    async def _begin(self, consumer: AIOKafkaConsumer) -> None:
        """Place a consumer at the end of the answers: what is asked from now on is answered behind it."""
        topic = self._topics.answers
        places = [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]
        consumer.assign(places)
        for place, end in (await consumer.end_offsets(places)).items():
            consumer.seek(place, end)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                fetched = await consumer.getmany(timeout_ms=int(1000 * POLL_SECONDS))
            except KafkaError as error:
                self._fail(refusal(error))
                logger.warning(
                    "Kafka does not serve the answers of embed workers (%r); retrying in %s s",
                    error,
                    RETRY_SECONDS,
                )
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for records in fetched.values():
                for record in records:
                    self._take(record)

    def _fail(self, refused: AfreshError | None) -> None:
        """Tell those who wait that Kafka refuses a right; anything else may pass before their time is over."""
        for waits in self._waiting.values():
            if refused is not None and not waits.done():
                waits.set_exception(refused)

    def _take(self, record: ConsumerRecord[bytes, bytes]) -> None:
        waits = self._waiting.get(record.key or b"")
        if waits is None or waits.done():
            return
        try:
            waits.set_result(answer_decoder.decode(record.value or b""))
        except UNDECODABLE:
            waits.set_exception(not_ours(record))
