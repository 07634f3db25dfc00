import numpy as np
import pytest

from afresh.models.arrays import NONE
from afresh.models.relations.transitions import SHRINKAGE, follow
from tests.models.making import dense, random_pairs


def test_followers_follow_the_formula_of_the_docstring() -> None:
    before = random_pairs(20, 6)
    counts = dense(before).T
    scale = [(counts.sum(axis=axis) + SHRINKAGE) ** -0.5 for axis in (1, 0)]
    expected = scale[0][:, None] * counts * scale[1]
    found = follow(before, 20)[:2]
    np.testing.assert_allclose(dense(found), expected, rtol=1e-5, atol=1e-7)
    assert (np.diff(found[1], axis=1) <= 0).all(), "strongest first"


def test_an_item_that_came_before_is_no_follower() -> None:
    followers, *_ = follow((np.array([[NONE], [0]], np.int32), np.array([[0.0], [1.0]], np.float32)), 2)
    assert followers.tolist() == [[1, NONE], [NONE, NONE]]


def test_the_strongest_followers_are_kept() -> None:
    before = random_pairs(20, 9)
    part, whole = follow(before, 4)[:2], follow(before, 20)[:2]
    np.testing.assert_array_equal(part[0], whole[0][:, :4])
    np.testing.assert_array_equal(part[1], whole[1][:, :4])


@pytest.mark.parametrize("items", [0, 1, 5])
def test_items_that_nothing_followed_have_no_followers(items: int) -> None:
    followers, strengths, *_ = follow(
        (np.full((items, 3), NONE, np.int32), np.zeros((items, 3), np.float32)), 4
    )
    assert followers.shape == strengths.shape == (items, 4)
    assert (followers == NONE).all()
