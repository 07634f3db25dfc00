"""On the genuine Kafka: one worker claims and works off 64 partitions, as promised, and shares them."""

from __future__ import annotations

from pathlib import Path

from afresh.deploy.ledger import audit
from afresh.deploy.servers import Server
from afresh.streams.kafka.sender import partition_of
from tests.conftest import settings_for
from tests.kafka.deployment import Deployment, deployment, wait

PARTITIONS = 64
EVENTS = 400
FILMS = [f"film {number}" for number in range(50)]


def play(made: Deployment, start: int, stop: int) -> None:
    for number in range(start, stop):
        made.event(f"u{number}", FILMS[number % len(FILMS)])


def test_every_event_on_64_partitions_is_counted_once_by_one_worker_and_by_two(
    own_kafka: Server, redis_server: Server, tmp_path: Path
) -> None:
    chosen = settings_for(own_kafka, redis_server, tmp_path)
    settings = chosen.model_copy(update={"partitions": PARTITIONS, "list_refresh_seconds": 0.5})
    keys = [f"web:u{number}".encode() for number in range(EVENTS)]
    assert {partition_of(key, PARTITIONS) for key in keys} == set(range(PARTITIONS))
    with deployment(settings, tmp_path) as made, made.running(made.process()) as first:
        for film in FILMS:
            made.item(film)
        play(made, 0, EVENTS // 2)
        with made.running(made.process()) as second:
            wait(lambda: first.ready() and second.ready(), "both workers to be ready")
            play(made, EVENTS // 2, EVENTS)
            report = audit(settings, wait_seconds=120.0)
            assert second.read().total("afresh_events_total", outcome="accepted") > 0
    assert report.differences == []
    assert report.events.once == EVENTS
