"""Measure freshness: ``python -m tests.benchmarks.fresh``: what people do, until it stands in the lists of others.

Twenty users take two items one after the other, which nobody took together before. Then others take the first of
them, one after the other, until the list of one of them holds the second. The time is that from the last event of the
twenty to that list. The rows of all items are there before, so that nothing is learned but these pairs. Beside it
stands how long a derivation of the whole model takes: without revisions, a pair would wait for one, or two. With
100,000 items and more, texts are still being compared meanwhile, as after each start.

Then new items come, whose texts are about what some people have taken. The time is that from such an item to the first
list of one of these people that holds it; the time of the encoder is told apart.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
import numpy as np
from kafka import KafkaProducer
from pydantic import SecretStr
from redis import Redis
from rich.console import Console
from rich.table import Table

from afresh.deploy.demo.scrape import Page, Readings
from afresh.deploy.demo.workers import WorkerProcess
from afresh.deploy.servers import local_kafka, local_redis
from afresh.models.encoder import version_of
from afresh.state.errors import AfreshError
from afresh.state.lists import ListReader, decode_user_list
from afresh.streams.connections import kafka_options, redis_options
from afresh.streams.kafka.admin import create_topics
from afresh.streams.settings import INLINE, Settings
from afresh.streams.topics import Topic, Topics
from tests.benchmarks.latency import OpenLoop
from tests.benchmarks.recovery import fill, wait
from tests.benchmarks.scale import Servers
from tests.benchmarks.workers import start_worker

PARTITIONS, USERS, TAKERS = 8, 1_000, 20
READY_SECONDS, PAIR_SECONDS, COMPARED_SECONDS = 900.0, 120.0, 60.0
POLL_SECONDS, ASK_SECONDS, REST_SECONDS = 0.02, 0.25, 10.0

MINILM = "minilm"

REPORT_WIDTH = 185

TASTES = 8
"""Texts that each of the others keeps to: with people who take anything, texts would soon count for nothing."""

THEME, ALIKE = "A documentary about whales and other animals of the deep ocean", 3
"""What new items are about, and how many items about it people have taken before."""


class Case(NamedTuple):
    """A catalogue of some items, so many other events a second meanwhile, and which process makes the model."""

    items: int
    rate: int
    model: str

    @property
    def name(self) -> str:
        """A name for its topics and files."""
        return "-".join(["fresh", *map(str, self)])


@dataclass(frozen=True)
class Fresh:
    """What was measured of a case.

    Attributes
    ----------
    case
        The case.
    compared
        Whether all texts had been compared when the measurement began.
    seconds
        Time of each pair until it stood in a list of another user.
    derive_seconds
        Mean time of a derivation of the whole model.
    ready_seconds
        Time from the start of the first worker until it was ready, the first version of the model included.
    another_seconds
        Time from the start of a second worker until it was ready: it reads the version that stands.
    new_seconds
        Time of each new item until it stood in a list of somebody whose taste its text matches.
    encoder_seconds
        Mean time of the encoder for such an item.
    """

    case: Case
    compared: bool
    seconds: Sequence[float]
    derive_seconds: float
    ready_seconds: float
    another_seconds: float
    new_seconds: Sequence[float]
    encoder_seconds: float


class People:
    """Sends events of people, and reads their lists."""

    def __init__(self, settings: Settings) -> None:
        self._topics = Topics(settings)
        self._producer = KafkaProducer(**kafka_options(settings), metrics_enabled=False)
        self._lists = ListReader(Redis.from_url(**redis_options(settings)), settings.namespace)
        self._sent = 0

    def take(self, user: str, item: str) -> None:
        """Let a user take an item."""
        self._sent += 1
        event = {
            "id": f"pair-{self._sent}",
            "type": "view",
            "time": int(time.time() * 1000),
            "user": user,
            "item": item,
            "platform": "web",
            "domain": "films",
        }
        self._send(self._topics.events, f"web:{user}", event)

    def describe(self, item: str, title: str) -> None:
        """Bring an item."""
        self._send(self._topics.items, item, {"id": item, "domain": "films", "title": title})

    def _send(self, topic: Topic, key: str, record: dict[str, object]) -> None:
        self._producer.send(topic.name, msgspec.json.encode(record), key.encode()).get(timeout=30)

    def listed(self, user: str) -> list[str]:
        """Return the items of a user's list."""
        packed = self._lists.of_user(f"web:{user}")
        return [] if packed is None else [item.id for item in decode_user_list(packed, user).items]

    def pair(self, name: str, one: str, other: str) -> float:
        """Let people take a pair; return the seconds until the list of another one shows it."""
        for taker in range(TAKERS):
            for item in (one, other):
                self.take(f"{name}-{taker}", item)
        return self._until_listed(name, [one], other)

    def new_item(self, name: str, item: str, title: str, alike: Sequence[str]) -> float:
        """Bring an item; return the seconds until a list shows it to one who has taken others of such a text."""
        self.describe(item, title)
        return self._until_listed(name, alike, item)

    def _until_listed(self, name: str, taken: Sequence[str], item: str) -> float:
        """Let one after the other take some items, until the list of one of them shows another item."""
        began = asked = time.monotonic()
        users: list[str] = []
        while time.monotonic() < began + PAIR_SECONDS:
            if not users or time.monotonic() > asked + ASK_SECONDS:
                asked = time.monotonic()
                users.append(f"{name}-other-{len(users)}")
                for each in taken:
                    self.take(users[-1], each)
            if any(item in self.listed(user) for user in users):
                break
            time.sleep(POLL_SECONDS)
        return time.monotonic() - began


