"""The Faust apps: how Faust is configured, started and stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers.aiokafka import Producer
from faust.types import TP, TopicT
from faust.types.auth import CredentialsT

from afresh.state.errors import AfreshError
from afresh.state.store.changes import Change
from afresh.state.store.rocks import RocksStore
from afresh.state.store.rows import MemoryPartitions, Partitions
from afresh.streams import metrics
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.alignment import require_alignment
from afresh.streams.kafka.course import Course
from afresh.streams.kafka.ending import first_of, log_meaning, meaning_of, status_of
from afresh.streams.kafka.fence import Claims
from afresh.streams.kafka.incarnations import Incarnations, TopicWatch
from afresh.streams.kafka.limits import PRODUCER_BYTES, BatchLimits
from afresh.streams.kafka.positions import Positions, Read
from afresh.streams.kafka.producers import Producers
from afresh.streams.kafka.recovery import RunTables
from afresh.streams.kafka.rights import Needs, told
from afresh.streams.kafka.sender import FencedError, OutgoingRecord
from afresh.streams.kafka.tables import RunTable
from afresh.streams.kafka.transport import RunConsumer, RunTransport
from afresh.streams.kafka.writes import Writes
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic

RUNS_WAITING = 2
"""Runs queued for an agent: the fewer wait, the longer the next run is, and the sooner it is read."""

MAX_RECORDS = 4000
"""Maximum number of records in a run."""

METADATA_SECONDS = 10.0
"""Maximum age of topic metadata, so that a changed topic is noticed soon; Faust's default is five minutes."""

STOP_SECONDS = 9.0
"""Time limit of an orderly stop; supervisors send SIGKILL after 10 s."""

FINISH_SECONDS = 5.0
"""Time for running runs to finish when the process is told to stop. Runs that do not finish are read again."""

FINISH_POLL_SECONDS = 0.01

PROOF_SECONDS = 1.0
"""Time between two looks whether a write is to be proved."""

logger = logging.getLogger(__name__)


