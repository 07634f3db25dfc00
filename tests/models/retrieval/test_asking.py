from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.arrays import NONE
from afresh.models.layout import HORIZONS, TENURES
from afresh.models.learning.horizons import counted
from afresh.models.learning.neighbours import NEXT
from afresh.models.retrieval.asking import ASK, ASK_LONG
from afresh.models.scorers.cases import catalogue, user
from tests.models.making import asking


@given(st.lists(st.booleans(), min_size=8, max_size=8))
def test_items_of_the_history_that_nobody_knows_are_passed_over(known: list[bool]) -> None:
    items, who = catalogue(), user(length=8)
    partly = replace(who, history=np.where(known, who.history, NONE).astype(np.int32))
    asked = asking(partly, items)
    assert asked.indices.tolist() == who.history[known].tolist()
    for kernel in (ASK, ASK_LONG, NEXT):
        # lags are counted over the whole history: an item does not come nearer because one before it is unknown
        assert asked.weights(kernel).tolist() == kernel.weights(who.ages)[known].tolist()
    assert asked.related.tolist() == items.related[asked.indices].tolist()
    assert asked.strengths.tolist() == items.strengths[asked.indices].tolist()


def test_who_took_nothing_asks_with_nothing() -> None:
    items = catalogue()
    asked = asking(user(length=0), items)
    assert asked.indices.shape == asked.weights(ASK).shape == (0,)
    assert asked.related.shape == asked.strengths.shape == (0, items.related.shape[1])
    assert asked.tenure == HORIZONS


def test_the_weights_of_a_kernel_are_made_once() -> None:
    asked = asking(user(), catalogue())
    assert asked.weights(ASK) is asked.weights(ASK)
    assert asked.weights(ASK).tolist() != asked.weights(ASK_LONG).tolist()


@pytest.mark.parametrize("taken", [0, 1, 3, 100, 10**9])
def test_a_user_is_asked_for_at_the_stage_at_which_an_event_would_count(taken: int) -> None:
    asked = asking(replace(user(), taken=taken), catalogue())
    amounts = counted(np.array([taken]))[0]
    assert asked.tenure < HORIZONS + TENURES
    assert np.flatnonzero(amounts)[-1] == asked.tenure


def test_there_is_room_for_every_item_of_the_catalogue() -> None:
    asked = asking(user(), catalogue(40))
    assert asked.numbering.distinct(np.array([39, 39], np.int32)).tolist() == [39]
