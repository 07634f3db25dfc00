"""Compiled code: functions that numba compiles, which let go of the GIL, and the arithmetic that they share.

Machine code is kept in a folder on disk, so that only the first process compiles. numba looks at the file of a
function to tell whether it has changed, but not at the files of the functions that it calls. So the folder's name
comes from all sources in ``models``: what was compiled before any of them changed is not found again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
import scipy.linalg.cython_blas  # noqa: F401 - numba calls it; loaded late, it would not run in one thread

from afresh.models.arrays import Indices

_REORDERED = {"reassoc", "contract", "nsz"}
"""Sums may be added in another order, the same each time; NaN and infinity are still told apart."""

F = TypeVar("F", bound=Callable[..., object])
S = TypeVar("S", bound=np.generic)


def folder() -> Path:
    """Return the folder for the machine code of these sources; one for this process alone if it cannot be written.

    It is a folder of NUMBA_CACHE_DIR, or of ``afresh/compiled`` where the user's caches are.
    """
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        chosen = Path(os.environ.get("NUMBA_CACHE_DIR") or caches / "afresh" / "compiled") / digest
        chosen.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=chosen):
            return chosen
    except (OSError, RuntimeError):
        return Path(tempfile.mkdtemp(prefix="afresh-compiled-"))


FOLDER = folder()
"""The folder of this process: where none can be kept, each call of ``folder`` makes another."""

numba.config.CACHE_DIR = str(FOLDER)  # type: ignore[attr-defined]


def compiled(function: F) -> F:
    """Have numba compile a function at its first call, or find what was compiled before."""
    made = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=_REORDERED)(function)
    return cast(F, made)


_ROOT_OF_HALF = 0x3F3504F3
"""Bits of sqrt(1/2) as float32."""

_LEAST = np.float32(1e-37)
"""Smallest number that has a logarithm; below it, a float32 has no full mantissa."""

_F = np.float32


@compiled
def log2(x: np.float32) -> np.float32:
    """Compute the logarithm to base 2 of a positive number, to 2e-7; loops over it run on several numbers at once.

    The mantissa lies between sqrt(1/2) and sqrt(2); there 2 / ln 2 * atanh((m - 1) / (m + 1)) converges fast
    (Abramowitz and Stegun 1964, 4.1.27).

    Examples
    --------
    >>> [round(float(log2(np.float32(x))), 5) for x in (1, 8, 0.3)]
    [0.0, 3.0, -1.73697]
    """
    bits = np.float32(x).view(np.int32)
    exponent = np.int32((bits - _ROOT_OF_HALF) >> 23)
    mantissa = np.int32(bits - (exponent << 23)).view(np.float32)
    ratio = (mantissa - _F(1)) / (mantissa + _F(1))
    square = ratio * ratio
    series = _F(2.8853900818) + square * (
        _F(0.9617966939) + square * (_F(0.5770780164) + square * (_F(0.4121985831) + square * _F(0.32059889)))
    )
    return np.float32(np.float32(exponent) + ratio * series)


@compiled
def exp2(x: np.float32) -> np.float32:
    """Compute 2**x, to 3e-7 of the result; 2**-126 for everything below -126, and 2**127 for everything above 127.

    A polynomial of ln 2 times the fraction: Taylor's series (Abramowitz and Stegun 1964, 4.2.1).

    Examples
    --------
    >>> [round(float(exp2(np.float32(x))), 5) for x in (0, 3, -1.5)]
    [1.0, 8.0, 0.35355]
    """
    bounded = min(max(x, _F(-126)), _F(127))
    whole = np.floor(bounded + _F(0.5))
    rest = (bounded - whole) * _F(0.6931471806)
    series = _F(1) + rest * (
        _F(1)
        + rest
        * (_F(0.5) + rest * (_F(1 / 6) + rest * (_F(1 / 24) + rest * (_F(1 / 120) + rest * _F(1 / 720)))))
    )
    scale = np.int32((np.int32(whole) + 127) << 23).view(np.float32)
    return np.float32(series * scale)


@compiled
def power(x: np.float32, exponent: np.float32) -> np.float32:
    """Compute x**exponent for a positive exponent; 0 where x is not positive, or so small that it has no logarithm.

    Examples
    --------
    >>> [round(float(power(np.float32(x), np.float32(0.6))), 5) for x in (2, 0, -1)]
    [1.51572, 0.0, 0.0]
    """
    return exp2(exponent * log2(x)) if x > _LEAST else _F(0)


@compiled
def rows_of(table: npt.NDArray[S], indices: Indices) -> npt.NDArray[S]:
    """Return some rows of a table, one after the other in memory.

    It does nothing else, so that the machine fetches many rows at a time: that takes a quarter of the time.
    """
    rows = np.empty((len(indices), table.shape[1]), table.dtype)
    for place in range(len(indices)):
        item = indices[place]
        for column in range(table.shape[1]):
            rows[place, column] = table[item, column]
    return rows
