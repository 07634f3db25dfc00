from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.arrays import NONE
from afresh.models.layout import HORIZONS, TENURES
from afresh.models.learning.horizons import counted
from afresh.models.learning.neighbours import NEXT
from afresh.models.retrieval.asking import ASK, ASK_LONG, Asked, places_of, weigh
from afresh.models.scorers.cases import catalogue, user


@given(st.lists(st.booleans(), min_size=8, max_size=8))
def test_unknown_items_of_the_history_are_skipped(known: list[bool]) -> None:
    items, who = catalogue(), user(length=8)
    partly = replace(who, history=np.where(known, who.history, NONE).astype(np.int32))
    asked = Asked(partly, items)
    assert asked.indices.tolist() == who.history[known].tolist()
    for kernel in (ASK, ASK_LONG, NEXT):
        # Lags count over the whole history: an item does not come nearer because a newer one is unknown.
        assert asked.weights(kernel).tolist() == kernel.weights(who.ages)[known].tolist()
        np.testing.assert_allclose(weigh(asked.history, kernel), asked.weights(kernel), rtol=1e-5)


def test_a_user_who_took_nothing_has_no_items_to_ask_with() -> None:
    items = catalogue()
    asked = Asked(user(length=0), items)
    assert asked.indices.shape == asked.weights(ASK).shape == (0,)
    assert weigh(asked.history, ASK).shape == (0,)
    assert asked.history.tenure == HORIZONS


@pytest.mark.parametrize("taken", [0, 1, 3, 100, 10**9])
def test_a_user_has_the_tenure_in_which_the_next_event_counts(taken: int) -> None:
    asked = Asked(replace(user(), taken=taken), catalogue())
    amounts = counted(np.array([taken]))[0]
    assert asked.history.tenure < HORIZONS + TENURES
    assert np.flatnonzero(amounts)[-1] == asked.history.tenure


def test_a_time_that_is_no_number_weighs_nothing() -> None:
    history = Asked(user(length=3), catalogue()).history
    history.ages[1] = np.nan
    assert (weigh(history, ASK) > 0).tolist() == [True, False, True]


@given(st.lists(st.integers(0, 20), unique=True), st.lists(st.integers(-1, 20)))
def test_places_are_those_among_the_candidates(chosen: list[int], asked: list[int]) -> None:
    places = places_of(np.array(asked, np.int32), np.array(chosen, np.int32))
    expected = [chosen.index(each) if each in chosen else len(chosen) for each in asked]
    assert places.tolist() == expected
