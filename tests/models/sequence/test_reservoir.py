from __future__ import annotations

import numpy as np
import pytest

from afresh.models.sequence import reservoir
from afresh.models.sequence.pasts import LENGTH
from afresh.models.sequence.reservoir import Reservoir


def filled(users: int, size: int, seed: int = 1) -> Reservoir:
    kept = Reservoir(seed, size)
    for user in range(users):
        for step in range(3):
            kept.take(user, user, step)
    return kept


def owners(kept: Reservoir) -> set[int]:
    drawn = kept.draw(500, np.random.default_rng(1))
    return {int(past.items[0]) for past in drawn}


def test_the_newest_users_are_there_and_older_ones_by_chance() -> None:
    found = owners(filled(100, 20))
    assert len(found) == 20
    assert 99 in found
    assert min(found) < 80


def test_the_same_seed_keeps_the_same_users() -> None:
    assert owners(filled(100, 20)) == owners(filled(100, 20))
    assert owners(filled(100, 20)) != owners(filled(100, 20, seed=2))


def test_users_are_drawn_by_how_much_they_took_and_one_item_alone_teaches_nothing() -> None:
    kept = Reservoir(1)
    for user, count in enumerate((1, 10, 30)):
        for step in range(count):
            kept.take(user, user, step)
    drawn = [int(past.items[0]) for past in kept.draw(2000, np.random.default_rng(1))]
    assert drawn.count(0) == 0
    assert 2.5 < drawn.count(2) / drawn.count(1) < 3.5


def test_who_took_nothing_for_a_half_life_is_drawn_half_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reservoir, "HALF_LIFE", 10)
    kept = filled(2, 100)
    for step in range(7):
        kept.take(2 + step, 9, step)
    drawn = [int(past.items[0]) for past in kept.draw(3000, np.random.default_rng(1))]
    assert 0.7 < drawn.count(0) / drawn.count(1) < 0.9


def test_pieces_follow_each_other_in_time_and_come_from_the_whole_past() -> None:
    kept = Reservoir(1)
    for step in range(200):
        kept.take(0, step, step * 1000)
    drawn = kept.draw(500, np.random.default_rng(1))
    assert {len(past.items) for past in drawn} == {LENGTH + 1}
    assert all((np.diff(past.items) == 1).all() and (past.times == past.items * 1000).all() for past in drawn)
    assert min(past.items[0] for past in drawn) == 0
    assert max(past.items[-1] for past in drawn) == 199


def test_nothing_is_drawn_where_nobody_took_two_items() -> None:
    kept = Reservoir(1)
    assert kept.draw(3, np.random.default_rng(1)) == []
    kept.take(0, 0, 0)
    assert kept.draw(3, np.random.default_rng(1)) == []
