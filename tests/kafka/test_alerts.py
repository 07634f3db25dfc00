"""Every alert fires by what it is there for, on real workers watched by a real Prometheus.

Durations of alerts are scaled down. The true ones are proved in ``tests/deploy/monitoring/test_rules.py``.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path

import pytest

from afresh.deploy.demo.workers import WorkerProcess, environment
from afresh.deploy.monitoring.alerts import ALERTS
from afresh.deploy.monitoring.rules import expression
from afresh.deploy.servers import Server
from afresh.deploy.servers.kafka import Installation
from afresh.deploy.servers.process import ServerProcess
from afresh.deploy.servers.prometheus import local_prometheus
from afresh.streams.settings import Settings
from tests.chaos.pipeline import small_disk
from tests.conftest import settings_for
from tests.kafka.deployment import Deployment, accepted, deployment, recovered, told_to_stop, wait
from tests.kafka.faulty_worker import BREAK_AND_FORGET, FORGOTTEN, SPOIL
from tests.kafka.prometheus import asked, firing
from tests.kafka.test_incarnations import remove_events, set_config, suspended
from tests.kafka.test_quotas import quota

pytestmark = pytest.mark.servers

SCALE = 0.02
"""Factor of durations: five minutes take 6 s. Prometheus scrapes once a second, and a rate needs two scrapes."""

MODELS_SCALE = 0.01
"""For alerts that look at hours and at no rate, or at a rate over many minutes."""

REDIS = {
    "AfreshFreshnessBurnsFast",
    "AfreshFreshnessBurnsSlowly",
    "AfreshListsBurnsFast",
    "AfreshListsBurnsSlowly",
    "AfreshNotReady",
    "AfreshDown",
    "AfreshLagGrows",
    "AfreshCommitsStandStill",
    "AfreshRedisRefuses",
    "AfreshRedisLost",
    "AfreshDeadLetters",
}
KAFKA = {
    "AfreshRecordsLost",
    "AfreshKafkaTakesNoWrites",
    "AfreshKafkaThrottles",
    "AfreshRecoverySlow",
    "AfreshWeightsWait",
    "AfreshEmbeddingsBehind",
    "AfreshTopicPolicyWrong",
}
MODELS = {
    "AfreshUncounted",
    "AfreshDrift",
    "AfreshRolledBack",
    "AfreshUnderPopularity",
    "AfreshScorerBroken",
}
MODEL = {"AfreshModelOld"}
DISK = {"AfreshDiskFull"}

BUSY = {
    "AfreshFreshnessBurnsFast",
    "AfreshFreshnessBurnsSlowly",
    "AfreshLagGrows",
    "AfreshCommitsStandStill",
    "AfreshWeightsWait",
    "AfreshRecoverySlow",
}
"""Alerts that a machine at its limit may raise by itself, with durations scaled down."""

ROWS = 1_500
"""Users whose rows a recovery reads: under the quota, it takes long."""

TEXTS = 200

GOOD_ROUNDS = 12
"""Rounds after which lists have a good past."""


class Alarm:
    """Waits for alerts of a Prometheus, and remembers which have fired.

    Parameters
    ----------
    address
        Address of the Prometheus.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.fired: set[str] = set()

    def wait_for(self, *names: str) -> None:
        """Wait until each of these alerts has fired at some time."""
        wait(lambda: self.look() >= set(names), f"{sorted(set(names))}")

    def look(self) -> set[str]:
        """Look which alerts fire; return all that have fired so far."""
        self.fired |= firing(self.address)
        return self.fired


@contextmanager
def watched(folder: Path, *processes: ServerProcess, scale: float = SCALE) -> Iterator[Alarm]:
    """Let a Prometheus watch processes."""
    ports = {f"afresh-{number}": process.port for number, process in enumerate(processes)}
    with local_prometheus(folder, ports, scale) as address:
        alarm = Alarm(address)
        wait(lambda: scraped(address, len(processes)), "every page to be scraped")
        yield alarm


def scraped(address: str, pages: int) -> bool:
    found = asked(address, "query", query="count(afresh_build_info)")["result"]
    return bool(found) and int(found[0]["value"][1]) == pages


def test_every_alert_is_fired_here() -> None:
    names = [alert.name for alert in ALERTS]
    assert sorted([*REDIS, *KAFKA, *MODELS, *MODEL, *DISK]) == sorted(names)


