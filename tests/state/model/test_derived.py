from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from afresh.models.arrays import NONE
from afresh.models.retrieval.candidates import HEAD
from afresh.state.keys import key_of
from afresh.state.model.derived import Derived, Snapshot, derive
from afresh.state.model.model import Model
from afresh.state.rows.content import TEXT, Vector
from tests.streams.making import count, describe

NEAR = {
    "a": {"b": 3.0, "c": 1.0},
    "b": {"a": 3.0, "c": 2.0},
    "c": {"a": 1.0, "d": 4.0},
    "d": {"c": 4.0},
}
ALL = "abcd"
COUNTS = {"a": 5.0, "b": 40.0, "c": 20.0, "d": 10.0}


def text(*numbers: float) -> dict[str, Any]:
    vector = np.array(numbers) / np.linalg.norm(numbers)
    return {"vectors": [Vector(TEXT, "e", "1", 0, vector.astype("<f2").tobytes())]}


TEXTS = {"a": text(1, 0, 0), "b": text(1, 0.1, 0), "c": text(0, 1, 0), "d": text(0, 1, 0.2)}


def model_of(order: str) -> Model:
    """Make a model of items that came in this order, with neighbours, counts and texts."""
    model = Model()
    for item in order:
        describe(model.rows, item, **TEXTS[item])
    count(model.rows, {item: COUNTS[item] for item in order}, NEAR)
    model.revise(model.changes())
    return model


def names_of(model: Model) -> list[str]:
    """Return the names of the items by number."""
    names = {key_of(item): item for item in ALL}
    return [names[key] for key in model.rows["keys"].tolist()]


def by_item(model: Model, derived: Derived) -> dict[str, dict[str, Any]]:
    """Return what was derived for each item, with names in place of numbers and without empty places."""
    names = [*names_of(model), ""]

    def pairs(others: np.ndarray, values: np.ndarray, index: int) -> dict[str, float]:
        found = zip(others[index].tolist(), values[index].tolist(), strict=True)
        return {names[other]: value for other, value in found if other != NONE}

    return {
        item: {
            "related": pairs(derived.relations.related, derived.relations.strengths, number),
            "followers": pairs(derived.transitions.followers, derived.transitions.following, number),
            "mass": float(derived.relations.mass[number]),
            "trust": float(derived.trust[number]),
        }
        for number, item in enumerate(names_of(model))
    }


def heads(model: Model, derived: Derived) -> list[list[str]]:
    return [[names_of(model)[number] for number in head] for head in derived.heads.tolist()]


@pytest.mark.parametrize("order", ["dcba", "bdac"])
def test_the_result_is_the_same_bit_by_bit_for_any_order_of_arrival(order: str) -> None:
    one, other = model_of("abcd"), model_of(order)
    first, second = derive(one.snapshot()), derive(other.snapshot())
    assert by_item(one, first) == by_item(other, second)
    assert heads(one, first) == heads(other, second)
    vectors, turned = first.relations.vectors, second.relations.vectors
    names = names_of(other)
    assert (vectors == turned[[names.index(item) for item in names_of(one)]]).all()
    assert (first.usual.totals == second.usual.totals).all()


def test_related_items_are_those_that_rows_name_and_never_the_item_itself() -> None:
    model = model_of("abcd")
    found = by_item(model, derive(model.snapshot()))
    assert set(found["d"]["related"]) >= {"c"}
    assert set(found["b"]["related"]) >= {"a", "c"}
    assert found["d"]["related"]["c"] == max(found["d"]["related"].values())
    assert all(item not in each["related"] for item, each in found.items())


def test_the_snapshot_is_left_as_it_was() -> None:
    snapshot = model_of("abcd").snapshot()
    before = {name: np.copy(value) for name, value in vars(snapshot).items()}
    derive(snapshot)
    for name, value in vars(snapshot).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_neighbours_that_came_after_the_snapshot_are_ignored() -> None:
    snapshot = model_of("abcd").snapshot()
    neighbours = snapshot.neighbours.copy()
    neighbours[neighbours == 2] = 7
    without = np.where(neighbours == 7, NONE, neighbours)
    assert related(replace(snapshot, neighbours=neighbours)) == related(replace(snapshot, neighbours=without))


def related(snapshot: Snapshot) -> Any:
    return derive(snapshot).relations.related.tolist()


def test_heads_are_the_available_items_with_the_largest_counts_first() -> None:
    model = model_of("abcd")
    describe(model.rows, "c", available=False)
    found = heads(model, derive(model.snapshot()))
    assert all(head == ["b", "d", "a"] for head in found)


def test_heads_are_at_most_as_long_as_candidates_need() -> None:
    model = Model()
    items = [f"i{number}" for number in range(HEAD + 10)]
    describe(model.rows, *items)
    count(model.rows, {item: float(number + 1) for number, item in enumerate(items)})
    assert derive(model.snapshot()).heads.shape[1] == HEAD
