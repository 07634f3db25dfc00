import numpy as np
import pytest

from afresh.models.layout import HALF_LIVES_MS, HORIZONS
from afresh.models.learning.horizons import counted


@pytest.mark.parametrize(
    ("taken", "tenure"),
    [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (15, 4), (16, 5), (255, 8), (256, 9), (10**9, 9)],
)
def test_an_event_counts_in_the_tenure_of_its_user(taken: int, tenure: int) -> None:
    amounts = counted(np.array([taken]))[0]
    assert (amounts[:HORIZONS] == 1).all()
    assert np.flatnonzero(amounts[HORIZONS:]).tolist() == [tenure]
    assert len(amounts) == len(HALF_LIVES_MS)