def measure(servers: Servers, case: Case, pairs: int, say: Callable[[str], None]) -> Fresh:
    """Measure a case."""
    settings = Settings(
        kafka=servers.kafka.address,
        redis=SecretStr(servers.redis.address),
        namespace=case.name,
        partitions=PARTITIONS,
        encoder=MINILM,
        model=case.model,
    )
    create_topics(settings)
    say(f"{case.name}: writing {case.items:,} items …")
    fill(settings, USERS, case.items, version_of(MINILM))
    with ExitStack() as stack:
        began = time.monotonic()
        kinds = ["worker"] if case.model == INLINE else ["worker", "model-worker"]
        workers = [
            start_worker(settings, servers.folder / f"{case.name}-{kind}", stack, kind)[1] for kind in kinds
        ]
        for each in workers:
            wait(each, each.page.ready, "to be ready", READY_SECONDS)
        maker, ready = workers[-1], time.monotonic() - began
        say(f"ready after {ready:.0f} s")
        _, embed = start_worker(settings, servers.folder / f"{case.name}-embed", stack, "embed-worker")
        wait(embed, embed.page.ready, "to be ready", READY_SECONDS)
        compared = is_compared(maker)
        people, drawn = People(settings), np.random.default_rng(0).permutation(case.items)[: 2 * pairs]
        stack.enter_context(others(settings, case.rate, case.items))
        seconds = []
        for number, (one, other) in enumerate(drawn.reshape(-1, 2).tolist()):
            seconds.append(people.pair(f"pair-{number}", f"item-{one}", f"item-{other}"))
            say(f"pair {number + 1} of {pairs}: {seconds[-1]:.2f} s")
        new_seconds = list(bring(people, pairs, say))
        derive_seconds = mean_of(maker.page.read(), "afresh_stage_seconds", stage="derive")
        encoder_seconds = mean_of(embed.page.read(), "afresh_embedding_seconds")
        another = another_worker(settings, servers.folder / f"{case.name}-another", stack)
    return Fresh(case, compared, seconds, derive_seconds, ready, another, new_seconds, encoder_seconds)


def another_worker(settings: Settings, folder: Path, stack: ExitStack) -> float:
    """Start another worker; return the seconds until it is ready."""
    began = time.monotonic()
    _, worker = start_worker(settings, folder, stack)
    wait(worker, worker.page.ready, "to be ready", READY_SECONDS)
    return time.monotonic() - began


def is_compared(maker: WorkerProcess) -> bool:
    """Wait a while until whoever makes the model has compared all texts; return whether it has."""
    try:
        wait(maker, at_rest(maker.page), "to compare all texts", COMPARED_SECONDS)
    except TimeoutError:
        return False
    return True


