"""Arrays of one length that grow together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from afresh.models.arrays import NONE, Indices

SMALLEST = 1024


class Growing:
    """Arrays of one length that grow by doubling, so that a new element costs little on average.

    Parameters
    ----------
    columns
        For each array the shape of an element, its dtype, and the value of new elements.

    Examples
    --------
    >>> arrays = Growing(count=((), np.int64, 7))
    >>> arrays.reach(2)
    >>> arrays["count"].tolist()
    [7, 7]
    """

    def __init__(self, **columns: tuple[tuple[int, ...], Any, Any]) -> None:
        self._fill = {name: fill for name, (_, _, fill) in columns.items()}
        self._length = 0
        self._held = SMALLEST
        self._arrays: dict[str, npt.NDArray[Any]] = {
            name: np.full((SMALLEST, *shape), fill, dtype) for name, (shape, dtype, fill) in columns.items()
        }

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._arrays[name][: self._length]

    def reach(self, length: int) -> None:
        """Make the arrays at least this long."""
        self._length = max(self._length, length)
        if length > self._held:
            # A power of two, however many elements come at once: with any other length, the last doubling is wasted.
            self._hold(1 << (length - 1).bit_length())

    def cover(self, indices: Indices) -> None:
        """Make the arrays long enough to have an element for each of these indices."""
        self.reach(int(indices.max(initial=NONE)) + 1)

    def _hold(self, length: int) -> None:
        for name, array in self._arrays.items():
            more = np.full((length - self._held, *array.shape[1:]), self._fill[name], array.dtype)
            self._arrays[name] = np.concatenate([array, more])
        self._held = length
