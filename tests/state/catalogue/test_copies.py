from __future__ import annotations

import numpy as np

from afresh.models.arrays import NONE
from afresh.state.catalogue.copies import ModelCopy
from afresh.state.model.told import TOLD


def rows(*related: int) -> np.ndarray:
    made = np.zeros(len(related), TOLD)
    for name in ("related", "followers", "akin"):
        made[name] = NONE
    made["related"][:, 0] = related
    made["trust"] = 0.5
    return made


def numbers(*some: int) -> np.ndarray:
    return np.array(some, np.int32)


def test_numbers_become_the_indices_of_this_worker() -> None:
    copy = ModelCopy(1)
    copy.number(0, numbers(4, 0, 2))
    copy.tell(numbers(0, 1, 2), rows(1, NONE, 0))
    found = copy.views(5)
    assert found["related"][[4, 0, 2], 0].tolist() == [0, NONE, 4]
    assert copy.is_whole(3)


def test_an_item_that_was_never_told_is_related_to_none_and_believed() -> None:
    found = ModelCopy(1).views(3)
    assert (found["related"] == NONE).all()
    assert (found["trust"] == 1).all()


def test_numbers_that_are_not_known_yet_are_none() -> None:
    copy = ModelCopy(1)
    copy.number(0, numbers(0, 1))
    copy.tell(numbers(0, 7), rows(9, 0))
    assert copy.views(2)["related"][:, 0].tolist() == [NONE, NONE]


def test_numbers_are_taken_in_order_and_once() -> None:
    copy = ModelCopy(1)
    copy.number(0, numbers(0, 1))
    copy.number(5, numbers(3))
    copy.number(0, numbers(1, 0))
    copy.tell(numbers(0), rows(1))
    assert copy.views(2)["related"][0, 0] == 1


def test_heads_become_indices_of_this_worker() -> None:
    copy = ModelCopy(1)
    copy.number(0, numbers(4, 0, 2))
    copy.lead(np.tile(np.array([2, 0], "<i4"), (14, 1)).tobytes())
    assert copy.heads[0].tolist() == [2, 4]
