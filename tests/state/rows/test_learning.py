from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from afresh.models.layout import HALF_LIVES_MS, HISTORY
from afresh.models.learning import horizons
from afresh.models.learning.neighbours import FADE, LEARN, NEXT
from afresh.state.keys import key_of
from afresh.state.records import Example
from afresh.state.rows.behaviour import BehaviourRows
from afresh.state.rows.learning import histories, learn, rounds
from tests.state.making import DAY_MS, example


def learned(*examples: Example) -> tuple[BehaviourRows, list[int]]:
    rows = BehaviourRows({})
    return rows, learn(rows, examples)


def row_of(rows: BehaviourRows, item: str) -> Any:
    return rows.array[rows.number[item.encode()]]


@given(st.lists(st.integers(0, 5), max_size=40))
def test_rounds_hold_each_number_once_and_in_order(numbers: list[int]) -> None:
    found = rounds(np.array(numbers, np.int64))
    assert sorted(place for each in found for place in each.tolist()) == list(range(len(numbers)))
    for nth, places in enumerate(found):
        for place in places.tolist():
            assert numbers[:place].count(numbers[place]) == nth


def test_histories_are_arrays_of_one_width() -> None:
    keys, ages = histories([example("a"), example("b", "x", "y", ago=30)])
    assert keys.shape == ages.shape == (2, HISTORY)
    assert keys[1, :3].tolist() == [key_of("x"), key_of("y"), 0]
    assert ages[1, :2].tolist() == [30, 60]
    assert np.isnan(ages[0]).all()
    assert np.isnan(ages[1, 2:]).all()


def test_an_item_of_the_history_newer_than_the_example_has_age_0() -> None:
    _, ages = histories([example("b", "x", ago=-100)])
    assert ages[0, 0] == 0


def test_an_item_taken_again_does_not_become_its_own_neighbour() -> None:
    rows, _ = learned(example("a", "a", "b"))
    assert set(row_of(rows, "a")["pairs"]["key"].tolist()) == {0, key_of("b")}
    assert float(row_of(rows, "a")["mass"]) == pytest.approx(LEARN.weights(np.array([0, 120], "f4"))[1])


def test_an_example_counts_only_for_the_item_taken() -> None:
    rows, found = learned(example("b", "a"), example("b", "a", "c"), example("a"))
    assert [rows.ids[number] for number in found] == [b"b", b"a"]
    taken = row_of(rows, "b")
    assert int(taken["examples"]) == 2
    assert taken["counts"].tolist() == horizons.counted(np.array([1, 2])).sum(axis=0).tolist()
    pairs = {key: weights for key, *weights in taken["pairs"].tolist()}
    ages = np.array([60.0, 120.0], np.float32)
    newest, before = LEARN.weights(ages).tolist()
    last, last_but_one = NEXT.weights(ages).tolist()
    (weight_a, next_a), (weight_c, next_c) = pairs[key_of("a")], pairs[key_of("c")]
    assert weight_a == pytest.approx(newest * (1 + FADE))
    assert weight_c == pytest.approx(before)
    # float16
    assert [next_a, next_c] == pytest.approx([last * (1 + FADE), last_but_one], rel=1e-3)
    assert float(taken["mass"]) == pytest.approx(newest * (1 + FADE) + before)
    assert not row_of(rows, "a")["pairs"]["key"].any()


def test_counts_fade_by_half_lives() -> None:
    rows, _ = learned(example("a", time=100 * DAY_MS), example("a", time=130 * DAY_MS))
    (amounts,) = horizons.counted(np.array([0]))
    left = 0.5 ** (30 * DAY_MS / HALF_LIVES_MS)
    np.testing.assert_allclose(row_of(rows, "a")["counts"], amounts * (1 + left), rtol=1e-6)
    assert int(row_of(rows, "a")["time"]) == 130 * DAY_MS


items = st.sampled_from(["a", "b", "c", "d"])


@given(
    st.lists(st.tuples(items, st.lists(items, max_size=3)), min_size=33, max_size=80),
    st.sets(st.integers(1, 79)),
)
@limits(deadline=None, max_examples=40)
def test_rows_are_the_same_wherever_the_runs_end(taken: list[tuple[str, list[str]]], cuts: set[int]) -> None:
    examples = [example(item, *history, offset=number) for number, (item, history) in enumerate(taken)]
    whole, _ = learned(*examples)
    rows = BehaviourRows({})
    places = [0, *sorted(place for place in cuts if place < len(examples)), len(examples)]
    for start, end in pairwise(places):
        learn(rows, examples[start:end])
    assert rows.ids == whole.ids
    assert (rows.array[: len(rows)] == whole.array[: len(whole)]).all()
