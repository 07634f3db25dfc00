from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from afresh.models.arrays import NONE
from afresh.models.retrieval.candidates import HEAD
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.catalogue.derived import CatalogueSnapshot, Derived, derive
from afresh.state.rows.content import TEXT, Vector
from tests.streams.making import count, describe

NEAR = {
    "a": {"b": 3.0, "c": 1.0},
    "b": {"a": 3.0, "c": 2.0},
    "c": {"a": 1.0, "d": 4.0},
    "d": {"c": 4.0},
}
COUNTS = {"a": 5.0, "b": 40.0, "c": 20.0, "d": 10.0}


def text(*numbers: float) -> dict[str, Any]:
    vector = np.array(numbers) / np.linalg.norm(numbers)
    return {"vectors": [Vector(TEXT, "e", "1", 0, vector.astype("<f2").tobytes())]}


TEXTS = {"a": text(1, 0, 0), "b": text(1, 0.1, 0), "c": text(0, 1, 0), "d": text(0, 1, 0.2)}


def catalogue_in(order: str) -> Catalogue:
    """Make a Catalogue of items that came in this order, with neighbours, counts and texts."""
    catalogue = Catalogue()
    for item in order:
        describe(catalogue, item, **TEXTS[item])
    count(catalogue, {item: COUNTS[item] for item in order}, NEAR)
    return catalogue


def by_item(catalogue: Catalogue, derived: Derived) -> dict[str, dict[str, Any]]:
    """Return what was derived for each item, with names in place of indices and without empty places."""
    names = [*catalogue.ids, ""]

    def pairs(others: np.ndarray, values: np.ndarray, index: int) -> dict[str, float]:
        found = zip(others[index].tolist(), values[index].tolist(), strict=True)
        return {names[other]: value for other, value in found if other != NONE}

    return {
        item: {
            "related": pairs(derived.relations.related, derived.relations.strengths, index),
            "followers": pairs(derived.followers, derived.following, index),
            "akin": pairs(derived.akin, derived.likeness, index),
            "mass": float(derived.relations.mass[index]),
            "trust": float(derived.trust[index]),
        }
        for index, item in enumerate(catalogue.ids)
    }


def heads(catalogue: Catalogue, derived: Derived) -> list[list[str]]:
    return [[catalogue.ids[index] for index in head] for head in derived.heads.tolist()]


@pytest.mark.parametrize("order", ["dcba", "bdac"])
def test_the_result_is_the_same_bit_by_bit_for_any_order_of_arrival(order: str) -> None:
    one, other = catalogue_in("abcd"), catalogue_in(order)
    first, second = derive(one.snapshot()), derive(other.snapshot())
    assert by_item(one, first) == by_item(other, second)
    assert heads(one, first) == heads(other, second)
    vectors, turned = first.relations.vectors, second.relations.vectors
    assert (vectors == turned[[other.ids.index(item) for item in one.ids]]).all()


def test_related_items_are_those_that_rows_name_and_never_the_item_itself() -> None:
    catalogue = catalogue_in("abcd")
    found = by_item(catalogue, derive(catalogue.snapshot()))
    assert set(found["d"]["related"]) >= {"c"}
    assert set(found["b"]["related"]) >= {"a", "c"}
    assert found["d"]["related"]["c"] == max(found["d"]["related"].values())
    assert all(item not in each["related"] for item, each in found.items())


def test_akin_items_have_the_nearest_texts_nearest_first() -> None:
    catalogue = catalogue_in("abcd")
    found = by_item(catalogue, derive(catalogue.snapshot()))
    assert {item: next(iter(each["akin"])) for item, each in found.items()} == {
        "a": "b",
        "b": "a",
        "c": "d",
        "d": "c",
    }


def test_a_waiting_item_counts_as_without_a_text() -> None:
    catalogue = catalogue_in("abcd")
    snapshot = catalogue.snapshot()
    waiting = np.array([item == "b" for item in catalogue.ids])
    found = by_item(catalogue, derive(replace(snapshot, waiting=waiting)))
    assert found["b"]["akin"] == {}
    assert "b" not in found["a"]["akin"]
    assert "d" in found["c"]["akin"]


def test_the_snapshot_is_left_as_it_was() -> None:
    snapshot = catalogue_in("abcd").snapshot()
    before = {name: np.copy(value) for name, value in vars(snapshot).items()}
    derive(replace(snapshot, waiting=np.ones(4, np.bool_)))
    for name, value in vars(snapshot).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_neighbours_that_came_after_the_snapshot_are_ignored() -> None:
    snapshot = catalogue_in("abcd").snapshot()
    neighbours = snapshot.neighbours.copy()
    neighbours[neighbours == 2] = 7
    without = np.where(neighbours == 7, NONE, neighbours)
    assert related(replace(snapshot, neighbours=neighbours)) == related(replace(snapshot, neighbours=without))


def related(snapshot: CatalogueSnapshot) -> Any:
    return derive(snapshot).relations.related.tolist()


def test_heads_are_the_available_items_with_the_largest_counts_first() -> None:
    catalogue = catalogue_in("abcd")
    describe(catalogue, "c", available=False)
    found = heads(catalogue, derive(catalogue.snapshot()))
    assert all(head == ["b", "d", "a"] for head in found)


def test_heads_are_at_most_as_long_as_candidates_need() -> None:
    catalogue = Catalogue()
    items = [f"i{number}" for number in range(HEAD + 10)]
    describe(catalogue, *items)
    count(catalogue, {item: float(number + 1) for number, item in enumerate(items)})
    assert derive(catalogue.snapshot()).heads.shape[1] == HEAD


def test_the_result_names_the_moment_of_its_snapshot() -> None:
    catalogue = catalogue_in("abcd")
    before = derive(catalogue.snapshot())
    describe(catalogue, "e")
    after = derive(catalogue.snapshot())
    assert after.updates == before.updates + 1
    assert (len(before.akin), len(after.akin)) == (4, 5)
