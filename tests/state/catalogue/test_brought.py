import numpy as np
import pytest

from afresh.models.arrays import Floats
from afresh.models.retrieval.codes import decoded
from afresh.state.catalogue.brought import BroughtVectors
from afresh.state.rows.brought import Given, vectors_of

DECLARED = {"image": 2, "sound": 3}
IMAGE, SOUND = [3.0, 4.0], [0.0, 0.0, 2.0]


def kept(*items: Given) -> BroughtVectors:
    made = BroughtVectors(DECLARED)
    made.keep(np.arange(len(items), dtype=np.int32), [vectors_of(each) for each in items])
    return made


def products(made: BroughtVectors, items: int) -> Floats:
    vectors = decoded(*made.codes(items))
    return vectors @ vectors.T


def test_kinds_that_both_items_have_add_up_and_one_that_either_lacks_adds_nothing() -> None:
    both, image, sound = {"image": IMAGE, "sound": SOUND}, {"image": IMAGE}, {"sound": SOUND}
    found = products(kept(both, image, sound, both), 4)
    half = 2**-0.5
    expected = [[1, half, half, 1], [half, 1, 0, half], [half, 0, 1, half], [1, half, half, 1]]
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize(
    "item", [{}, {"pose": [1.0]}, {"image": [1.0]}, {"image": [1.0, 2.0, 3.0]}, {"sound": [0.0] * 3}]
)
def test_a_vector_that_is_not_as_declared_is_absent(item: Given) -> None:
    codes, scales = kept(item, {"image": IMAGE}).codes(3)
    assert (scales > 0).tolist() == [False, True, False]
    assert not codes[0].any()


def test_a_new_record_of_an_item_takes_the_place_of_all_that_it_brought() -> None:
    made = kept({"image": IMAGE, "sound": SOUND})
    first = np.zeros(1, np.int32)
    made.keep(first, [vectors_of({"sound": SOUND})])
    np.testing.assert_allclose(decoded(*made.codes(1)), [[0, 0, 0, 0, 1]], atol=1e-3)
    made.drop(first)
    codes, scales = made.codes(1)
    assert not codes.any()
    assert not scales.any()


def test_where_nothing_is_declared_nothing_is_held() -> None:
    made = BroughtVectors({})
    made.keep(np.zeros(1, np.int32), [vectors_of({"image": IMAGE})])
    codes, scales = made.codes(2000)
    assert codes.nbytes == 0
    assert not scales.any()