def test_alerts_fire_when_redis_goes_away_and_loses_lists_when_events_are_garbage_and_a_worker_ends(
    kafka: Server, own_redis: Server, prometheus: str, tmp_path: Path
) -> None:
    with deployment(settings_for(kafka, own_redis, tmp_path), tmp_path) as made:
        worker = made.process()
        with made.running(worker), watched(tmp_path / "prometheus", worker) as alarm:
            made.load(600)
            made.answer("ann", made.event("ann", "i1"))
            assert not firing(alarm.address) & (REDIS - BUSY)

            own_redis.kill()
            made.load(600)
            alarm.wait_for(
                "AfreshRedisRefuses", "AfreshNotReady", "AfreshLagGrows", "AfreshCommitsStandStill"
            )
            own_redis.start()
            alarm.wait_for("AfreshRedisLost", "AfreshFreshnessBurnsFast", "AfreshFreshnessBurnsSlowly")

            for _ in range(150):
                made.producer.send(made.topics.events.name, b"{")
            alarm.wait_for("AfreshDeadLetters")

            while not {"AfreshListsBurnsFast", "AfreshListsBurnsSlowly"} <= alarm.fired:
                lose_lists(made)
                alarm.look()
                time.sleep(0.5)
            assert told_to_stop(worker) == 0
            alarm.wait_for("AfreshDown")
            assert alarm.fired >= REDIS


def lose_lists(made: Deployment) -> None:
    """Delete every list, as an eviction would."""
    keys = [*made.redis.scan_iter(f"{made.settings.namespace}:recommendations:*")]
    if keys:
        made.redis.delete(*keys)


def test_alerts_fire_when_kafka_loses_records_throttles_and_stands_still(
    own_kafka: Server,
    kafka_installation: Installation,
    redis_server: Server,
    prometheus: str,
    tmp_path: Path,
) -> None:
    settings = settings_for(own_kafka, redis_server, tmp_path).model_copy(update={"encoder": "minilm"})
    with deployment(settings, tmp_path) as made:
        worker, embed = made.process(), made.process("embed-worker")
        with (
            made.running(embed),
            made.running(worker) as page,
            watched(tmp_path / "prometheus", worker, embed) as alarm,
        ):
            made.load(ROWS, users=ROWS)
            wait(lambda: accepted(page) == ROWS, "the events to be taken in")
            made.answer("ann", made.event("ann", "i1"))
            assert not firing(alarm.address) & (KAFKA - BUSY)

            set_config(made, made.topics.users, cleanup_policy="delete")
            alarm.wait_for("AfreshTopicPolicyWrong")
            set_config(made, made.topics.users)

            with suspended(worker):
                made.load(6)
                remove_events(made)
            alarm.wait_for("AfreshRecordsLost")

            assert told_to_stop(worker) == 0
            with environment(made.variables(worker)), quota(kafka_installation, settings):
                worker.start()
                alarm.wait_for("AfreshKafkaThrottles")
            page = made.ready(worker)
            assert recovered(page) > ROWS
            alarm.wait_for("AfreshRecoverySlow")

            for number in range(TEXTS):
                made.item(f"i{number}", text=f"the film {number}")
            with standing_still(own_kafka, made, worker, embed):
                alarm.wait_for("AfreshKafkaTakesNoWrites", "AfreshWeightsWait", "AfreshEmbeddingsBehind")
            made.answer("bob", made.event("bob", "i1"))
            assert alarm.fired >= KAFKA


@contextmanager
def standing_still(
    kafka: Server, made: Deployment, worker: ServerProcess, embed: ServerProcess
) -> Iterator[None]:
    """Let Kafka stand still for the block, in the middle of work: examples and texts wait."""
    assert kafka.process is not None
    assert kafka.process.pid is not None
    while True:
        made.load(1500)
        for number in range(TEXTS):
            made.item(f"i{number}", text=f"the film {number}, part {made.sent}")
        os.kill(kafka.process.pid, signal.SIGSTOP)
        try:
            time.sleep(2.0)
            examples = WorkerProcess(worker).page.read().total("afresh_weights_age_seconds")
            texts = WorkerProcess(embed).page.read().total("afresh_embedding_queue")
            if examples and texts:
                yield
                return
        finally:
            os.kill(kafka.process.pid, signal.SIGCONT)


