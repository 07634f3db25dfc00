"""The Faust apps: how Faust is set up, and which agent reads which topic."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import faust
from aiokafka import AIOKafkaProducer
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers.aiokafka import Producer
from faust.types import TP, TopicT
from faust.types.auth import CredentialsT

from afresh.state.errors import AfreshError
from afresh.state.store.rocks import RocksStore
from afresh.state.store.rows import MemoryPartitions, Partitions
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.alignment import require_alignment
from afresh.streams.kafka.fence import Claims
from afresh.streams.kafka.producers import Producers
from afresh.streams.kafka.recovery import RunTables
from afresh.streams.kafka.sender import BATCH_BYTES
from afresh.streams.kafka.transport import RunConsumer, RunTransport
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic

RUNS_WAITING = 2
"""Runs held for an agent: the fewer wait, the longer the next one is and the sooner it is read."""

MAX_RECORDS = 4000
"""Longest run."""

METADATA_SECONDS = 10.0
"""How soon it is noticed that somebody has changed a topic; Faust looks every five minutes."""

STOP_SECONDS = 9.0
"""How long an orderly end may take; supervisors send SIGKILL after 10 s."""

FINISH_SECONDS = 5.0
"""Time for runs under way when the process is told to stop; what they have not finished is read again."""

FINISH_POLL_SECONDS = 0.01

MENDABLE_STATUS = 2
"""Exit status of a process that ends for what a person can mend."""

logger = logging.getLogger(__name__)


class App(faust.App):
    """A Faust app that ends when it must.

    Faust 0.15 can wait for ever for its consumer's thread while it stops, above all after a crash. A worker that
    neither works nor ends holds its partitions and is started again by nobody.

    Attributes
    ----------
    consumer
        The consumer that ``RunTransport`` makes.
    producers
        Producers beside Faust's own.
    unfinished
        Tells whether runs are under way, or written and not allowed to be committed yet.
    """

    consumer: RunConsumer

    def __init__(self, name: str, *, fenced: bool, partitions: int, **kwargs: Any) -> None:
        self._partitions = partitions
        self.unfinished: Callable[[], bool] = lambda: False
        self._group_left = False
        self.producers = Producers(self._one_more_producer)
        super().__init__(name, **kwargs)
        self.claims = Claims(name, self.producers.start, self.producers.drop, fenced=fenced)

    async def crash(self, reason: BaseException) -> None:
        """Note that the process failed, and end it soon."""
        self._end_soon()
        await super().crash(reason)

    async def on_stop(self) -> None:
        """Stop in order, but not for longer than supervisors wait."""
        self._end_soon()
        if not self.crashed:
            await self._finish()
        await super().on_stop()
        await self.producers.stop()

    async def _stop_children(self) -> None:
        await super()._stop_children()
        self._group_left = True

    async def _finish(self) -> None:
        """Fetch no more, and let runs under way finish, so that their offsets are in the last commit."""
        if self.assigned():
            self.consumer.stop_flow()
            self.flow_control.suspend()
        deadline = time.monotonic() + FINISH_SECONDS
        while self.unfinished() and time.monotonic() < deadline:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(FINISH_POLL_SECONDS)
        if self.unfinished():
            logger.warning(
                "Runs under way did not finish within %g s, as when Kafka or Redis is down; they will be read again",
                FINISH_SECONDS,
            )

    def _one_more_producer(self, transactional_id: str | None) -> AIOKafkaProducer:
        # With the settings of Faust's own.
        return cast(Producer, self.producer)._new_producer(transactional_id)

    async def _on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Check what is ours, and claim the changelogs' partitions before Faust asks where they end."""
        if not self.should_stop:
            ours, changelogs = self.assignor.assigned_actives(), self.tables.changelog_topics
            try:
                require_alignment(ours, changelogs, self._partitions)
                await self.claims.renew([tp for tp in ours if tp.topic in changelogs])
            except Exception as error:
                await self.crash(error)
        await super()._on_partitions_assigned(assigned, generation_id)

    def assigned(self) -> set[TP]:
        """Partitions that are ours; none while the consumer has not started."""
        # Faust makes its consumer when somebody first asks for it. The thread of the page asks while the app starts:
        # each made one, and the app waited for ever for the one that was not started.
        return set(self._consumer.assignment()) if self._consumer else set()

    def _end_soon(self) -> None:
        timer = threading.Timer(STOP_SECONDS, self._end)
        timer.daemon = True
        timer.start()

    def _end(self) -> None:
        logger.error(
            "Stopping took longer than %g s; the process ends now, what is counted is safe", STOP_SECONDS
        )
        status = self._status()
        if status == MENDABLE_STATUS:
            logger.error("%s", self.crash_reason)
        logging.shutdown()
        os._exit(status)

    def _status(self) -> int:
        if isinstance(self.crash_reason, AfreshError):
            return MENDABLE_STATUS
        # Once the group is left, all that counts is done: it is only a task or a thread that does not end.
        return 0 if self._group_left and self.crash_reason is None else 1


def create_app(settings: Settings, name: str) -> App:
    """Faust app of a process.

    Parameters
    ----------
    settings
        Where Kafka is, and its timeouts.
    name
        The consumer group.

    Raises
    ------
    AfreshError
        When the data folder can not be made, or a file for TLS not be used.
    """
    folder = settings.data_dir.expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AfreshError(
            f"The folder {folder} can not be made ({error.strerror}); set AFRESH_DATA_DIR."
        ) from error
    app = App(
        name,
        fenced=settings.idempotence,
        partitions=settings.partitions,
        broker=[f"kafka://{server}" for server in settings.brokers],
        broker_credentials=_credentials(kafka_options(settings)),
        datadir=folder / name,
        store="memory://",
        TableManager=RunTables,
        table_standby_replicas=settings.standby_replicas,
        web_enabled=False,
        # Topics stand before we start, made by `afresh topics create`: never with Faust's defaults.
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
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=int(METADATA_SECONDS * 1000),
        consumer_max_fetch_size=4 * 1024 * 1024,
        producer_acks=-1,
        producer_linger=0.0,
        producer_max_batch_size=BATCH_BYTES,
        producer_max_request_size=8 * 1024 * 1024,
    )
    transport = RunTransport(app.conf.broker, app, app.loop)
    transport.fetch_max_wait_seconds = settings.fetch_max_wait_seconds
    app.transport = transport
    return app


def rows_of(settings: Settings, tables: Sequence[str]) -> Callable[[str], Partitions]:
    """Where the rows of each table are kept: in memory, or in a database in the data folder.

    Raises
    ------
    StoreError
        When the database can not be used, as while another process does.
    """
    if settings.state == "memory":
        return lambda _: MemoryPartitions()
    return RocksStore(settings.data_dir.expanduser() / settings.namespace / "rows", tables).partitions


def source(app: App, *topics: Topic) -> TopicT:
    """Channel of runs from one topic or several: bytes as they stand in Kafka."""
    return app.topic(
        *(topic.name for topic in topics),
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )


def _credentials(options: Mapping[str, Any]) -> CredentialsT | None:
    """Say as Faust wants it how a client of Kafka connects."""
    context = options.get("ssl_context")
    if "sasl_mechanism" in options:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            ssl_context=context,
            mechanism=options["sasl_mechanism"],
        )
    return SSLCredentials(context) if context else None
