"""A stand-in for the workers, as a process: recommends popular items, without models and without Faust.

Start it as ``fake_worker.py worker`` or ``fake_worker.py embed-worker`` with the workers' settings.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, defaultdict
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from prometheus_client import Gauge, start_http_server
from redis import Redis

from afresh.streams.settings import Settings
from afresh.streams.topics import Topics

USERS = Gauge("afresh_rows", "", ["table"])
ITEMS = Gauge("afresh_catalogue_items", "")
EMBEDDED = Gauge("afresh_catalogue_embedded_items", "")
LAG = Gauge("afresh_lag_records", "", ["topic"])
DEAD_LETTERS = Gauge("afresh_dead_letters_total", "", ["reason"])


def work(settings: Settings) -> None:
    """Read items and events for ever, and answer each event with a list."""
    topics = Topics(settings)
    redis = Redis.from_url(settings.redis.get_secret_value())
    consumer = KafkaConsumer(
        bootstrap_servers=settings.brokers, fetch_max_wait_ms=10, auto_offset_reset="earliest"
    )
    names = (topics.items.name, topics.events.name)
    consumer.assign([TopicPartition(name, number) for name in names for number in range(settings.partitions)])
    items: set[str] = set()
    counts: Counter[str] = Counter()
    seen: defaultdict[str, set[str]] = defaultdict(set)
    start_http_server(settings.metrics_port, "127.0.0.1")
    while True:
        for partition, records in consumer.poll(timeout_ms=10).items():
            for record in records:
                content: dict[str, Any] = json.loads(record.value)
                if partition.topic == topics.items.name:
                    items.add(content["id"])
                    continue
                if content["item"] == "crash":
                    sys.exit("the fake worker was told to crash")
                user = f"{content['platform']}:{content['user']}"
                counts[content["item"]] += 1
                seen[user].add(content["item"])
                best = sorted(items - seen[user], key=lambda item: -counts[item])[:20]
                listed = [{"id": item} for item in best]
                answer = {"user": user, "last_event": content["id"], "items": listed}
                redis.set(f"{settings.namespace}:recommendations:{user}", json.dumps(answer))
        ITEMS.set(len(items))
        EMBEDDED.set(len(items))
        USERS.labels("users").set(len(seen))
        LAG.labels(topics.events.name).set(0)


def embed(settings: Settings) -> None:
    """Serve the metrics page for ever, and encode nothing."""
    start_http_server(settings.embed_metrics_port, "127.0.0.1")
    while True:
        time.sleep(1.0)


if __name__ == "__main__":
    (work if sys.argv[1] == "worker" else embed)(Settings())
