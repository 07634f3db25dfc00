"""Types of arrays, one name for one dtype, and the value of an empty place.

The docstring of each user of an array gives its shape. A type has a name of its own, such as
``models.metrics.variety.Lists``, only where its shape or the meaning of its numbers is the same in many places.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

NONE = -1
"""Stands in an empty place of an array of indices."""

Floats = npt.NDArray[np.float32]
"""float32: scores, features, weights of neighbours, vectors."""

Doubles = npt.NDArray[np.float64]
"""float64: the weights of the fusion, and statistics."""

Halves = npt.NDArray[np.float16]
"""float16: numbers that are stored in half the space."""

Codes = npt.NDArray[np.int16]
"""int16: numbers that are stored in half the space, each row with a scale of its own."""

Cosines = npt.NDArray[np.uint16]
"""uint16: cosines of texts, as multiples of ``models.retrieval.asking.LIKENESS_UNIT``."""

Reals = npt.NDArray[np.floating[Any]]
"""Floating point of any width."""

Indices = npt.NDArray[np.int32]
"""int32: indices of items in the Catalogue, or other numbers of items; ``NONE`` for none."""

Places = npt.NDArray[np.intp]
"""intp: places in another array, in the dtype that numpy returns."""

Integers = npt.NDArray[np.int64]
"""int64: times in ms, ranks, whole numbers of any other kind."""

Naturals = npt.NDArray[np.uint32]
"""uint32: how often items were taken, and lower halves of keys."""

Keys = npt.NDArray[np.uint64]
"""uint64: keys of items or events (``state.keys``); 0 for none."""

Mask = npt.NDArray[np.bool_]
"""bool: True for each element that is meant."""

Bytes = npt.NDArray[np.uint8]
"""uint8: small numbers, such as indices of names in a row."""