def bring(people: People, count: int, say: Callable[[str], None]) -> Iterator[float]:
    """Bring new items, one after the other; yield the seconds of each until it stood in a list."""
    alike = [f"whale-{number}" for number in range(ALIKE)]
    people.describe(alike[0], f"{THEME}, part 0")
    for number in range(1, ALIKE):
        people.new_item(f"alike-{number}", alike[number], f"{THEME}, part {number}", alike[:number])
    for number in range(count):
        title = f"{THEME}, season {number}"
        seconds = people.new_item(f"new-{number}", f"new-whale-{number}", title, alike)
        say(f"new item {number + 1} of {count}: {seconds:.2f} s")
        yield seconds


def mean_of(read: Readings, name: str, **labels: str) -> float:
    """Return the mean of a histogram."""
    total, count = (read.value(f"{name}_{what}", **labels) for what in ("sum", "count"))
    return total / max(count, 1)


def at_rest(page: Page) -> Callable[[], bool]:
    """Return a function that tells whether nothing was derived or revised for some seconds."""
    seen, since = -1.0, time.monotonic()

    def look() -> bool:
        nonlocal seen, since
        read = page.read()
        made = sum(read.value("afresh_stage_seconds_count", stage=stage) for stage in ("derive", "revise"))
        if made != seen:
            seen, since = made, time.monotonic()
        return time.monotonic() - since > REST_SECONDS

    return look


@contextmanager
def others(settings: Settings, rate: int, items: int) -> Iterator[None]:
    """Let other people act meanwhile, at a rate; their lists are waited for, too."""
    if not rate:
        yield
        return
    loop = OpenLoop(settings, "others", items=items, tastes=TASTES)
    # It ends with the process: nobody waits for its figures.
    running = threading.Thread(
        target=lambda: asyncio.run(loop.run(rate=rate, seconds=600, warm_up=0)), daemon=True
    )
    running.start()
    time.sleep(5)
    yield


def table(measured: Sequence[Fresh]) -> Table:
    """Table with a row for each measurement."""
    names = (
        "items",
        "events a second",
        "model",
        "texts compared",
        "pair to list, p50",
        "p99",
        "derivation",
        "derivation : p50",
        "ready after",
        "another one",
        "new item to list, p50",
        "p99",
        "of it the encoder",
    )
    shown = Table(*names)
    for each in measured:
        p50, p99 = np.percentile(each.seconds, [50, 99])
        new = np.percentile(each.new_seconds, [50, 99])
        shown.add_row(
            *(f"{each.case.items:,}", f"{each.case.rate}", each.case.model, "yes" if each.compared else "no"),
            *(f"{p50:.2f} s", f"{p99:.2f} s"),
            *(
                f"{each.derive_seconds:.1f} s",
                f"{each.derive_seconds / p50:.1f}",
                f"{each.ready_seconds:.0f} s",
                f"{each.another_seconds:.0f} s",
            ),
            *(f"{seconds:.2f} s" for seconds in (*new, each.encoder_seconds)),
        )
    return shown


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure as the command line says, and print the table."""
    parser = argparse.ArgumentParser(prog="bench-fresh", description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000], metavar="N")
    parser.add_argument(
        "--rates", type=int, nargs="+", default=[0, 500], metavar="N", help="other events a second"
    )
    parser.add_argument(
        "--models",
        nargs="+",
        default=[INLINE],
        choices=[INLINE, "worker"],
        help="which process makes the model",
    )
    parser.add_argument("--pairs", type=int, default=20, metavar="N", help="pairs for each measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    chosen = parser.parse_args(arguments)
    for name in ("aiokafka", "kafka"):
        logging.getLogger(name).setLevel(logging.ERROR)
    console = Console(width=REPORT_WIDTH)
    with TemporaryDirectory() as name:
        folder = Path(name)
        with local_kafka(folder / "kafka", kind="kafka") as kafka, local_redis(folder / "redis") as redis:
            servers = Servers(kafka, redis, folder)
            cases = [Case(*each) for each in product(chosen.items, chosen.rates, chosen.models)]
            measured = [measure(servers, case, chosen.pairs, console.print) for case in cases]
    console.print(table(measured))
    if chosen.json:
        chosen.json.write_text(msgspec.json.format(msgspec.json.encode(measured)).decode() + "\n")


if __name__ == "__main__":
    try:
        main()
    except AfreshError as error:
        sys.exit(str(error))
