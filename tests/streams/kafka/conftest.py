from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient

from afresh.streams.kafka.app import create_app
from afresh.streams.kafka.fetcher import RunConsumerThread
from afresh.streams.settings import Settings

FETCH_MAX_WAIT_SECONDS = 0.5


@pytest.fixture
async def started_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunConsumerThread]:
    """Fetching thread of an app's consumer, with the real client but without a broker."""

    async def nothing(*_: object) -> None:
        pass

    monkeypatch.setattr(AIOKafkaClient, "bootstrap", nothing)
    monkeypatch.setattr(AIOKafkaConsumer, "_wait_topics", nothing)
    settings = Settings(_env_file=None, data_dir=tmp_path, fetch_max_wait_seconds=FETCH_MAX_WAIT_SECONDS)
    thread = create_app(settings, "test").consumer._thread
    await thread.on_start()
    yield thread
    await thread._ensure_consumer().stop()
