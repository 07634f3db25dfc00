from pathlib import Path

import pytest

from afresh.deploy.servers.kafka import Installation
from tests.chaos.pipeline import running_pipeline
from tests.chaos.schedule import short
from tests.chaos.trial import Trial

SEED = 1
RATE = 40.0
DOWN_SECONDS = 12.0
"""How long a server stays down here; in ``make chaos`` it is 60 s."""


@pytest.mark.timeout(1500)
def test_through_every_fault_every_event_is_counted_once_and_every_list_is_right(
    kafka_installation: Installation, tmp_path: Path
) -> None:
    with running_pipeline(tmp_path, workers=2) as pipeline:
        report = Trial(pipeline, SEED, RATE, DOWN_SECONDS, print).run(short(SEED), float("inf"))
    print(report.summary())
    assert report.failures == [], report.summary()
    assert report.ledger.events.accepted > 0
