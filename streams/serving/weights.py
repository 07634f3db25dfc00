"""Weights: the newest weights of the fusion, which every list is made with, and how far behind they are."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from afresh.models import scorers
from afresh.models.fusion.weights import Weights
from afresh.state.rows import weights as rows
from afresh.streams import metrics
from afresh.streams.kafka.follow import Latest
from afresh.streams.topics import FIRST_PARTITION

logger = logging.getLogger(__name__)

LATE_SECONDS = 60.0
"""Age of the oldest unanswered example from which on the log says that nobody learns the weights."""


class NewestWeights:
    """The weights as the changelog of ``weights`` brings them.

    Lists go on with the weights that stand when nobody learns them for a time.

    Parameters
    ----------
    clock
        Clock, in seconds since 1970.

    Attributes
    ----------
    now
        The newest weights; the priors before anybody has learned.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.now = Weights(scorers.prior())
        self._clock = clock
        self._received = 0
        self._waits: tuple[int, float] | None = None
        self._late = False

    def apply(self, latest: Latest) -> None:
        """Take in the newest row of the weights, if it is among these."""
        packed = latest.get(rows.WEIGHTS_KEY)
        if packed is None:
            return
        self.now, self._received = rows.unpack(packed)
        if self._waits is not None and self._waits[0] <= self._received:
            self._waits = None

    def await_answer(self, received: int) -> None:
        """Note that an example, whose event Kafka took at ``received`` (ms), is on its way to the weights."""
        if self._waits is None and received > self._received:
            self._waits = received, self._clock()

    def age_seconds(self) -> float:
        """Return how long an example has been on its way without an answer, in seconds; 0 if none is."""
        return 0.0 if self._waits is None else max(self._clock() - self._waits[1], 0.0)

    def report(self) -> None:
        """Set the metrics of the weights, and say when nobody learns them."""
        for name, weight in zip(scorers.NAMES, self.now.by_scorer().tolist(), strict=True):
            metrics.FUSION_WEIGHT.labels(name).set(weight)
        metrics.WEIGHTS_VERSION.set(self.now.version)
        age = self.age_seconds()
        metrics.WEIGHTS_AGE.set(age)
        if (age > LATE_SECONDS) != self._late:
            self._late = not self._late
            if self._late:
                logger.warning(
                    "Nobody has learned the weights for %d s; lists go on with version %d. The worker that holds "
                    "partition 0 learns them: look at its log",
                    age,
                    self.now.version,
                    extra={"partition": FIRST_PARTITION, "seconds": age},
                )
