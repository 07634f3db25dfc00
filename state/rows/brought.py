"""Vectors that items bring: of a picture or of a sound, by whatever model made them.

A content row keeps all of them, whatever kinds are declared, as it keeps attributes: so it says what the item is, and a
kind that is declared later is there already. Only vectors of declared kinds are read by lists
(``state.catalogue.brought``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from afresh.state.rows.content import TEXT, Vector

Given = Mapping[str, Sequence[float]]
"""What an item brings: numbers, by the kind of the vector."""

NUMBER_BYTES = 8
"""Least bytes of a number of four decimals in JSON, with its comma."""


def vectors_of(given: Given) -> list[Vector]:
    """Return vectors as rows keep them, in the order of their kinds: float16, of unit length.

    Left out is what has no direction: a vector without numbers, of zeros, or with a number that is not finite. So is
    the kind ``text``, which is what encoders read.

    Examples
    --------
    >>> (vector,) = vectors_of({"image": [3.0, 4.0], "sound": [0.0, 0.0], "text": [1.0]})
    >>> vector.kind, np.frombuffer(vector.vector, "<f2").tolist()
    ('image', [0.60009765625, 0.7998046875])
    """
    made = [(kind, _unit(given[kind])) for kind in sorted(given) if kind != TEXT]
    return [Vector(kind, "", "", 0, unit) for kind, unit in made if unit]


def unread(given: Given, declared: Mapping[str, int]) -> list[str]:
    """Return the kinds of vectors that lists cannot read: not declared, of another length, or without a direction.

    Examples
    --------
    >>> unread({"image": [3.0, 4.0], "pose": [1.0], "sound": [0.0]}, {"image": 2, "sound": 1})
    ['pose', 'sound']
    """
    directed = {each.kind for each in vectors_of(given)}
    return [
        kind for kind, numbers in given.items() if declared.get(kind) != len(numbers) or kind not in directed
    ]


def _unit(numbers: Sequence[float]) -> bytes:
    """Return numbers at unit length; nothing if they have no direction."""
    vector = np.array(numbers, np.float64)
    largest = np.abs(vector).max(initial=0)
    # Every comparison with NaN is false.
    if not 0 < largest < np.inf:
        return b""
    # By the largest first: squares of larger numbers would overflow.
    vector /= largest
    return (vector / np.linalg.norm(vector)).astype("<f2").tobytes()
