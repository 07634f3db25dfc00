"""The fusion: turns the scores of a candidate into one, by weights learned online from the lists that were served.

The weights depend on the context of the list: z = (c Omega) x. Here x are the features of a candidate (two for each
scorer), and c is the context. Omega steps by Adagrad (river's) on the cross-entropy of a softmax. The softmax goes
over the candidates at the head of the served list, and one of them is the item taken. This is a conditional logit
(McFadden 1974).

A step is as small as its evidence: Adagrad counts some gradients as seen before, and a step gains no more on its own
examples than their distinct items allow.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence

import numpy as np
from river import optim

from afresh.models.arrays import Doubles, Floats, Integers, Reals

FEATURES_PER_SCORER = 2
LEARNED_CANDIDATES = 100
"""Candidates at the head of a list that an example is learned over. Over the whole catalogue the weights would learn
to tell good items from hopeless ones. But the order among the good ones decides a list."""

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

GRADIENT_LIMIT = 10.0
WEIGHT_LIMIT = 20.0
"""Bounds of a gradient and of a weight. They keep one odd example, or many of them, within what later examples can
undo."""

SCORE_LIMIT = np.float32(1e30)
SCORE_LEAST = np.float32(1e-30)
"""Bounds of a score. Beyond them it would overflow when summed or inverted."""

LOG_FLOOR = np.float32(1e-3)
"""Fraction of the mean score that is added before the logarithm."""

CONTEXT = ("always", "history", "gap", "same_moment", "newcomer")
"""Names of the numbers in a context, which the weights depend on; see ``context``."""

NEWCOMER = 3.0
"""Number of items taken after which a user is hardly new any more. Weights are learned from all users, and new users
have few of the events: without a context of their own they would not count. With it 14 % of users' second to fifth
events were hit, without it 7 % (second quarter of MovieLens 1M)."""

_HEADER = struct.Struct("<5q")


def features(scores: Floats, ranked: int | None = None) -> Floats:
    """Make two features of every score: log(x / mean + floor) and (x / max)**0.5, over a user's candidates.

    The logarithm tells the many poor candidates apart, and the root the few good ones. The features are not centred,
    because a softmax ignores what is added to all candidates of a user.

    Parameters
    ----------
    scores
        Scores of candidates, not below 0, shape (S, C). NaN and negative scores count as 0, infinity as the limit.
    ranked
        Mean and max go over the first ``ranked`` candidates, over all by default. The other candidates count at most
        as the best of these.

    Returns
    -------
    Shape (C, 2 S): the two features of the first scorer, then those of the second, and so on. They are 0 for a scorer
    that scores nothing for a user.

    Examples
    --------
    >>> features(np.array([[0, 1, 4]], np.float32))[:, 1].tolist()
    [0.0, 0.5, 1.0]
    """
    usable = np.fmin(np.fmax(scores, np.float32(0)), SCORE_LIMIT)
    among = usable[:, :ranked]
    mean = among.sum(axis=1, keepdims=True) / np.float32(max(among.shape[1], 1))
    largest = among.max(axis=1, keepdims=True, initial=0)
    usable = np.minimum(usable, largest)
    pairs = np.empty((scores.shape[1], len(scores), FEATURES_PER_SCORER), np.float32)
    pairs[:, :, 0] = np.log(usable * _inverse(mean) + LOG_FLOOR).T
    pairs[:, :, 1] = np.sqrt(usable * _inverse(largest)).T
    pairs[:, mean[:, 0] == 0] = 0
    return pairs.reshape(scores.shape[1], len(scores) * FEATURES_PER_SCORER)


def _inverse(values: Floats) -> Floats:
    return np.asarray(1 / np.maximum(values, SCORE_LEAST), np.float32)


def context(lengths: Integers, gaps: Reals) -> Doubles:
    """Compute the context of each user's list.

    Parameters
    ----------
    lengths
        Number of items that each user has taken so far, shape (U,).
    gaps
        Seconds between the last two of them, shape (U,); NaN for users with one item or none.

    Returns
    -------
    Shape (U, 5), in the order of ``CONTEXT``: always 1; length and gap, both on a logarithmic scale of about -1 to 1;
    1 if the gap is 0, else 0; and 1 for new users, which falls to 0 as their history grows.

    Examples
    --------
    >>> context(np.array([0]), np.array([np.nan])).tolist()
    [[1.0, -1.0, 0.0, 0.0, 1.0]]
    """
    known = np.isfinite(gaps) & (gaps >= 0)
    seconds = np.where(known, gaps, 0)
    length = np.log1p(np.maximum(lengths, 0)) / 3 - 1
    newcomer = np.exp(-np.maximum(lengths, 0) / NEWCOMER)
    gap = np.where(known, np.minimum(np.log1p(seconds) / 8, 2) - 0.5, 0)
    same_moment = known & (seconds == 0)
    return np.stack([np.ones(len(lengths)), length, gap, same_moment, newcomer], axis=1).astype(np.float64)


def parts(weights: Doubles, values: Floats) -> Floats:
    """Compute what each scorer adds to the final score, shape (C, S), from weights (2 S,) and features (C, 2 S)."""
    products = (weights.astype(np.float32) * values).reshape(
        len(values), len(weights) // FEATURES_PER_SCORER, FEATURES_PER_SCORER
    )
    return np.asarray(products.sum(axis=2), np.float32)


def distinct(items: Sequence[int]) -> float:
    """Count distinct items by how evenly they come: the inverse of the chance that two draws are the same.

    Examples
    --------
    >>> distinct([1, 2, 3, 4]), distinct([1, 1, 1, 1]), distinct([1, 1, 1, 2])
    (4.0, 1.0, 1.6)
    """
    return len(items) ** 2 / sum(times**2 for times in Counter(items).values())


class Fusion:
    """The weights, and what is needed to learn them; all state is in arrays and counters.

    Parameters
    ----------
    prior
        Omega at the start, shape (len(CONTEXT), F).

    Attributes
    ----------
    examples
        Number of examples seen, whether it learned from them or not.
    refused
        Number of examples that it did not learn from because a value was not finite.
    """

    def __init__(self, prior: Doubles) -> None:
        self.omega: Doubles = np.array(prior, np.float64)
        self.examples = 0
        self.refused = 0
        self._pending: Doubles = np.zeros_like(self.omega)
        self._pending_items: list[int] = []
        self._squares: Doubles = np.zeros_like(self.omega)

    def weights(self, contexts: Doubles) -> Doubles:
        """Compute the weights of the features in each context, shape (U, F), from contexts (U, ``len(CONTEXT)``)."""
        return contexts @ self.omega

    def by_scorer(self) -> Doubles:
        """Return the weight of each scorer, its two features together, without any context; shape (S,)."""
        return np.asarray(self.omega[0].reshape(-1, FEATURES_PER_SCORER).sum(axis=1))

    def restart(self, prior: Doubles) -> None:
        """Start anew from other weights; steps get no longer than they were, as large ones would first fit garbage."""
        self.omega[:] = prior
        self._forget_pending()

    def _forget_pending(self) -> None:
        self._pending[:] = 0
        self._pending_items.clear()

    def skip(self) -> None:
        """Count one example that teaches nothing."""
        self.examples += 1

    def learn(
        self, values: Floats, situation: Doubles, taken: int | None, item: int, weight: float = 1.0
    ) -> None:
        """Count one example, and learn from it if the item taken was among the list's candidates.

        Parameters
        ----------
        values
            Features of the candidates as they were when the list was made, shape (C, F).
        situation
            Context of the list, shape (``len(CONTEXT)``,).
        taken
            Place of the item taken among the candidates; None if it was none of them, or if nothing was served.
        item
            Key of the item taken.
        weight
            How much the example is believed, 0 to 1.
        """
        self.examples += 1
        if taken is None:
            return
        if not (np.isfinite(values).all() and np.isfinite(situation).all()):
            self.refused += 1
            return
        self._pending += weight * self._gradient(np.asarray(values, np.float64), situation, taken)
        self._pending_items.append(item)
        if len(self._pending_items) == BATCH:
            self._step()

    def _gradient(self, values: Doubles, situation: Doubles, taken: int) -> Doubles:
        logits = values @ self.weights(situation)
        chances = np.exp(logits - logits.max())
        gradient = np.outer(situation, chances @ values / chances.sum() - values[taken])
        return np.clip(gradient, -GRADIENT_LIMIT, GRADIENT_LIMIT)

    def _step(self) -> None:
        gradient, step = self._pending / BATCH, np.zeros_like(self.omega)
        for kind, (rate, seen) in enumerate(zip(LEARNING_RATES, SQUARES_AT_FIRST, strict=True)):
            optimizer = optim.AdaGrad(rate, eps=seen)
            # Views: the optimizer adds to them in place, so that the result stands in our arrays.
            squares, steps, gradients = (
                of[:, kind::FEATURES_PER_SCORER] for of in (self._squares, step, gradient)
            )
            optimizer.g2["omega"] = squares
            optimizer.step({"omega": steps}, {"omega": gradients})
        gain, limit = -float((step * gradient).sum()), GAIN_LIMIT * distinct(self._pending_items)
        self.omega += step * min(1.0, limit / max(gain, limit))
        np.clip(self.omega, -WEIGHT_LIMIT, WEIGHT_LIMIT, out=self.omega)
        self._forget_pending()

    def to_bytes(self) -> bytes:
        """Pack all state; ``from_bytes`` restores the same learner, to the last bit."""
        counters = (*self.omega.shape, self.examples, self.refused, len(self._pending_items))
        arrays = np.stack([self.omega, self._squares, self._pending]).astype("<f8")
        return _HEADER.pack(*counters) + arrays.tobytes() + np.array(self._pending_items, "<u8").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Fusion:
        """Restore a learner from the bytes of ``to_bytes``.

        Raises
        ------
        ValueError
            The bytes are not those of a learner.
        """
        if len(data) < _HEADER.size:
            raise ValueError("too short for the state of a fusion")
        contexts, width, examples, refused, pending_count = _HEADER.unpack_from(data)
        size = contexts * width
        arrays = np.frombuffer(data, "<f8", 3 * size, _HEADER.size).reshape(3, contexts, width)
        items = np.frombuffer(data, "<u8", offset=_HEADER.size + arrays.nbytes).tolist()
        if not items and 0 < pending_count < BATCH:
            # 0.1.0 did not keep the items of a step's examples. They count as distinct, as they did there.
            items = list(range(pending_count))
        if len(items) != pending_count or pending_count >= BATCH:
            raise ValueError("not as many items as examples in the state of a fusion")
        fusion = cls(arrays[0])
        fusion._squares, fusion._pending, fusion._pending_items = arrays[1].copy(), arrays[2].copy(), items
        fusion.examples, fusion.refused = examples, refused
        return fusion
