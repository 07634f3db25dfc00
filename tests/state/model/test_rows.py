from __future__ import annotations

import numpy as np

from afresh.state.keys import key_of
from afresh.state.model.rows import ItemRows
from tests.streams.making import count, describe


def test_an_item_keeps_its_number_however_it_becomes_known() -> None:
    rows = ItemRows()
    count(rows, {"i1": 1.0}, {"i1": {"i2": 2.0}})
    describe(rows, "i3", "i2")
    assert rows["keys"].tolist() == [key_of(item) for item in ("i1", "i2", "i3")]
    assert rows["available"].tolist() == [False, True, True]
    assert rows["neighbours"][0, 0] == 1


def test_what_a_row_said_before_its_first_change_is_kept_for_each_of_two_moments() -> None:
    rows = ItemRows()
    count(rows, {"i1": 1.0}, {"i1": {"i2": 2.0}})
    assert not rows.changed, "nobody makes a model of them yet"
    rows.tracked = True
    count(rows, {"i1": 2.0}, {"i1": {"i2": 3.0}})
    numbers, before, after = rows.take_changed()
    count(rows, {"i1": 3.0}, {"i1": {"i2": 4.0}})
    assert numbers.tolist() == [0]
    assert (before.weights[0, 0], after.weights[0, 0]) == (2.0, 3.0)
    assert rows.changed[0].weights[0] == 3.0
    assert rows.since[0].weights[0] == 2.0
    rows.forget_changes()
    count(rows, {"i1": 4.0}, {"i1": {"i2": 5.0}})
    assert not rows.changed


def test_a_withdrawn_item_has_no_text_and_is_not_available() -> None:
    rows = ItemRows()
    describe(rows, "i1")
    rows.apply_content({b"i1": None, b"unknown": None})
    assert len(rows) == 1
    assert not rows["available"].any()


def test_updates_are_counted_and_time_goes_on() -> None:
    rows = ItemRows()
    before = rows.updates
    describe(rows, "i1")
    count(rows, {"i1": 1.0})
    assert rows.updates == before + 2
    rows.apply_behaviour({})
    assert rows.updates == before + 2
    assert np.count_nonzero(rows["counts"]) > 0


def test_items_that_somebody_has_taken_are_counted_once() -> None:
    rows = ItemRows()
    describe(rows, "i1", "i2", "i3")
    count(rows, {"i1": 1.0, "i2": 1.0})
    count(rows, {"i2": 2.0})
    assert rows.taken == 2
