from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks import partitions
from tests.benchmarks.partitions import WAYS, figures_of, table


@pytest.mark.slow
def test_every_way_serves_the_same_candidates_and_learns_weights_of_its_own() -> None:
    figures = partitions.measure("ml-100k", cut=600)
    assert list(figures) == list(WAYS)
    assert figures["one fusion, 4 partitions"] != figures["a fusion in each of 4"]
    assert 0 < min(each["hr"] for each in figures.values()) < 1


def test_the_last_half_and_the_first_events_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "FIRST", 2)
    ranks = np.array([0, -1, -1, -1, 3, -1, 0, 9])
    assert figures_of(ranks)["hr"] == 0.75
    assert figures_of(ranks)["hr_first"] == 0.5


def test_the_table_shows_the_difference_from_one_partition() -> None:
    figures = {
        way: {"hr": 0.2 - 0.01 * place, "ndcg": 0.1, "hr_first": 0.1} for place, way in enumerate(WAYS)
    }
    made = table({"ml-100k": figures})
    assert list(made.columns[-1].cells) == ["+0.0000", "-0.0100", "-0.0200", "-0.0300", "-0.0400"]
