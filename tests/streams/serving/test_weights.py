import pytest
from prometheus_client import REGISTRY

from afresh.models import scorers
from afresh.models.fusion.fusion import Fusion
from afresh.streams.serving.weights import Weights


def fusion(shift: float = 0.0) -> Fusion:
    made = scorers.new_fusion()
    made.omega += shift
    return made


def test_a_version_counts_changes_of_the_weights_not_reports_of_them() -> None:
    weights, told = Weights(), []
    for shift in (0.0, 0.0, 1.0, 1.0, 0.0):
        weights.learn(3, fusion(shift))
        told.append(weights.version(3))
    assert told == [1, 1, 2, 2, 3]


def test_a_fusion_with_unchanged_weights_is_taken_in_too() -> None:
    weights, counted = Weights(), fusion()
    counted.skip()
    weights.learn(3, fusion())
    weights.learn(3, counted)
    assert weights.of(3) is counted


def test_weights_of_a_returning_partition_have_a_new_version() -> None:
    weights = Weights()
    for partition in (0, 1):
        weights.learn(partition, fusion())
    weights.keep_only({1})
    assert (0 in weights, 1 in weights) == (False, True)
    weights.learn(0, fusion())
    assert (weights.version(0), weights.version(1)) == (2, 1)


def test_the_metric_of_a_scorer_is_the_mean_of_the_partitions() -> None:
    weights = Weights()
    weights.learn(0, fusion())
    weights.learn(1, fusion(1.0))
    weights.report()
    first = scorers.NAMES[0]
    shown = REGISTRY.get_sample_value("afresh_fusion_weight", {"scorer": first})
    assert shown == pytest.approx(fusion(0.5).by_scorer()[0])
