"""Weights: what the fusion has learned, as lists are made with it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from afresh.models import scorers
from afresh.models.fusion.fusion import Fusion
from afresh.streams import metrics


class Weights:
    """The fusion of each partition, and versions that count how often its weights have moved."""

    def __init__(self) -> None:
        self._fusions: dict[int, Fusion] = {}
        self._versions: dict[int, int] = {}

    def of(self, partition: int) -> Fusion:
        """What weighs the scores of a partition's users."""
        return self._fusions[partition]

    def version(self, partition: int) -> int:
        """How often the weights of a partition have moved here."""
        return self._versions[partition]

    def __contains__(self, partition: object) -> bool:
        return partition in self._fusions

    def learn(self, partition: int, fusion: Fusion) -> None:
        """Take in what was learned of a partition; it must not change any more."""
        before = self._fusions.get(partition)
        self._fusions[partition] = fusion
        if before is None or not np.array_equal(before.omega, fusion.omega):
            self._versions[partition] = self._versions.get(partition, 0) + 1

    def keep_only(self, partitions: Collection[int]) -> None:
        """Forget the weights of all other partitions; their versions count on, for the lists made from them stand."""
        self._fusions = {p: each for p, each in self._fusions.items() if p in partitions}

    def report(self) -> None:
        """Show the weight of each scorer, mean of the partitions, as metrics."""
        if self._fusions:
            means = np.mean([each.by_scorer() for each in self._fusions.values()], axis=0)
            for name, weight in zip(scorers.NAMES, means.tolist(), strict=True):
                metrics.FUSION_WEIGHT.labels(name).set(weight)
