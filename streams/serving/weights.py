"""Weights: the fusion of each partition, which lists are made with."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from afresh.models import scorers
from afresh.models.fusion.fusion import Fusion
from afresh.streams import metrics


class Weights:
    """The fusion of each partition, and a version that counts the changes of its weights."""

    def __init__(self) -> None:
        self._fusions: dict[int, Fusion] = {}
        self._versions: dict[int, int] = {}

    def of(self, partition: int) -> Fusion:
        """Return the fusion of a partition."""
        return self._fusions[partition]

    def version(self, partition: int) -> int:
        """Return how often the weights of a partition have changed in this worker."""
        return self._versions[partition]

    def __contains__(self, partition: object) -> bool:
        return partition in self._fusions

    def learn(self, partition: int, fusion: Fusion) -> None:
        """Take in the newest fusion of a partition; the caller must not change it afterwards."""
        before = self._fusions.get(partition)
        self._fusions[partition] = fusion
        if before is None or not np.array_equal(before.omega, fusion.omega):
            self._versions[partition] = self._versions.get(partition, 0) + 1

    def keep_only(self, partitions: Collection[int]) -> None:
        """Forget the weights of all other partitions.

        Their versions are kept and count on: a version must not repeat while lists made from it are still served.
        """
        self._fusions = {p: each for p, each in self._fusions.items() if p in partitions}

    def report(self) -> None:
        """Set the metric of each scorer's weight to the mean over the partitions."""
        if self._fusions:
            means = np.mean([each.by_scorer() for each in self._fusions.values()], axis=0)
            for name, weight in zip(scorers.NAMES, means.tolist(), strict=True):
                metrics.FUSION_WEIGHT.labels(name).set(weight)
