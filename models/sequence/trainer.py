"""The trainer: trains the sequence encoder from the stream, a few steps for some thousand events.

Each training draws pieces of pasts from the reservoir, by how much and how lately users took something. More steps, or
half of them from users just seen, make the encoder learn by heart (``tests/benchmarks/results/method.md``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.optim import AdamW

from afresh.models.arrays import NONE, Floats, Reals
from afresh.models.sequence import loss
from afresh.models.sequence.network import SequenceNetwork
from afresh.models.sequence.pasts import Past, padded
from afresh.models.sequence.reservoir import Reservoir

EVERY = 3000
"""Events from one training to the next."""

STEPS = 35
BATCH = 48
RATE = 1e-3
WARM_UP = 100
"""Steps in which the rate rises to ``RATE``."""

FEW = 20_000
"""Up to so many items the softmax goes over all of them."""

SAMPLE = 4096
"""Items that stand for all where there are more."""


class SequenceTrainer:
    """The encoder and its training; the same events and seed give the same encoder.

    Parameters
    ----------
    seed
        Decides everything that is random.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._trainings = 0
        self._steps = 0
        self._known = 0
        self._texts: dict[int, Floats] = {}
        self._reservoir = Reservoir(seed)
        with self._drawn():
            self.network = SequenceNetwork()
        self._optimizer = AdamW(self.network.parameters(), RATE)

    def know(self, item: int, text: Reals | None = None) -> None:
        """Know an item, numbered in the order in which they come, and the vector of its text, shape (e,)."""
        self._known = max(self._known, item + 1)
        if text is not None:
            self._texts[item] = np.asarray(text, np.float32)

    def take(self, user: int, item: int, time: int) -> None:
        """Take in that a user took an item at a time in ms."""
        self.know(item)
        self._reservoir.take(user, item, time)

    def train(self) -> None:
        """Train once, with all items known by now."""
        with self._drawn() as random:
            self._grow()
            pieces = self._reservoir.draw(STEPS * BATCH, random)
            self.network.train()
            for start in range(0, len(pieces), BATCH):
                self._step(pieces[start : start + BATCH])
            self.network.eval()
        self._trainings += 1

    def placed(self, text: Reals) -> Floats:
        """Return the vector of an item that came since the last training, by its text alone; shape (d,)."""
        with torch.inference_mode():
            return self._numpy(self.network.items.placed(torch.tensor(np.float32(text))[None])[0])

    def item_vectors(self) -> Floats:
        """Return the vectors of the items that were known at the last training, shape (n, d)."""
        with torch.inference_mode():
            return self._numpy(self.network.items(torch.arange(len(self.network.items.own))))

    def user_vectors(self, pasts: Sequence[Past]) -> Floats:
        """Return the vectors of users by their pasts, of up to ``pasts.LENGTH`` items known by then; shape (B, d)."""
        made = padded(pasts, max(len(each.items) for each in pasts))
        items, gaps = torch.from_numpy(made.items), torch.from_numpy(made.gaps).int()
        ends = [len(each.items) - 1 for each in pasts]
        with torch.inference_mode():
            users = self.network(items, gaps)
            return self._numpy(users[range(len(pasts)), ends])

    @staticmethod
    def _numpy(tensor: Tensor) -> Floats:
        made: Floats = tensor.numpy()
        return made

    @contextmanager
    def _drawn(self) -> Iterator[np.random.Generator]:
        """Have torch draw by the seed and the number of the training, and leave the rest of the process alone."""
        random = np.random.default_rng((self._seed, self._trainings))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(random.integers(2**63)))
            yield random

    def _grow(self) -> None:
        """Make room for the items that came since, and keep what is known of the others."""
        items, before = self.network.items, self.network.items.own
        items.grow(*self._all_texts())
        optimizer = AdamW(self.network.parameters(), RATE)
        optimizer.state.update(self._optimizer.state)
        missing = len(items.own) - len(before)
        optimizer.state[items.own] = {
            name: pad(moment, (0, 0, 0, missing)) if moment.ndim else moment
            for name, moment in optimizer.state.pop(before, {}).items()
        }
        self._optimizer = optimizer

    def _all_texts(self) -> tuple[Tensor, Tensor]:
        """Return the vectors of all texts, zeros where there is none, and which items have one."""
        width = len(next(iter(self._texts.values()), ()))
        texts, has = torch.zeros(self._known, width), torch.zeros(self._known, dtype=torch.bool)
        for item, text in self._texts.items():
            texts[item], has[item] = torch.from_numpy(text), True
        return texts, has

    def _step(self, pieces: Sequence[Past]) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (self._steps + 1) / WARM_UP)
        self._optimizer.zero_grad()
        self._loss(pieces).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._steps += 1

    def _loss(self, pieces: Sequence[Past]) -> Tensor:
        made = padded(pieces, max(len(each.items) for each in pieces))
        items, gaps = torch.from_numpy(made.items).long(), torch.from_numpy(made.gaps).int()
        present = items[:, 1:] != NONE
        wanted = items[:, 1:][present]
        users = self.network(items[:, :-1], gaps[:, :-1, :-1])[present]
        vectors_of = self.network.items
        if self._known <= FEW:
            return loss.among_all(users, vectors_of(torch.arange(self._known)), wanted)
        return loss.among_sample(users, vectors_of, wanted, loss.draw(SAMPLE, wanted, self._known))
