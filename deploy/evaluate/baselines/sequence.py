"""The sequence encoder of ``models.sequence``, alone: trained from the stream, as events come.

Lists are made from the user's newest past, and from items as they stood after the last training. An item that came
since stands where its text puts it; without a text it is ranked last.
"""

from __future__ import annotations

from collections import defaultdict, deque

import numpy as np
import torch

from afresh.deploy.evaluate.baseline import Scores, Taken
from afresh.models.arrays import Floats, Halves
from afresh.models.sequence.network import WIDTH
from afresh.models.sequence.pasts import LENGTH, past_of
from afresh.models.sequence.trainer import EVERY, SequenceTrainer

SEED = 1


class SequenceBaseline:
    """The encoder, its training, and what each user took last."""

    def __init__(self) -> None:
        # On a busy machine several threads would wait for each other at each of many small steps.
        torch.set_num_threads(1)
        self._trainer = SequenceTrainer(SEED)
        self._taken: defaultdict[int, deque[tuple[int, int]]] = defaultdict(lambda: deque(maxlen=LENGTH))
        self._events = 0
        self._vectors = np.zeros((0, WIDTH), np.float32)
        self._fresh: dict[int, Floats] = {}

    def read(self, item: int, text: Halves) -> None:
        """Know what an item says."""
        self._trainer.know(item, text)
        if item >= len(self._vectors) > 0:
            self._fresh[item] = self._trainer.placed(text)

    def learn(self, taken: Taken) -> None:
        """Append the event to what its user took, and train if it is due."""
        self._trainer.take(taken.user, taken.item, taken.time)
        self._taken[taken.user].append((taken.item, taken.time))
        self._events += 1
        if self._events % EVERY == 0:
            self._trainer.train()
            self._vectors = self._trainer.item_vectors()
            self._fresh.clear()

    def scores(self, user: int, items: int, now: int) -> Scores:
        """Return the products of the user's vector with those of the items."""
        scores = np.full(items, -np.inf, np.float32)
        known = [each for each in self._taken[user] if each[0] < len(self._vectors)]
        if known:
            (vector,) = self._trainer.user_vectors([past_of(known)])
            scores[: len(self._vectors)] = self._vectors @ vector
            for item, placed in self._fresh.items():
                scores[item] = placed @ vector
        return scores


def make(events: int) -> SequenceBaseline:
    """Make the encoder; it starts with nothing learned."""
    return SequenceBaseline()
