from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from models import factors, scorers
from state.behaviour import BehaviourRows
from state.keys import key_of
from state.learning import Learned, Pending, histories, learn, rounds
from state.records import Example
from tests.state.making import DAY_MS, VECTORS, example


def learned(*examples: Example) -> tuple[BehaviourRows, Learned]:
    rows = BehaviourRows({})
    return rows, learn(rows, b"", examples, 0)


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
    assert keys.shape == ages.shape == (2, scorers.HISTORY)
    assert keys[1, :3].tolist() == [key_of("x"), key_of("y"), 0]
    assert ages[1, :2].tolist() == [30, 60]
    assert np.isnan(ages[0]).all()
    assert np.isnan(ages[1, 2:]).all()


def test_an_item_of_the_history_that_is_newer_than_the_example_counts_as_one_of_now() -> None:
    _, ages = histories([example("b", "x", ago=-100)])
    assert ages[0, 0] == 0


def test_an_example_counts_for_the_item_taken_alone() -> None:
    rows, found = learned(example("b", "a"), example("b", "a", "c"), example("a"))
    assert [rows.ids[number] for number in found.moved] == [b"b", b"a"]
    taken = row_of(rows, "b")
    assert int(taken["examples"]) == 2
    assert taken["counts"].tolist() == scorers.counted(np.array([1, 2])).sum(axis=0).tolist()
    weights = dict(zip(taken["keys"].tolist(), taken["weights"].tolist(), strict=True))
    newest, before = scorers.LEARN.weights(np.array([60.0, 120.0], np.float32)).tolist()
    assert weights[key_of("a")] == pytest.approx(2 * newest)
    assert weights[key_of("c")] == pytest.approx(before)
    assert float(taken["mass"]) == pytest.approx(2 * newest + before)
    assert not row_of(rows, "a")["keys"].any()


def test_counts_fade_by_half_lives() -> None:
    rows, _ = learned(example("a", time=100 * DAY_MS), example("a", time=130 * DAY_MS))
    (amounts,) = scorers.counted(np.array([0]))
    left = 0.5 ** (30 * DAY_MS / scorers.HALF_LIVES_MS)
    np.testing.assert_allclose(row_of(rows, "a")["counts"], amounts * (1 + left))
    assert int(row_of(rows, "a")["time"]) == 130 * DAY_MS


def test_factors_step_after_a_fixed_count_of_examples() -> None:
    batch = [example(f"i{number}", "h") for number in range(factors.BATCH)]
    waiting, found = learned(*batch[:-1])
    assert not waiting.array["factors"].any()
    pending = msgspec.msgpack.decode(found.pending, type=Pending)
    assert (pending.examples, len(pending.items)) == (factors.BATCH - 1, factors.BATCH - 1)
    found = learn(waiting, found.pending, batch[-1:], 0)
    assert waiting.array["factors"][: len(waiting)].any(axis=1).all()
    pending = msgspec.msgpack.decode(found.pending, type=Pending)
    assert (pending.examples, pending.items, pending.vectors) == (factors.BATCH, [], b"")


items = st.sampled_from(["a", "b", "c", "d"])


@given(
    st.lists(st.tuples(items, st.lists(items, max_size=3)), min_size=33, max_size=80),
    st.sets(st.integers(1, 79)),
)
@limits(deadline=None, max_examples=40)
def test_rows_and_what_waits_are_the_same_wherever_the_runs_end(
    taken: list[tuple[str, list[str]]], cuts: set[int]
) -> None:
    examples = [example(item, *history, offset=number) for number, (item, history) in enumerate(taken)]
    whole, at_once = learned(*examples)
    rows, pending = BehaviourRows({}), b""
    places = [0, *sorted(place for place in cuts if place < len(examples)), len(examples)]
    for start, end in pairwise(places):
        pending = learn(rows, pending, examples[start:end], 0).pending
    assert pending == at_once.pending
    assert rows.ids == whole.ids
    assert (rows.array[: len(rows)] == whole.array[: len(whole)]).all()


def test_numbers_that_are_not_finite_do_not_get_into_the_factors() -> None:
    broken = np.full((2, factors.DIMENSIONS), np.nan, "<f4").tobytes()
    examples = [
        Example(0, n, f"i{n}", "films", DAY_MS, b"", b"", broken if n % 2 else VECTORS)
        for n in range(2 * factors.BATCH)
    ]
    rows, _ = learned(*examples)
    assert np.isfinite(rows.array["factors"]).all()
    assert rows.array["factors"].any()
