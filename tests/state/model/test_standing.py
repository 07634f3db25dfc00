from __future__ import annotations

import numpy as np

from afresh.models.retrieval.asking import LIKENESS_UNIT
from afresh.models.retrieval.codes import decoded
from afresh.state.model.model import Model, version_of
from afresh.state.model.standing import MATERIAL, TENTH, Stands
from tests.streams.making import count, describe

ITEMS = [f"i{number}" for number in range(30)]


def stands() -> Stands:
    model = Model()
    describe(model.rows, *ITEMS)
    near = {
        item: {other: 1.0 + place for place, other in enumerate(ITEMS[:20]) if other != item}
        for item in ITEMS
    }
    count(model.rows, dict.fromkeys(ITEMS, 3.0), near)
    return version_of(model.snapshot())


def test_what_is_told_is_what_stands_up_to_the_rounding_of_codes() -> None:
    found = stands()
    rows = found.told(np.arange(len(ITEMS)))
    np.testing.assert_array_equal(rows["related"], found["related"])
    np.testing.assert_allclose(
        decoded(rows["strengths"], rows["strength_scales"]), found["strengths"], atol=1e-4
    )
    np.testing.assert_allclose(LIKENESS_UNIT * rows["likeness"], found["likeness"], atol=1e-6)


def told(found: Stands, most: int) -> list[int]:
    return [int(number) for number in found.to_tell(most)[0]]


def test_a_row_is_told_once_it_has_moved_enough_and_then_not_again() -> None:
    found = stands()
    assert told(found, 10) == []
    enough = MATERIAL * found["strengths"][3, TENTH]
    found["moved"][[3, 4]] = enough * 1.01, enough * 0.5
    assert told(found, 10) == [3]
    found.told(np.array([3]))
    assert told(found, 10) == []


def test_of_more_rows_than_may_be_told_those_that_moved_most_come_first() -> None:
    found = stands()
    found["moved"][:] = np.arange(len(ITEMS)) + 1.0
    found["moved"][5] = 1000.0
    assert told(found, 1) == [5]
    some, others = found.to_tell(7)
    assert len(some) == 7
    assert others == len(ITEMS) - 7


def test_what_is_to_be_told_again_comes_behind_what_moved_more() -> None:
    found = stands()
    found.tell_again(np.arange(10))
    assert len(told(found, 30)) == 10
    found["moved"][20] = 5.0
    assert told(found, 1) == [20]
    assert len(told(found, 30)) == 11
