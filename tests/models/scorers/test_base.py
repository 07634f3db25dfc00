import numpy as np

from afresh.models.scorers.base import WARM_EXAMPLES, coldness
from afresh.models.scorers.cases import catalogue


def test_an_item_is_new_until_it_is_taken_and_half_known_after_warm_examples() -> None:
    examples = np.array([0, WARM_EXAMPLES, 4 * WARM_EXAMPLES], np.uint32)
    items = catalogue(3)._replace(examples=examples)
    cold = coldness(items, np.array([2, 0, 1], np.int32))
    np.testing.assert_allclose(cold, [0.2, 1.0, 0.5], rtol=1e-6)
    assert cold.dtype == np.float32
