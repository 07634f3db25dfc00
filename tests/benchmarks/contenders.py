"""The contenders of ``tests.benchmarks.bench``, each measured with servers that run already."""

from __future__ import annotations

import asyncio
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from pydantic import SecretStr

from afresh.deploy.servers.process import free_ports
from afresh.streams.kafka.admin import create_topics
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics
from tests.benchmarks import events
from tests.benchmarks.events import Keyed
from tests.benchmarks.job import PARTITIONS
from tests.benchmarks.latency import Latencies, OpenLoop
from tests.benchmarks.measure import (
    Measurement,
    committed_counter,
    cpu_seconds,
    family,
    measure,
    peak_rss_bytes,
    process,
    record_counter,
    wait_until,
)

SHOP_USERS, SHOP_ITEMS = 1_000, 2_000
"""Users and items for the whole path and its latency: about those of MovieLens 100K, on which the goals were set."""

LATENCY_SECONDS = 20.0
WARM_UP_SECONDS = 5.0
FAUST_SHARE = 10
"""Plain Faust gets a tenth of the events. All of them would take minutes, and the figure is per event."""

STAGES = ["ingest", "profile", "learn"]
MODULES = {"faust": "plain_faust", "quixstreams": "quix"}


@dataclass(frozen=True)
class Bench:
    """The servers and the amount of work; the same for all contenders.

    Attributes
    ----------
    kafka, redis
        Addresses of the servers.
    folder
        Folder for logs and for the workers' files.
    events
        Number of events in the backlog.
    rate
        Events per second while latency is measured.
    """

    kafka: str
    redis: str
    folder: Path
    events: int
    rate: int

    def settings(self, namespace: str) -> Settings:
        """Make the topics of a deployment of afresh; return its settings."""
        settings = Settings(
            kafka=self.kafka,
            redis=SecretStr(self.redis),
            namespace=namespace,
            partitions=PARTITIONS,
            data_dir=self.folder / namespace,
            metrics_port=free_ports(1)[0],
        )
        create_topics(settings)
        return settings

    def log(self, name: str) -> Path:
        """Return the file for the output of a process."""
        return self.folder / f"{name}.log"


def measure_baseline(bench: Bench, name: str) -> Measurement:
    """Measure another framework that does the job."""
    number = bench.events // FAUST_SHARE if name == "faust" else bench.events
    admin = KafkaAdminClient(bootstrap_servers=bench.kafka)
    topics = [f"{name}.events", f"{name}.records"]
    admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in topics])
    admin.wait_for_topics(topics)
    admin.close()
    events.write(bench.kafka, topics[0], events.events(number))
    command = [sys.executable, "-m", f"tests.benchmarks.{MODULES[name]}", bench.kafka, name]
    with process(command, bench.log(name)) as pid, record_counter(bench.kafka, topics[1]) as records:
        return measure(pid, records, number)


def measure_stages(
    bench: Bench, settings: Settings, backlog: Iterator[Keyed], last: str = STAGES[-1]
) -> dict[str, Measurement]:
    """Measure the stages of afresh one after the other; each reads what the one before it wrote.

    Parameters
    ----------
    bench
        The servers.
    settings
        The deployment. Its tables may hold rows; it must not have taken in any event yet.
    backlog
        The events.
    last
        Stage to end with.
    """
    topics = Topics(settings)
    number = events.write(bench.kafka, topics.events.name, backlog)
    interactions, examples = topics.interactions.name, topics.examples.name
    done = {
        "ingest": record_counter(bench.kafka, interactions),
        "profile": committed_counter(bench.kafka, f"{settings.namespace}-profile", [interactions]),
        "learn": committed_counter(bench.kafka, f"{settings.namespace}-learn", [examples]),
    }
    measured = {}
    for stage in STAGES[: STAGES.index(last) + 1]:
        if stage == "learn":
            # Not each interaction became an example: a user may have taken an item too often within an hour.
            with record_counter(bench.kafka, examples) as records:
                number = records()
        command = [sys.executable, "-m", "tests.benchmarks.stages", stage]
        log = bench.log(f"{settings.namespace}-{stage}")
        with process(command, log, environment(settings)) as pid, done[stage] as counted:
            measured[stage] = measure(pid, counted, number)
    return measured


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables that give a process these settings."""
    names = ["kafka", "namespace", "partitions", "data_dir", "metrics_port"]
    variables = {f"AFRESH_{name.upper()}": str(getattr(settings, name)) for name in names}
    return variables | {"AFRESH_REDIS": settings.redis.get_secret_value()}


@contextmanager
def worker(bench: Bench, settings: Settings, name: str) -> Iterator[int]:
    """Run a worker with all agents; yield its process id."""
    command = [sys.executable, "-m", "tests.benchmarks.stages", "whole"]
    with process(command, bench.log(name), environment(settings)) as pid:
        yield pid


def measure_whole(bench: Bench) -> Measurement:
    """Measure a worker with all agents, from the first event to the last list in Redis.

    The worker is idle before and after. It does a backlog before it makes lists, so to measure only a share of the
    events would leave the lists out.
    """
    settings = bench.settings("whole")
    topics = Topics(settings)
    events.write(bench.kafka, topics.items.name, events.items(SHOP_ITEMS))
    # The offset of a run is committed only after its lists are in Redis. So these two offsets tell when all is done.
    sources = [topics.interactions.name, topics.examples.name]
    with (
        worker(bench, settings, "whole") as pid,
        committed_counter(bench.kafka, settings.namespace, sources) as done,
    ):
        wait_until_ready(settings)
        began, cpu = time.monotonic(), cpu_seconds(pid)
        made = events.events(bench.events, users=SHOP_USERS, items=SHOP_ITEMS)
        events.write(bench.kafka, topics.events.name, made)
        wait_until(pid, done, bench.events, began + 600)
        spent = cpu_seconds(pid) - cpu
        return Measurement(bench.events, time.monotonic() - began, spent, peak_rss_bytes(pid))


def measure_latency(bench: Bench) -> tuple[Latencies, float]:
    """Measure the latency from event to Redis at a steady rate, with a worker that already knows the catalogue.

    Returns
    -------
    The latencies, and the CPU time that the worker took for an event and all that follows from it, in µs.
    """
    settings = bench.settings("latency")
    events.write(bench.kafka, Topics(settings).items.name, events.items(SHOP_ITEMS))
    with worker(bench, settings, "latency") as pid:
        wait_until_ready(settings)
        loop = OpenLoop(settings, "latency", items=SHOP_ITEMS)
        before = cpu_seconds(pid)
        latencies = asyncio.run(loop.run(rate=bench.rate, seconds=LATENCY_SECONDS, warm_up=WARM_UP_SECONDS))
        if not family(pid):
            raise RuntimeError("the worker ended while its latency was measured")
        sent = bench.rate * (WARM_UP_SECONDS + LATENCY_SECONDS)
        return latencies, 1e6 * (cpu_seconds(pid) - before) / sent


def wait_until_ready(settings: Settings) -> None:
    """Return as soon as the worker reports that it is ready."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{settings.metrics_port}/ready", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the worker was not ready within 60 s")
