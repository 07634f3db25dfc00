"""A worker whose page also counts what it asks Kafka for: ``python -m tests.kafka.counting_worker``."""

from __future__ import annotations

from typing import Any

from aiokafka.client import AIOKafkaClient
from prometheus_client import Counter

from afresh.streams.settings import Settings
from afresh.streams.workers.loops import use_uvloop
from afresh.streams.workers.process import execute
from afresh.streams.workers.stream import Worker

REQUESTS = Counter("test_kafka_requests_total", "Requests to Kafka.", ["kind"])

send = AIOKafkaClient.send


async def counted(client: AIOKafkaClient, node: int, request: Any, **options: Any) -> Any:
    """Count a request and send it."""
    REQUESTS.labels(type(request).__name__).inc()
    return await send(client, node, request, **options)


if __name__ == "__main__":
    AIOKafkaClient.send = counted
    use_uvloop()
    settings = Settings()
    worker = Worker(settings)
    execute(worker.app, settings, settings.metrics_port, worker.not_ready)
