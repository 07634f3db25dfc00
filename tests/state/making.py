"""Makes examples for tests of the state."""

from __future__ import annotations

import numpy as np

from afresh.state.keys import key_of
from afresh.state.records import Example

DAY_MS = 86_400_000


def example(item: str, *history: str, offset: int = 0, time: int = 100 * DAY_MS, ago: int = 60) -> Example:
    keys = np.array([key_of(each) for each in history], "<u8").tobytes()
    times = np.array([time // 1000 - ago * (1 + place) for place in range(len(history))], "<u4").tobytes()
    return Example(0, offset, item, "films", time, keys, times, len(history))
