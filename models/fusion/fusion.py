"""The fusion: learns the weights that turn the scores of a candidate into one, from the lists that were served.

Omega steps by Adagrad (river's) on the gradients of ``models.fusion.weights.gradient``. They come from all partitions,
each made with the weights that its worker had. A step is as small as its evidence:

* Adagrad counts some gradients as seen before.
* A step gains no more on its own examples than their distinct items allow.
* The examples of one source move a step no further than as many independent examples would.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from river import optim

from afresh.models.arrays import Doubles, Floats, Places
from afresh.models.fusion.features import FEATURES_PER_SCORER
from afresh.models.fusion.weights import Weights

BATCH = 20
"""Examples of one step. The number is fixed: if a step ended with its run, weights would depend on run lengths."""

LEARNING_RATES = (0.05, 0.2)
"""Learning rates of the weights of logarithms and of roots. Among the candidates of a list a logarithm varies over
several units, a root by a fraction of one. With steps of one length the roots would hardly move the score."""

SQUARES_AT_FIRST = (0.1, 0.002)
"""Squared gradients of logarithms and of roots that Adagrad counts as seen before its first step: those of about 50
ordinary examples. They are added to the sums at each step and not stored. With sums of 0 the first step would move
every weight by its full rate, however small its gradient."""

GAIN_LIMIT = 0.1
"""Largest gain of a step for each distinct item that its examples took. The gain is the rise of the examples' mean
log-likelihood, to first order. Examples of one item move all weights the same way, and scorers that say nearly the same
add up. Without a limit the first 20 users who took one new item turned the lists of all new users over."""

SOURCE_LIMIT = 20.0
"""Largest norm of the gradient of one source's examples in a step, for the square root of their number. Gradients of
independent examples add up to so much, since they point anywhere. A scorer that is broken in one worker pushes every
example of that worker the same way; so many add up to far more."""

GRADIENT_LIMIT = 20.0
CONTEXT_LIMIT = 20.0
"""Bounds of the values in a lesson. No features and contexts give larger ones, so that beyond them it is garbage."""

WEIGHT_LIMIT = 20.0
"""Bound of a weight. It keeps many odd examples within what later examples can undo."""

_HEADER = struct.Struct("<5q")


def distinct(items: Sequence[int]) -> float:
    """Count distinct items by how evenly they come: the inverse of the chance that two draws are the same.

    Examples
    --------
    >>> distinct([1, 2, 3, 4]), distinct([1, 1, 1, 1]), distinct([1, 1, 1, 2])
    (4.0, 1.0, 1.6)
    """
    return len(items) ** 2 / sum(times**2 for times in Counter(items).values())


class Lesson(NamedTuple):
    """What one example teaches.

    Attributes
    ----------
    source
        Partition of the user who took the item.
    item
        Key of the item taken.
    trust
        How much the example is believed, 0 to 1.
    situation
        Context of the list, float32, shape (len(CONTEXT),).
    gradient
        Gradient by the weights in this context, float32, shape (F,); see ``models.fusion.weights.gradient``.
    """

    source: int
    item: int
    trust: float
    situation: Floats
    gradient: Floats


class Fusion:
    """The weights, and what is needed to learn them; all state is in arrays and counters.

    Parameters
    ----------
    prior
        Omega at the start, shape (len(CONTEXT), F).

    Attributes
    ----------
    version
        How often the weights have changed.
    examples
        Number of examples seen, whether it learned from them or not.
    refused
        Number of examples that it did not learn from because a value was not finite, or larger than one can be.
    """

    def __init__(self, prior: Doubles) -> None:
        self.omega: Doubles = np.array(prior, np.float64)
        self.version = 0
        self.examples = 0
        self.refused = 0
        self._pending: list[Lesson] = []
        self._squares: Doubles = np.zeros_like(self.omega)

    def weights(self) -> Weights:
        """Return the weights of now."""
        return Weights(self.omega.copy(), self.version)

    def restart(self, prior: Doubles) -> None:
        """Start anew from other weights; steps get no longer than they were, as large ones would first fit garbage."""
        self.omega[:] = prior
        self._pending.clear()
        self.version += 1

    def skip(self) -> None:
        """Count one example that teaches nothing."""
        self.examples += 1

    def learn(self, lesson: Lesson) -> bool:
        """Count one example, and learn from it; return whether it was accepted."""
        self.examples += 1
        if not acceptable(lesson):
            self.refused += 1
            return False
        self._pending.append(lesson)
        if len(self._pending) == BATCH:
            self._step()
        return True

    def _step(self) -> None:
        gradient, step = self._gradient() / BATCH, np.zeros_like(self.omega)
        for kind, (rate, seen) in enumerate(zip(LEARNING_RATES, SQUARES_AT_FIRST, strict=True)):
            optimizer = optim.AdaGrad(rate, eps=seen)
            # Views: the optimizer adds to them in place, so that the result stands in our arrays.
            squares, steps, gradients = (
                of[:, kind::FEATURES_PER_SCORER] for of in (self._squares, step, gradient)
            )
            optimizer.g2["omega"] = squares
            optimizer.step({"omega": steps}, {"omega": gradients})
        items = [lesson.item for lesson in self._pending]
        gain, limit = -float((step * gradient).sum()), GAIN_LIMIT * distinct(items)
        self.omega += step * min(1.0, limit / max(gain, limit))
        np.clip(self.omega, -WEIGHT_LIMIT, WEIGHT_LIMIT, out=self.omega)
        self._pending.clear()
        self.version += 1

    def _gradient(self) -> Doubles:
        """Add up the gradients of the lessons that wait, those of each source within its limit."""
        total = np.zeros_like(self.omega)
        for source in sorted({lesson.source for lesson in self._pending}):
            lessons = [lesson for lesson in self._pending if lesson.source == source]
            situations = np.stack([lesson.situation * lesson.trust for lesson in lessons], dtype=np.float64)
            gradients = np.stack([lesson.gradient for lesson in lessons], dtype=np.float64)
            together, limit = situations.T @ gradients, SOURCE_LIMIT * len(lessons) ** 0.5
            total += together * min(1.0, limit / max(float(np.linalg.norm(together)), limit))
        return total

    def carried(self, theirs: Places, ours: Places, prior: Doubles) -> Fusion:
        """Return a learner of other features, which goes on with what this one has learned of those that both have.

        Parameters
        ----------
        theirs, ours
            Columns of the features that both have, in Omega here and in ``prior``, each of shape (n,).
        prior
            Omega of the other learner at its start.
        """
        fusion = Fusion(prior)
        fusion.omega[:, ours] = self.omega[:, theirs]
        fusion._squares[:, ours] = self._squares[:, theirs]
        for lesson in self._pending:
            gradient = np.zeros(fusion.omega.shape[1], np.float32)
            gradient[ours] = lesson.gradient[theirs]
            fusion._pending.append(lesson._replace(gradient=gradient))
        fusion.version, fusion.examples, fusion.refused = self.version, self.examples, self.refused
        return fusion

    def merge(self, other: Fusion) -> None:
        """Take in another fusion that learned from other examples: the mean of both, weighted by examples.

        The examples of the other one that wait for a step are dropped.
        """
        together = self.examples + other.examples
        if together:
            self.omega += (other.omega - self.omega) * (other.examples / together)
        self._squares += other._squares
        self.examples, self.refused = together, self.refused + other.refused
        self.version += 1

    def to_bytes(self) -> bytes:
        """Pack all state; ``from_bytes`` restores the same learner, to the last bit."""
        counters = (*self.omega.shape, self.version, self.examples, self.refused)
        waiting = np.zeros(len(self._pending), _lessons_of(self.omega))
        for place, lesson in enumerate(self._pending):
            waiting[place] = lesson
        arrays = np.stack([self.omega, self._squares]).astype("<f8")
        return _HEADER.pack(*counters) + arrays.tobytes() + waiting.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Fusion:
        """Restore a learner from the bytes of ``to_bytes``.

        Raises
        ------
        ValueError
            The bytes are not those of a learner.
        """
        (version, examples, refused), arrays, rest = _unpacked(data, 2)
        fusion = cls(arrays[0])
        fusion._squares = arrays[1].copy()
        fusion.version, fusion.examples, fusion.refused = version, examples, refused
        for source, item, trust, situation, gradient in np.frombuffer(rest, _lessons_of(fusion.omega)):
            fusion._pending.append(
                Lesson(int(source), int(item), float(trust), situation.copy(), gradient.copy())
            )
        if len(fusion._pending) >= BATCH:
            raise ValueError("more examples than one step takes wait in the state of a fusion")
        return fusion

    @classmethod
    def of_partition(cls, data: bytes) -> Fusion:
        """Restore what one partition had learned, from the bytes of versions that learned in each partition.

        The examples that waited for a step are dropped.

        Raises
        ------
        ValueError
            The bytes are not those of such a learner.
        """
        (examples, refused, _), arrays, _ = _unpacked(data, 3)
        fusion = cls(arrays[0])
        fusion._squares = arrays[1].copy()
        fusion.examples, fusion.refused = examples, refused
        return fusion


def acceptable(lesson: Lesson) -> bool:
    """Return whether a lesson can be one: finite, and no value larger than the features and contexts allow."""
    situation, gradient = np.abs(lesson.situation), np.abs(lesson.gradient)
    # Not the other way round: every comparison with NaN is false.
    sound = (situation <= CONTEXT_LIMIT).all() and (gradient <= GRADIENT_LIMIT).all()
    return bool(sound and 0 <= lesson.trust <= 1)


def _lessons_of(omega: Doubles) -> np.dtype[np.void]:
    contexts, width = omega.shape
    fields = [
        ("source", "<u4"),
        ("item", "<u8"),
        ("trust", "<f8"),
        ("situation", "<f4", (contexts,)),
        ("gradient", "<f4", (width,)),
    ]
    return np.dtype(fields)


def _unpacked(data: bytes, count: int) -> tuple[tuple[int, int, int], npt.NDArray[np.float64], bytes]:
    """Take packed state apart: three counters, ``count`` arrays of the shape of Omega, and the rest."""
    if len(data) < _HEADER.size:
        raise ValueError("too short for the state of a fusion")
    contexts, width, *counters = _HEADER.unpack_from(data)
    arrays = np.frombuffer(data, "<f8", count * contexts * width, _HEADER.size)
    first, second, third = counters
    return (
        (first, second, third),
        arrays.reshape(count, contexts, width),
        data[_HEADER.size + arrays.nbytes :],
    )