class Shop:
    """People with tastes, who come one after the other; every one of those who are there takes an item a round.

    Parameters
    ----------
    made
        Where they take items.
    """

    TASTES, ITEMS, PRESENT, MOST = 6, 20, 60, 15

    def __init__(self, made: Deployment) -> None:
        self._made = made
        self._liked = [[f"i{taste}-{place}" for place in range(self.ITEMS)] for taste in range(self.TASTES)]
        for item in chain.from_iterable(self._liked):
            made.item(item)
        self._draw = random.Random(1)
        self._present: list[tuple[int, set[str]]] = []
        self._came = 0

    def round(self) -> None:
        """Let all who are there take an item, and wait until their lists know it."""
        while len(self._present) < self.PRESENT:
            self._present.append((self._came, set()))
            self._came += 1
        events = {f"r{number}": self._take(number, taken) for number, taken in self._present}
        for user, event in events.items():
            self._made.answer(user, event)
        # One after the other: if all left together, the lists of strangers would be judged alone.
        self._present = [
            each for each in self._present if len(each[1]) < self.MOST and self._draw.random() < 0.88
        ]

    def _take(self, number: int, taken: set[str]) -> str:
        taste = number % self.TASTES if self._draw.random() < 0.95 else self._draw.randrange(self.TASTES)
        liked = self._liked[taste]
        chances = [0.0 if each in taken else 1 / (place + 1) for place, each in enumerate(liked)]
        (item,) = self._draw.choices(liked, chances)
        taken.add(item)
        return self._made.event(f"r{number}", item)


def test_alerts_fire_when_lists_become_bad_and_counts_do_not_add_up(
    settings: Settings, prometheus: str, tmp_path: Path
) -> None:
    # A snapshot is due as soon as enough was judged.
    often = settings.model_copy(update={"snapshot_minutes": 1e-9, "list_size": 10})
    with deployment(often, tmp_path) as made:
        worker = made.changed_worker("faulty_worker")
        with made.running(worker), watched(tmp_path / "p", worker, scale=MODELS_SCALE) as alarm:
            shop = Shop(made)
            for _ in range(GOOD_ROUNDS):
                shop.round()
            # Not that nothing has drifted: a hit rate that rises has drifted, too.
            assert not firing(alarm.address) & {"AfreshUncounted", "AfreshScorerBroken"}

            assert worker.pid is not None
            os.kill(worker.pid, SPOIL)
            while not (
                {"AfreshDrift", "AfreshRolledBack"} <= alarm.fired and under_popularity(alarm.address)
            ):
                shop.round()
                alarm.look()

            os.kill(worker.pid, BREAK_AND_FORGET)
            made.event("ann", "i1-1", platform=FORGOTTEN)
            shop.round()
            alarm.wait_for("AfreshUnderPopularity", "AfreshUncounted", "AfreshScorerBroken")


def under_popularity(address: str) -> bool:
    """Whether the lists are now worse than popularity's."""
    (alert,) = (each for each in ALERTS if each.name == "AfreshUnderPopularity")
    return bool(asked(address, "query", query=expression(alert))["result"])


def test_an_alert_fires_when_people_go_on_and_nobody_makes_the_model_any_more(
    settings: Settings, prometheus: str, tmp_path: Path
) -> None:
    with deployment(settings.model_copy(update={"model": "worker"}), tmp_path) as made:
        worker, maker = made.process(), made.process("model-worker")
        with (
            made.running(maker),
            made.running(worker) as page,
            watched(tmp_path / "prometheus", worker, maker, scale=MODELS_SCALE) as alarm,
        ):
            made.answer("ann", made.event("ann", "i1"))
            # At rest a model is rightly old.
            wait(lambda: page.read().value("afresh_model_age_seconds") > fires_after("AfreshModelOld"), "age")
            assert not firing(alarm.address) & MODEL

            maker.kill()
            takers = count()
            while not alarm.fired >= MODEL:
                made.event(f"u{next(takers)}", "i1")
                alarm.look()
                time.sleep(0.2)


def fires_after(name: str) -> float:
    """Return after how many seconds an alert fires for certain, scaled down."""
    (alert,) = (each for each in ALERTS if each.name == name)
    return MODELS_SCALE * (alert.limit_seconds + alert.for_seconds) + 5.0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_an_alert_fires_when_the_disk_is_almost_full(
    settings: Settings, prometheus: str, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, 32), deployment(settings.model_copy(update={"data_dir": disk}), tmp_path) as made:
        worker = made.process()
        with made.running(worker), watched(tmp_path / "prometheus", worker) as alarm:
            assert not firing(alarm.address) & DISK
            free = shutil.disk_usage(disk).free
            (disk / "ballast").write_bytes(bytes(int(free * 0.95)))
            alarm.wait_for(*DISK)
