from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from afresh.models.layout import HISTORY
from tests.benchmarks import identity
from tests.benchmarks.identity import Found, Ratings, accounts, figures, folds, recall_at


def drawn(users: int) -> Ratings:
    """Draw users with three sessions of 40 items each; none takes an item twice."""
    each = np.arange(users).repeat(120)
    place = np.tile(np.arange(120), users)
    times = (place // 40) * 86_400 + place % 40 * 60 + each * 7_000
    return Ratings(each, (place * 7 + each) % 900, times.astype(np.int64), (place % 5).astype(np.float32))


def test_users_of_a_fold_have_two_accounts_with_the_sessions_in_turns() -> None:
    rated = drawn(40)
    made, users = accounts(rated, 0)
    cut = folds(40) == 0
    assert len(made) == 40 + cut.sum()
    assert (np.bincount(users) == 1 + cut).all()
    assert {len(each.items) + len(each.older) for each in made} == {40, 80, 120}
    assert max(len(each.items) for each in made) == HISTORY
    for each in made:
        assert len(each.older) == 0 or each.times.min() > rated.times.min()


def test_both_folds_look_for_each_pair_once() -> None:
    totals = [
        len(users) - len(np.unique(users)) for users in (accounts(drawn(40), fold)[1] for fold in (0, 1))
    ]
    assert sum(totals) == 40


def test_a_threshold_takes_all_pairs_of_a_confidence_or_none() -> None:
    found = Found(np.array([True, True, False, True]), np.array([0.9, 0.8, 0.8, 0.1]), 10)
    assert recall_at(found, 0.9) == 0.1
    assert recall_at(found, 0.6) == 0.3
    assert recall_at(Found(found.right[:0], found.confidence[:0], 10), 0.9) == 0


def test_figures_say_how_many_of_each_confidence_are_right() -> None:
    said = figures(Found(np.array([True, False, True]), np.array([0.95, 0.93, 0.2]), 4))
    assert (said["sure"], said["precision_of_sure"], said["recall_of_sure"]) == (2, 0.5, 0.25)
    assert said["reliability"] == [
        {"from": 0.1, "pairs": 1, "said": 0.2, "right": 1.0},
        {"from": 0.9, "pairs": 2, "said": pytest.approx(0.94), "right": 0.5},
    ]


def test_all_ways_are_measured_in_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "ratings", lambda users: drawn(users))
    identity.main(["--users", "120", "--results", str(tmp_path / "identity.json")])
    measured = json.loads((tmp_path / "identity.json").read_text())
    assert list(measured) == list(identity.WAYS)
    assert {each["pairs"] for each in measured.values()} == {120}
