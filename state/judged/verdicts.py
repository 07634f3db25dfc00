"""Verdicts: count by slice how often the lists in Redis held the item taken, beside popularity and each scorer alone.

Every example counts once in each of its slices. After every ``BLOCK`` examples, wherever runs end, the counts
fade and drift is tested. So rates look back on about ``BLOCK / (1 - KEPT)`` examples.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from afresh.models import scorers
from afresh.models.arrays import Doubles, Integers
from afresh.models.fusion import drift

LIST_LENGTH = 10
"""Number of places of a list that are judged."""

BLOCK = 50
"""Number of examples after which counts fade."""

KEPT = 0.975
"""Factor by which counts fade. With it rates look back on about 2,000 examples."""

SERVED, POPULARITY = "served", "popularity"
RANKINGS = (SERVED, POPULARITY, *scorers.NAMES)
"""Names of the rankings that are judged: the served list, the list that popularity would have served, and each scorer
alone, which orders the candidates that the list was chosen from."""

ALL = "all"
USER_SLICES = ("user:0", "user:1-4", "user:5-19", "user:20+")
"""Slices by the number of items that the user had taken before."""

ITEM_SLICES = ("item:0", "item:1-5", "item:6-20", "item:21+")
"""Slices by how often the item had been taken before."""

NAMED = 8
"""Number of domains, and of platforms, with a slice of their own. Producers choose the names, so that without this
limit the slices could grow without bound."""

OTHER = "other"

_USER_FROM, _ITEM_FROM = (1, 5, 20), (1, 6, 21)
_GAINS = np.append(1.0 / np.log2(np.arange(LIST_LENGTH) + 2.0), 0.0)
_FIXED = (ALL, *USER_SLICES, *ITEM_SLICES)


class Rate(NamedTuple):
    """Result of one ranking in one slice: share of the items taken that are among the first ten, and mean NDCG."""

    hit_rate: float
    ndcg: float


class VerdictsRow(msgspec.Struct, array_like=True):
    """Verdicts as they are stored; see ``Verdicts``."""

    rankings: list[str] = []
    slices: list[str] = []
    unjudged: int = 0
    judged: bytes = b""
    drifts: bytes = b""
    block: bytes = b""
    recent: bytes = b""
    tests: bytes = b""


class Verdicts:
    """The verdicts on all lists.

    Attributes
    ----------
    slices
        Names of the S slices.
    unjudged
        Number of examples that were not judged because the user's list is not remembered.
    judged
        Number of examples ever judged in each slice, shape (S,).
    drifts
        How often the hit rate of the served lists has drifted in each slice, shape (S,).
    block, recent
        Sums since the last block ended, and sums that fade: examples judged, hits of each of the R rankings, gains of
        each; shape (S, 1 + 2 R).
    tests
        Tests of ``models.fusion.drift`` on the hits of the served lists, shape (S, ``drift.WIDTH``).
    """

    def __init__(self, row: VerdictsRow | None = None) -> None:
        row = row or VerdictsRow()
        self.slices = list(row.slices) or list(_FIXED)
        size = len(self.slices)
        self.unjudged = row.unjudged
        self.judged: Integers = _array(row.judged, "<i8", (size,))
        self.drifts: Integers = _array(row.drifts, "<i8", (size,))
        self.block: Doubles = _sums(row.block, size, row.rankings)
        self.recent: Doubles = _sums(row.recent, size, row.rankings)
        self.tests: Doubles = _array(row.tests, "<f8", (size, drift.WIDTH))
        self._number = {name: number for number, name in enumerate(self.slices)}

    def count_example(self, ranks: Integers, slices: Sequence[int]) -> None:
        """Count one example.

        Parameters
        ----------
        ranks
            Rank, from 0, that each of ``RANKINGS`` gave to the item taken, shape (R,); ``LIST_LENGTH`` or more for a
            miss.
        slices
            Numbers of the slices of the example, each once.
        """
        places = np.minimum(ranks, LIST_LENGTH)
        chosen = np.array(slices)
        self.judged[chosen] += 1
        self.block[chosen] += np.concatenate([[1.0], places < LIST_LENGTH, _GAINS[places]])

    def slices_of(self, user_took: int, item_taken: int, domain: str, platform: str) -> list[int]:
        """Return the numbers of the slices of an example.

        Parameters
        ----------
        user_took, item_taken
            Number of items that the user had taken before, and how often the item had been taken before.
        domain, platform
            Domain and platform of the interaction.
        """
        return [
            0,
            1 + bisect_right(_USER_FROM, user_took),
            1 + len(USER_SLICES) + bisect_right(_ITEM_FROM, item_taken),
            self._named("domain", domain),
            self._named("platform", platform),
        ]

    def _named(self, kind: str, name: str) -> int:
        number = self._number.get(f"{kind}:{name}")
        if number is not None:
            return number
        known = sum(each.startswith(f"{kind}:") for each in self.slices)
        return self._slice(f"{kind}:{name if known < NAMED else OTHER}")

    def _slice(self, name: str) -> int:
        if name not in self._number:
            self._number[name] = len(self.slices)
            self.slices.append(name)
            self.judged, self.drifts = np.append(self.judged, 0), np.append(self.drifts, 0)
            self.block, self.recent, self.tests = (
                np.pad(array, ((0, 1), (0, 0))) for array in (self.block, self.recent, self.tests)
            )
        return self._number[name]

    def end_block(self) -> list[str]:
        """Let the counts fade, and test for drift; return the names of the slices that have drifted."""
        hits = self.block[:, 1 + RANKINGS.index(SERVED)]
        drifted = drift.update(self.tests, self.block[:, 0], hits)
        self.drifts += drifted
        self.recent = KEPT * self.recent + self.block
        self.block = np.zeros_like(self.block)
        return [name for name, each in zip(self.slices, drifted.tolist(), strict=True) if each]

    def hit_rate(self) -> float:
        """Return the recent hit rate of the served lists over all examples; 0 if none was judged."""
        judged, hits = (self.recent + self.block)[0, :2].tolist()
        return hits / judged if judged else 0.0

    def rates(self) -> dict[str, dict[str, Rate]]:
        """Return the recent rates of every slice and ranking, without slices of no judged example."""
        sums = zip(self.slices, self.recent + self.block, strict=True)
        return {name: _rates(counted) for name, counted in sums if counted[0] > 0}

    def totals(self) -> dict[str, tuple[int, int]]:
        """Return how many examples were ever judged, and how many drifts there were, by slice."""
        counts = zip(self.judged.tolist(), self.drifts.tolist(), strict=True)
        return dict(zip(self.slices, counts, strict=True))

    def merge(self, other: Verdicts) -> None:
        """Add other verdicts; tests for drift go on as they are here."""
        self.unjudged += other.unjudged
        for number, name in enumerate(other.slices):
            mine = self._slice(name)
            self.judged[mine] += other.judged[number]
            self.drifts[mine] += other.drifts[number]
            self.recent[mine] += other.recent[number] + other.block[number]

    def row(self) -> VerdictsRow:
        """Pack the verdicts into the form that is stored."""
        arrays = (self.judged, self.drifts, self.block, self.recent, self.tests)
        return VerdictsRow(
            list(RANKINGS),
            self.slices,
            self.unjudged,
            *(np.ascontiguousarray(each).tobytes() for each in arrays),
        )


def _array(packed: bytes, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    return np.frombuffer(packed, dtype).reshape(shape).copy() if packed else np.zeros(shape, dtype)


def _sums(packed: bytes, size: int, rankings: Sequence[str]) -> Doubles:
    """Unpack sums as ``RANKINGS`` order them. A ranking that was not judged before begins with no hits."""
    theirs: Doubles = _array(packed, "<f8", (size, 1 + 2 * len(rankings)))
    if tuple(rankings) == RANKINGS:
        return theirs
    sums = np.zeros((size, 1 + 2 * len(RANKINGS)))
    sums[:, 0] = theirs[:, 0]
    for mine, name in enumerate(RANKINGS):
        if name in rankings:
            place = list(rankings).index(name)
            sums[:, [1 + mine, 1 + len(RANKINGS) + mine]] = theirs[:, [1 + place, 1 + len(rankings) + place]]
    return sums


def _rates(counted: Doubles) -> dict[str, Rate]:
    hits, gains = (counted[1:] / counted[0]).reshape(2, -1).tolist()
    return {name: Rate(*pair) for name, *pair in zip(RANKINGS, hits, gains, strict=True)}
