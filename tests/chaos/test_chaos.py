from pathlib import Path

import pytest

from afresh.deploy.servers.kafka import Installation
from tests.chaos.pipeline import running_pipeline
from tests.chaos.schedule import short
from tests.chaos.trial import Trial

SEED = 1
RATE = 40.0
DOWN_SECONDS = 12.0
"""A server that is down stays down for 60 s in the schedules of ``make chaos``."""


@pytest.mark.timeout(1500)
def test_every_event_is_counted_once_and_every_list_shown_through_every_fault(
    kafka_installation: Installation, tmp_path: Path
) -> None:
    with running_pipeline(tmp_path, workers=2) as pipeline:
        report = Trial(pipeline, SEED, RATE, DOWN_SECONDS, print).run(short(SEED), float("inf"))
    print(report.summary())
    assert report.failures == [], report.summary()
    assert report.ledger.events.accepted > 0
