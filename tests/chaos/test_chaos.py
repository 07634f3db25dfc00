from collections.abc import Sequence
from pathlib import Path

import pytest

from afresh.deploy.servers.kafka import Installation
from afresh.streams.settings import INLINE
from tests.chaos.faults import MODEL, possible
from tests.chaos.pipeline import running_pipeline
from tests.chaos.schedule import Step, short
from tests.chaos.trial import Trial
from tests.kafka.cluster import NODES

SEED = 1
RATE = 40.0
DOWN_SECONDS = 12.0
"""How long a server stays down here; in ``make chaos`` it is 60 s."""

QUORUM_SECONDS = 8.0
"""How long the quorum is lost here; in ``make chaos`` it is 30 s."""


CLUSTER = [
    Step(0.5, ("leadership-moved", "redis-failover")),
    # The coordinator leads partitions as well.
    Step(0.5, ("coordinator-killed",)),
    Step(0.5, ("quorum-lost",)),
]
"""What three brokers go through here. Each start of a broker takes seconds, so that a rolling restart is left to
``tests/kafka/test_quorum.py`` and ``make chaos``."""


def clean(
    folder: Path, brokers: int, steps: Sequence[Step], down_seconds: float, model: str = INLINE
) -> None:
    """Play the steps, and audit the end."""
    with running_pipeline(folder, workers=2, brokers=brokers, model=model) as pipeline:
        report = Trial(pipeline, SEED, RATE, down_seconds, print).run(steps, float("inf"))
    print(report.summary())
    assert report.failures == [], report.summary()
    assert report.ledger.events.accepted > 0


@pytest.mark.timeout(1500)
def test_through_every_fault_every_event_is_counted_once_and_every_list_is_right(
    kafka_installation: Installation, tmp_path: Path
) -> None:
    clean(tmp_path, 1, short(SEED, possible(1)), DOWN_SECONDS)


@pytest.mark.timeout(600)
def test_through_faults_of_three_brokers_every_event_is_counted_once_and_every_list_is_right(
    kafka_installation: Installation, tmp_path: Path
) -> None:
    clean(tmp_path, NODES, CLUSTER, QUORUM_SECONDS)


@pytest.mark.timeout(600)
def test_through_faults_of_model_workers_every_event_is_counted_once_and_every_list_is_right(
    kafka_installation: Installation, tmp_path: Path
) -> None:
    clean(tmp_path, 1, short(SEED, [fault.name for fault in MODEL]), DOWN_SECONDS, model="worker")