class App(faust.App):
    """A Faust app that is sure to end when it has to.

    While it stops, Faust 0.15 can wait forever for the thread of its consumer, above all after a crash. Such a worker
    does not work, holds its partitions, and is never restarted.

    Attributes
    ----------
    consumer
        The consumer that ``RunTransport`` makes.
    producers
        Producers besides Faust's own.
    unfinished
        Returns whether a run has begun and may not be committed yet.
    course
        Says in the log what happens to the process.
    told_to_stop
        Returns whether the process was told to stop, by a signal.
    incarnations
        Incarnations of the topics.
    limits
        How large record batches may be.
    positions
        Decides where sources go on; None: at their committed offsets.
    writes
        Tells whether Kafka takes writes.
    told
        Returns why the process ends; if Kafka has refused it something, as a sentence.
    """

    consumer: RunConsumer

    def __init__(
        self, name: str, *, limits: BatchLimits, fenced: bool, partitions: int, **kwargs: Any
    ) -> None:
        self.limits = limits
        self._partitions = partitions
        self.unfinished: Callable[[], bool] = lambda: False
        self.incarnations = Incarnations()
        self.positions: Positions | None = None
        self.writes = Writes()
        self.course = Course()
        self.told_to_stop: Callable[[], bool] = lambda: False
        self.told: Callable[[BaseException | None], BaseException | None] = lambda reason: reason
        self.producers = Producers(self._one_more_producer)
        super().__init__(name, **kwargs)
        self.claims = Claims(name, self.producers.start, self.producers.drop, limits, fenced=fenced)

    async def _wait_for_table_recovery_completed(self) -> bool:
        """Return at once whether the app stops: its tasks do not wait for tables.

        Faust lets them wait, but only if the recovery has begun by now, a matter of milliseconds. The Catalogue is read
        meanwhile, and whoever waits wants to know what for.
        """
        return bool(self.should_stop)

    async def crash(self, reason: BaseException) -> None:
        """Record the failure, and end the process within the time limit.

        Faust calls this with whatever a task of ours raises; of a group of errors, the first one counts.
        """
        self._end_soon()
        first = first_of(reason)
        await super().crash(self.told(first) or first)

    async def on_stop(self) -> None:
        """Stop in order, but within the time that supervisors wait."""
        self._end_soon()
        if self.told_to_stop():
            self.course.told_to_stop()
        if not self.crashed:
            await self._finish()
        await super().on_stop()
        await self.producers.stop()

    async def _finish(self) -> None:
        """Stop fetching, and wait for running runs, so that the last commit contains their offsets."""
        if self.assigned():
            self.consumer.stop_flow()
            self.flow_control.suspend()
        deadline = time.monotonic() + FINISH_SECONDS
        while self.unfinished() and time.monotonic() < deadline:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(FINISH_POLL_SECONDS)
        if self.unfinished():
            logger.warning(
                "Runs under way did not finish within %g s, perhaps because Kafka or Redis is down; "
                "they will be read again",
                FINISH_SECONDS,
            )

    def _one_more_producer(self, transactional_id: str | None) -> AIOKafkaProducer:
        # Made by Faust, so that it has the settings of Faust's own producer.
        return cast(Producer, self.producer)._new_producer(transactional_id)

    async def _on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Check the assignment, and claim the changelog partitions before Faust asks for their end offsets."""
        if not self.should_stop:
            ours, changelogs = self.assignor.assigned_actives(), self.tables.changelog_topics
            try:
                require_alignment(ours, changelogs, self._partitions)
                await self.claims.renew([tp for tp in ours if tp.topic in changelogs])
            except Exception as error:
                await self.crash(error)
            else:
                # Without tables, Faust lets aiokafka assign partitions, and its own assignor knows none of them.
                self.course.assigned(ours if self.tables else assigned)
        await super()._on_partitions_assigned(assigned, generation_id)

    async def keep_claims(self) -> None:
        """Renew the claims of our changelog partitions in time, forever."""
        self.claims.report_expiry()
        await self.claims.keep(lambda: not self.rebalancing and self.consumer.membership_is_fresh())

    async def prove_writes(self) -> None:
        """Commit something whenever nothing was committed for a while, so that a process at rest knows, too."""
        metrics.KAFKA_WRITE_AGE.set_function(self.writes.age)
        while not self.should_stop:
            if self.writes.is_due() and self.assigned() and not self.rebalancing:
                # What fails is tried again; while it does, /ready says so.
                with suppress(KafkaError):
                    await self.consumer.commit_again()
            await asyncio.sleep(PROOF_SECONDS)

    def refuses_writes(self) -> str:
        """Say why Kafka takes no writes; empty if it took one a moment ago. Only while partitions are assigned."""
        return self.writes.refusal(self.consumer.membership_is_fresh())

    async def write_rows(self, table: RunTable, partition: int, change: Change) -> None:
        """Write a change to the changelog before the sources are read, unless another worker owns the partition now."""
        topic = str(table.changelog_topic.get_topic_name())
        records = [OutgoingRecord(key, row) for key, row in change.records()]
        try:
            change.apply(await self.claims.sender(topic, partition).send_whole(topic, partition, records))
        except FencedError:
            logger.info(
                "Another process owns partition %d in the meantime",
                partition,
                extra={"topic": topic, "partition": partition},
            )

    def assigned(self) -> set[TP]:
        """Return the partitions that are ours; none before the consumer has started."""
        # Not ``self.consumer``: that property makes the consumer at its first use. The thread of the metrics page asks
        # while the app starts. Both threads made a consumer, and the app waited forever for the one never started.
        return set(self._consumer.assignment()) if self._consumer else set()

    def has_committed(self) -> bool:
        """Whether every run that has begun is committed."""
        return not self.unfinished() and (not self._consumer or self.consumer.last_commit_taken)

    def _end_soon(self) -> None:
        timer = threading.Timer(STOP_SECONDS, self._end)
        timer.daemon = True
        timer.start()

    def _end(self) -> None:
        logger.warning(
            "Stopping took longer than %g s; the process ends now, and everything counted is safe",
            STOP_SECONDS,
        )
        reason = self.told(self.crash_reason)
        status = status_of(reason, told=self.told_to_stop())
        if status and (meaning := meaning_of(reason)):
            log_meaning(logger, meaning)
            # The last line, as of any command that fails; a full disk must not keep the process alive.
            with suppress(OSError):
                sys.stderr.write(f"afresh: {meaning}\n")
                sys.stderr.flush()
        logging.shutdown()
        os._exit(status)


def create_app(settings: Settings, name: str, limits: BatchLimits | None = None) -> App:
    """Create the Faust app of a process.

    Parameters
    ----------
    settings
        Settings of the deployment.
    name
        Name of the app and of its consumer group.
    limits
        How large record batches may be; by default Kafka's own limit stands for each topic.

    Raises
    ------
    AfreshError
        When the data folder cannot be created, or a TLS file cannot be used.
    """
    folder = settings.data_dir.expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AfreshError(
            f"The folder {folder} cannot be created ({error.strerror}); set AFRESH_DATA_DIR."
        ) from error
    app = App(
        name,
        limits=limits or BatchLimits(),
        fenced=settings.idempotence,
        partitions=settings.partitions,
        broker=[f"kafka://{server}" for server in settings.brokers],
        broker_credentials=_credentials(kafka_options(settings)),
        datadir=folder / name,
        store="memory://",
        TableManager=RunTables,
        table_standby_replicas=settings.standby_replicas,
        web_enabled=False,
        # `afresh topics create` has made the topics. Faust would create missing ones with its own defaults.
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_buffer_maxsize=RUNS_WAITING,
        stream_recovery_delay=0.0,
        stream_wait_empty=False,
        broker_max_poll_records=MAX_RECORDS,
        broker_commit_interval=1.0,
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.session_timeout_seconds / 5,
        broker_request_timeout=settings.session_timeout_seconds * 2,
        broker_rebalance_timeout=settings.session_timeout_seconds,
        # With any other value, aiokafka goes on at the beginning of whatever log it finds, without a word.
        consumer_auto_offset_reset="none",
        consumer_metadata_max_age_ms=int(METADATA_SECONDS * 1000),
        consumer_max_fetch_size=4 * 1024 * 1024,
        producer_acks=-1,
        producer_linger=0.0,
        # Senders fill batches up to what their topics take.
        producer_max_batch_size=PRODUCER_BYTES,
        producer_max_request_size=PRODUCER_BYTES,
    )
    app.told = partial(told, settings)
    transport = RunTransport(app.conf.broker, app, app.loop)
    transport.fetch_max_wait_seconds = settings.fetch_max_wait_seconds
    app.transport = transport
    return app


def watch_topics(
    app: App, settings: Settings, topics: Sequence[Topic], sources: Mapping[str, Read], wanted: Needs
) -> None:
    """Let an app watch topics and rights to them, and decide by their incarnations where its sources go on."""
    watch = TopicWatch(settings, topics, wanted, app.incarnations, app.crash)
    app.positions = Positions(settings, app.conf.id, sources, app.incarnations, watch, app.write_rows)
    app.task(watch.run)


def rows_of(settings: Settings, tables: Sequence[str]) -> Callable[[str], Partitions]:
    """Return a function that makes the store of a table's rows: in memory, or a database in the data folder.

    Raises
    ------
    StoreError
        When the database cannot be used, for example because another process uses it.
    """
    if settings.state == "memory":
        return lambda _: MemoryPartitions()
    return RocksStore(settings.data_dir.expanduser() / settings.namespace / "rows", tables).partitions


def source(app: App, *topics: Topic) -> TopicT:
    """Return the channel of runs from one or several topics, with keys and values as raw bytes."""
    return app.topic(
        *(topic.name for topic in topics),
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )


def _credentials(options: Mapping[str, Any]) -> CredentialsT | None:
    """Convert the arguments of a Kafka client to Faust's credentials."""
    context = options.get("ssl_context")
    if "sasl_mechanism" in options:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            ssl_context=context,
            mechanism=options["sasl_mechanism"],
        )
    return SSLCredentials(context) if context else None
