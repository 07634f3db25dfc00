"""The Faust apps: how Faust is set up, and which agent reads which topic."""

from __future__ import annotations

import faust
from faust.types import TopicT

from streams.errors import AfreshError
from streams.sender import BATCH_BYTES
from streams.settings import Settings
from streams.topics import Topic
from streams.transport import RunTransport

RUNS_WAITING = 2
"""Runs held for an agent: the fewer wait, the longer the next one is and the sooner it is read."""

MAX_RECORDS = 4000
"""Longest run."""


def create_app(settings: Settings, name: str) -> faust.App:
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
        When the data folder can not be made.
    """
    folder = settings.data_dir.expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AfreshError(f"The folder {folder} can not be made ({error.strerror}); set AFRESH_DATA_DIR.") from error
    app = faust.App(
        name,
        broker=[f"kafka://{server}" for server in settings.brokers],
        datadir=folder / name,
        store="memory://",
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


def source(app: faust.App, *topics: Topic) -> TopicT:
    """Channel of runs from one topic or several: bytes as they stand in Kafka."""
    return app.topic(
        *(topic.name for topic in topics),
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )
