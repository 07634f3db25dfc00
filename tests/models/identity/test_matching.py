from __future__ import annotations

import numpy as np
import pytest

from afresh.models.identity import matching
from afresh.models.identity.fingerprints import gather
from afresh.models.identity.matching import choose, near_in_time
from tests.models.identity.crowds import DAY, fingerprint, people

CROWD = gather(
    [fingerprint(name, [day * DAY]) for day, name in enumerate(("web:1", "app:1", "web:2", "app:2"))]
)


def pairs(*, strangers: bool) -> list[tuple[int, int]]:
    first, second = near_in_time(CROWD, CROWD.sessions(), strangers=strangers)
    return list(zip(first.tolist(), second.tolist(), strict=True))


def test_accounts_of_different_platforms_are_paired_once_and_strangers_are_those_of_one() -> None:
    assert pairs(strangers=False) == [(0, 1), (0, 3), (1, 2), (2, 3)]
    assert pairs(strangers=True) == [(0, 2), (1, 3)]


def test_only_the_nearest_sessions_are_paired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "NEAREST", 1)
    assert pairs(strangers=False) == [(0, 1), (1, 2), (2, 3)]


def test_pairs_grow_in_proportion_to_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "NEAREST", 5)
    for count in (100, 200):
        crowd = gather(people(count, 0, 1))
        sessions = crowd.sessions()
        first, _ = near_in_time(crowd, sessions, strangers=False)
        assert len(first) <= 5 * len(sessions.begins)


def scores(*odds: float) -> dict[tuple[int, int], float]:
    first, second = near_in_time(CROWD, CROWD.sessions(), strangers=False)
    chosen = choose(CROWD, first, second, np.array(odds))
    return {
        (int(first[each]), int(second[each])): score
        for each, score in zip(chosen.places, chosen.scores, strict=True)
    }


def test_an_account_is_chosen_once_and_by_its_best() -> None:
    assert list(scores(5, 4, 1, 6)) == [(0, 1), (2, 3)]
    assert list(scores(0, 0, 0, 0)) == [(0, 1)]


def test_a_second_that_is_as_good_takes_the_score_away() -> None:
    alone, beside = scores(5, -9, -9, -9)[0, 1], scores(5, 4.9, -9, -9)[0, 1]
    assert alone > 4 > 1 > beside
