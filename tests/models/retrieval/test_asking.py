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
def test_unknown_items_of_the_history_are_skipped(known: list[bool]) -> None:
    items, who = catalogue(), user(length=8)
    partly = replace(who, history=np.where(known, who.history, NONE).astype(np.int32))
    asked = asking(partly, items)
    assert asked.indices.tolist() == who.history[known].tolist()
    for kernel in (ASK, ASK_LONG, NEXT):
        # Lags count over the whole history: an item does not come nearer because a newer one is unknown.
        assert asked.weights(kernel).tolist() == kernel.weights(who.ages)[known].tolist()
    assert asked.related.tolist() == items.related[asked.indices].tolist()
    assert asked.strengths.tolist() == items.strengths[asked.indices].tolist()


def test_a_user_who_took_nothing_has_no_items_to_ask_with() -> None:
    items = catalogue()
    asked = asking(user(length=0), items)
    assert asked.indices.shape == asked.weights(ASK).shape == (0,)
    assert asked.related.shape == asked.strengths.shape == (0, items.related.shape[1])
    assert asked.tenure == HORIZONS


def test_the_weights_of_a_kernel_are_computed_once() -> None:
    asked = asking(user(), catalogue())
    assert asked.weights(ASK) is asked.weights(ASK)
    assert asked.weights(ASK).tolist() != asked.weights(ASK_LONG).tolist()


@pytest.mark.parametrize("taken", [0, 1, 3, 100, 10**9])
def test_a_user_has_the_tenure_in_which_the_next_event_counts(taken: int) -> None:
    asked = asking(replace(user(), taken=taken), catalogue())
    amounts = counted(np.array([taken]))[0]
    assert asked.tenure < HORIZONS + TENURES
    assert np.flatnonzero(amounts)[-1] == asked.tenure


def test_there_is_room_for_every_item_of_the_catalogue() -> None:
    asked = asking(user(), catalogue(40))
    assert asked.numbering.distinct(np.array([39, 39], np.int32)).tolist() == [39]
