import numpy as np
import pytest

from models.rank import NONE
from models.transitions import SHRINKAGE, follow

Before = tuple[np.ndarray, np.ndarray]


def random_before(items: int, width: int, seed: int = 0) -> Before:
    """What came before each item, with places that are empty."""
    rng = np.random.default_rng(seed)
    others = np.stack([rng.permutation(items)[:width] for _ in range(items)]).astype(np.int32)
    weights = rng.random(others.shape).astype(np.float32)
    others[rng.random(others.shape) < 0.3] = NONE
    weights[others == NONE] = 0
    return others, weights


def dense(pairs: Before) -> np.ndarray:
    table = np.zeros((len(pairs[0]), len(pairs[0])))
    for item, (others, values) in enumerate(zip(*pairs, strict=True)):
        known = others != NONE
        table[item, others[known]] = values[known]
    return table


def test_followers_are_those_of_the_formula_in_the_docstring() -> None:
    before = random_before(20, 6)
    counts = dense(before).T
    scale = [(counts.sum(axis=axis) + SHRINKAGE) ** -0.5 for axis in (1, 0)]
    expected = scale[0][:, None] * counts * scale[1]
    found = follow(before, 20)
    np.testing.assert_allclose(dense(found), expected, rtol=1e-5, atol=1e-7)
    assert (np.diff(found[1], axis=1) <= 0).all(), "strongest first"


def test_what_came_before_does_not_follow() -> None:
    followers, _ = follow((np.array([[NONE], [0]], np.int32), np.array([[0.0], [1.0]], np.float32)), 2)
    assert followers.tolist() == [[1, NONE], [NONE, NONE]]


def test_the_strongest_followers_are_kept() -> None:
    before = random_before(20, 9)
    part, whole = follow(before, 4), follow(before, 20)
    np.testing.assert_array_equal(part[0], whole[0][:, :4])
    np.testing.assert_array_equal(part[1], whole[1][:, :4])


@pytest.mark.parametrize("items", [0, 1, 5])
def test_where_nothing_followed_there_are_no_followers(items: int) -> None:
    followers, strengths = follow((np.full((items, 3), NONE, np.int32), np.zeros((items, 3), np.float32)), 4)
    assert followers.shape == strengths.shape == (items, 4)
    assert (followers == NONE).all()
