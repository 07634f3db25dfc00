from dataclasses import replace

import numpy as np
import pytest

from afresh.models.retrieval.asking import ASK_LONG
from afresh.models.scorers.cases import catalogue, user
from tests.models.making import scores


def test_an_item_gets_less_new_as_it_is_taken() -> None:
    examples = np.array([0, 5, 45], np.uint32)
    items = catalogue(3)._replace(examples=examples)
    assert scores(user(3, length=0), items)["new"].tolist() == pytest.approx([1, 0.5, 0.1])


def test_a_domain_counts_the_weights_of_its_items_in_the_history() -> None:
    items, who = catalogue(3)._replace(domain=np.array([0, 1, 1], np.int32)), user(3, length=3)
    weights = dict(zip(who.history.tolist(), ASK_LONG.weights(who.ages).tolist(), strict=True))
    expected = [weights[0], weights[1] + weights[2], weights[1] + weights[2]]
    assert scores(who, items)["domain"].tolist() == pytest.approx(expected)


def test_own_says_how_lately_and_how_often_the_user_took_the_item_itself() -> None:
    who = replace(user(3, length=3), history=np.array([1, 2, 1], np.int32))
    first, second, third = ASK_LONG.weights(who.ages).tolist()
    assert scores(who, catalogue(3))["own"].tolist() == pytest.approx([0, first + third, second])
