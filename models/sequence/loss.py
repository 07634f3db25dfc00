"""The loss: how unlikely the encoder thought the next item, among all items or a sample of them.

With the score s of each item j and the item w that was taken, it is the softmax's -s_w + log sum_j exp(s_j). Where
there are many items, the sum is estimated from a sample. An item that is expected in it q times counts exp(s) / q, so
that the sum is right in expectation however the sample is drawn (the correction called logQ). What was taken is known,
and counts as it is: Yi et al. (2019), Sampling-bias-corrected neural modeling; Khrylchenko et al. (2025), Correcting the
logQ correction.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


class Sample(NamedTuple):
    """Items that stand for all.

    Attributes
    ----------
    items
        Numbers of the items, shape (S,); one may stand there several times.
    expected
        How often each was to be expected in the sample, shape (S,).
    """

    items: Tensor
    expected: Tensor


def draw(size: int, wanted: Tensor, known: Tensor) -> Sample:
    """Draw half of a sample from the items taken in a batch, and half evenly from those known.

    Parameters
    ----------
    size
        Items to draw.
    wanted
        The items taken, shape (P,).
    known
        Numbers of all items, shape (n,).
    """
    half = size // 2
    taken = wanted[torch.randint(len(wanted), (half,))]
    evenly = known[torch.randint(len(known), (half,))]
    items = torch.cat([taken, evenly])
    counts = torch.bincount(wanted, minlength=int(known.max()) + 1)[items]
    return Sample(items, half * (counts / len(wanted) + 1 / len(known)))


def sampled(users: Tensor, vectors: Tensor, wanted: Tensor, sample: Sample) -> Tensor:
    """Return the mean loss, its sum estimated from a sample.

    Parameters
    ----------
    users
        Vectors of users, shape (P, d).
    vectors
        Vectors of all items, shape (n, d).
    wanted
        Numbers of the items taken, shape (P,).
    sample
        The sample of items.
    """
    own = (users * vectors[wanted]).sum(1, keepdim=True)
    others = users @ vectors[sample.items].T - sample.expected.log()
    others = others.masked_fill(sample.items == wanted[:, None], -torch.inf)
    return (torch.logsumexp(torch.cat([own, others], 1), 1) - own[:, 0]).mean()


def full(users: Tensor, vectors: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean loss among all items; shapes as for ``sampled``."""
    return cross_entropy(users @ vectors.T, wanted)
