import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from afresh.models.relations import relations
from afresh.models.relations.relations import (
    EXPONENT,
    PRIOR,
    RANK,
    SHARPNESS,
    SHRINKAGE,
    Relations,
    largest,
    relate,
)
from tests.models.making import Pairs, dense, random_pairs


def nothing(items: int) -> Pairs:
    return np.full((items, 1), -1, np.int32), np.zeros((items, 1), np.float32)


def keys(items: int) -> np.ndarray:
    return np.arange(1, items + 1, dtype=np.uint64)


def expected(counts: Pairs, mass: np.ndarray, likeness: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Compute A and M by the formulas of the docstring."""
    both, text = dense(counts), dense((likeness[0], PRIOR * likeness[1] ** SHARPNESS))
    text = text + text.T
    total = 2 * mass + text.sum(axis=1)
    scale = (total + SHRINKAGE) ** -EXPONENT
    return (both + both.T + text) * scale[:, None] * scale, total


def related(found: Relations) -> np.ndarray:
    return dense((found.related, found.strengths))


def test_relations_follow_the_formula() -> None:
    counts, likeness = random_pairs(20, 6), random_pairs(20, 3, seed=1)
    mass = np.random.default_rng(2).random(20).astype(np.float32) * 10
    matrix, total = expected(counts, mass, likeness)
    found = relate(keys(20), counts, mass, likeness, 20)
    np.testing.assert_allclose(related(found), matrix, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.mass, total, rtol=1e-5)
    assert (np.diff(found.strengths, axis=1) <= 0).all()


def test_only_the_strongest_relations_are_kept() -> None:
    counts = random_pairs(20, 9)
    whole = relate(keys(20), counts, np.ones(20, np.float32), nothing(20), 20)
    part = relate(keys(20), counts, np.ones(20, np.float32), nothing(20), 4)
    np.testing.assert_array_equal(part.related, whole.related[:, :4])
    np.testing.assert_array_equal(part.strengths, whole.strengths[:, :4])


def test_vectors_are_the_root_of_the_positive_part_of_a_matrix_of_low_rank() -> None:
    counts = random_pairs(30, 8)
    matrix, _ = expected(counts, np.ones(30), nothing(30))
    values, vectors = np.linalg.eigh(matrix)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    found = relate(keys(30), counts, np.ones(30, np.float32), nothing(30), 30).vectors
    assert found.shape == (30, RANK)
    np.testing.assert_allclose(found @ found.T, root, atol=1e-4)


def test_a_new_item_does_not_move_other_vectors_until_it_is_taken() -> None:
    counts = random_pairs(200, 9)
    mass = np.ones(200, np.float32)
    before = relate(keys(200), counts, mass, nothing(200), 10).vectors
    more = tuple(np.concatenate([each, each[:1] * 0 - (each.dtype == np.int32)]) for each in counts)
    after = relate(keys(201), more, np.append(mass, np.float32(0)), nothing(201), 10).vectors  # type: ignore[arg-type]
    np.testing.assert_allclose(after[:200] @ after[:200].T, before @ before.T, atol=1e-4)
    assert np.abs(after[200]).max() < 1e-4


def test_text_decides_where_nothing_is_known_and_fades_as_events_come() -> None:
    likeness = np.array([[1], [0], [-1]], np.int32), np.array([[1.0], [1.0], [0.0]], np.float32)
    counts = np.array([[2], [-1], [0]], np.int32), np.array([[1.0], [0.0], [1.0]], np.float32)
    shares = []
    for events in (0.0, 1.0, 10.0):
        weights = counts[1] * np.float32(events)
        found = related(relate(keys(3), (counts[0], weights), weights[:, 0], likeness, 3))
        shares.append(found[0, 1] / found[0].sum())
    assert shares[0] == 1
    assert shares[0] > shares[1] > shares[2]


@pytest.mark.parametrize("items", [0, 1, 3])
def test_unrelated_items_have_no_relations(items: int) -> None:
    found = relate(keys(items), nothing(items), np.zeros(items, np.float32), nothing(items), 5)
    assert found.related.shape == (items, 5)
    assert (found.related == -1).all()
    assert not found.vectors.any()


def test_signs_are_spread_evenly_and_belong_to_the_key() -> None:
    signs = relations._signs(keys(500))
    assert set(np.unique(signs)) == {-1, 1}
    assert np.abs(signs.mean(axis=0)).max() < 0.2
    np.testing.assert_array_equal(relations._signs(keys(500)[7:9]), signs[7:9])


tables = st.lists(
    st.lists(st.sampled_from([0.0, 1e-30, 0.25, 0.5, 3.0, 1e30]), min_size=6, max_size=6),
    min_size=6,
    max_size=6,
)


@given(tables, st.integers(1, 7))
def test_the_largest_of_a_row_equal_a_sorted_list_and_ties_go_to_the_lower_column(
    table: list[list[float]], capacity: int
) -> None:
    columns, strengths = largest(sparse.csr_array(np.array(table, np.float32)), capacity)
    for number, row in enumerate(table):
        ranked = sorted((column for column in range(6) if row[column]), key=lambda column: -row[column])[
            :capacity
        ]
        assert [each for each in columns[number].tolist() if each >= 0] == ranked
        assert strengths[number, : len(ranked)].tolist() == np.array(row, np.float32)[ranked].tolist()
