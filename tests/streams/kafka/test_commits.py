from __future__ import annotations

from collections.abc import Iterator

import pytest
from faust.types import TP
from prometheus_client import REGISTRY

from afresh.streams import metrics
from afresh.streams.kafka.commits import CommitAges

ONE, TWO = TP("test.events", 1), TP("test.events", 2)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _no_ages_of_other_tests() -> Iterator[None]:
    metrics.COMMIT_AGE.clear()
    yield
    metrics.COMMIT_AGE.clear()


def shown(ages: CommitAges) -> dict[TP, float]:
    ages.report()
    labels = {tp: {"topic": tp.topic, "partition": str(tp.partition)} for tp in (ONE, TWO)}
    values = {tp: REGISTRY.get_sample_value("afresh_commit_age_seconds", of) for tp, of in labels.items()}
    return {tp: value for tp, value in values.items() if value is not None}


def test_the_age_of_a_partition_begins_with_the_first_waiting_run() -> None:
    ages = CommitAges(clock := Clock())
    assert shown(ages) == {}
    ages.delivered(ONE)
    clock.now += 3
    ages.delivered(ONE)
    ages.delivered(TWO)
    clock.now += 4
    assert shown(ages) == {ONE: 7, TWO: 4}


def test_a_commit_resets_the_age_and_a_commit_of_all_runs_removes_it() -> None:
    ages = CommitAges(clock := Clock())
    ages.delivered(ONE)
    ages.delivered(TWO)
    clock.now += 5
    assert shown(ages) == {ONE: 5, TWO: 5}
    ages.committed(ONE, more=True)
    ages.committed(TWO, more=False)
    clock.now += 1
    assert shown(ages) == {ONE: 1}


def test_a_partition_that_has_left_is_no_longer_shown() -> None:
    ages = CommitAges(Clock())
    ages.delivered(ONE)
    assert shown(ages) == {ONE: 0}
    ages.forget(ONE)
    assert shown(ages) == {}
