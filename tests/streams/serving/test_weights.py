import logging

import numpy as np
import pytest
from prometheus_client import REGISTRY

from afresh.models import scorers
from afresh.models.fusion.weights import Weights
from afresh.state.rows import weights as rows
from afresh.state.rows.weights import WEIGHTS_KEY
from afresh.streams.serving.weights import LATE_SECONDS, NewestWeights


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def weights(clock: Clock) -> NewestWeights:
    return NewestWeights(clock)


def row(version: int, received: int = 0, shift: float = 0.0) -> dict[bytes, bytes | None]:
    return {WEIGHTS_KEY: rows.pack(Weights(scorers.prior() + shift, version), received)}


def test_before_anybody_has_learned_lists_are_made_with_the_priors(weights: NewestWeights) -> None:
    assert weights.now.version == 0
    assert np.array_equal(weights.now.omega, scorers.prior())
    weights.apply({b"": b"a partition row"})
    assert weights.now.version == 0


def test_the_newest_row_of_the_weights_is_what_lists_are_made_with(weights: NewestWeights) -> None:
    weights.apply(row(4, shift=1.0))
    assert weights.now.version == 4
    assert np.array_equal(weights.now.omega, scorers.prior() + 1)


def test_weights_of_other_scorers_are_followed_by_their_names(
    weights: NewestWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(scorers, "NAMES", tuple(reversed(scorers.NAMES)))
        other = row(5, shift=1.0)
    omega = scorers.prior() + 1.0
    weights.apply(other)
    assert weights.now.version == 5
    assert np.array_equal(weights.now.by_scorer()[::-1], Weights(omega).by_scorer())


def test_the_age_is_that_of_the_first_example_without_an_answer(weights: NewestWeights, clock: Clock) -> None:
    assert weights.age_seconds() == 0
    weights.await_answer(50)
    clock.now += 5
    weights.await_answer(60)
    assert weights.age_seconds() == 5
    weights.apply(row(1, received=40))
    assert weights.age_seconds() == 5
    weights.apply(row(1, received=60))
    assert weights.age_seconds() == 0
    weights.await_answer(60)
    assert weights.age_seconds() == 0


def test_the_log_says_once_that_nobody_learns(
    weights: NewestWeights, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    weights.await_answer(50)
    clock.now += LATE_SECONDS + 1
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            weights.report()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "lists go on with version 0" in caplog.text
    weights.apply(row(1, received=50))
    weights.report()
    weights.await_answer(70)
    clock.now += LATE_SECONDS + 1
    weights.report()
    assert len(caplog.records) == 2


def test_the_metrics_show_the_weights(weights: NewestWeights) -> None:
    weights.apply(row(4, shift=1.0))
    weights.report()
    first = scorers.NAMES[0]
    shown = REGISTRY.get_sample_value("afresh_fusion_weight", {"scorer": first})
    assert shown == pytest.approx(weights.now.by_scorer()[0])
    assert REGISTRY.get_sample_value("afresh_weights_version") == 4
