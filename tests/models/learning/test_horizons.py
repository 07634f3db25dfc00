import numpy as np
import pytest

from afresh.models.layout import HALF_LIVES_MS, HORIZONS
from afresh.models.learning.horizons import counted


@pytest.mark.parametrize(
    ("taken", "stage"),
    [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (15, 4), (16, 5), (255, 8), (256, 9), (10**9, 9)],
)
def test_an_event_counts_at_the_stage_of_its_user(taken: int, stage: int) -> None:
    amounts = counted(np.array([taken]))[0]
    assert (amounts[:HORIZONS] == 1).all()
    assert np.flatnonzero(amounts[HORIZONS:]).tolist() == [stage]
    assert len(amounts) == len(HALF_LIVES_MS)
