"""The loss: how unlikely the encoder thought the next item, among all items or a sample of them.

With the score s of each item and w that of the item taken, it is log(sum exp(s)) - w, as of every softmax. Where items
are many, the sum is estimated: what was taken counts as it is, and every other item of a sample exp(s) / q, with q how
often it was to be expected there. So the sum is right in expectation, however the sample is drawn. This is the
correction called logQ (Yi et al., 2019), but for the item taken, which is in no sample by chance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

AT_ONCE = 2**20
"""Scores computed together. Larger arrays come from the system anew each time, and a step takes half as long again."""


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


def draw(size: int, wanted: Tensor, known: int) -> Sample:
    """Draw half of a sample from the items taken in a batch, and half evenly from those known.

    Parameters
    ----------
    size
        Items to draw.
    wanted
        Numbers of the items taken, shape (P,).
    known
        How many items are known.
    """
    half = size // 2
    taken = wanted[torch.randint(len(wanted), (half,))]
    items = torch.cat([taken, torch.randint(known, (half,))])
    share = torch.bincount(wanted, minlength=known)[items] / len(wanted)
    return Sample(items, half * (share + 1 / known))


def among_all(users: Tensor, vectors: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean loss among all items.

    Parameters
    ----------
    users
        Vectors of users, shape (P, d).
    vectors
        Vectors of all items, shape (n, d).
    wanted
        Numbers of the items taken, shape (P,).
    """
    rows = max(1, AT_ONCE // len(vectors))
    parts = zip(torch.split(users, rows), torch.split(wanted, rows), strict=True)
    return torch.stack(
        [cross_entropy(part @ vectors.T, of, reduction="sum") for part, of in parts]
    ).sum() / len(users)


def among_sample(
    users: Tensor, vectors_of: Callable[[Tensor], Tensor], wanted: Tensor, sample: Sample
) -> Tensor:
    """Return the mean loss, estimated from a sample; ``vectors_of`` gives the vectors of items by their numbers."""
    own = (users * vectors_of(wanted)).sum(1, keepdim=True)
    others = users @ vectors_of(sample.items).T - sample.expected.log()
    others = others.masked_fill(sample.items == wanted[:, None], -torch.inf)
    return (torch.cat([own, others], 1).logsumexp(1) - own[:, 0]).mean()
