"""The network of the sequence encoder.

An item is the direction of a vector of its own plus the projection of its text's vector. Its own vector starts at zero,
so that a new item stands where its text puts it, and moves as events come. One without text starts at random.

A past goes through blocks of causal attention and of a small net, both behind gates: x + sigmoid(gate(x)) * part(x), as
in LiGR (Borisyuk et al., 2025). Attention knows how far two places are apart, in items and in time, by biases (as in
HSTU, Zhai et al., 2024); no place has a vector, so that what is older than the past can leave it unnoticed. The output
at a place is the user's vector once its item was taken. The score of an item is the cosine of both vectors, times a
number that is learned; so all vectors of items have length 1, and those of users this number.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from afresh.models.sequence.pasts import GAPS, LENGTH

WIDTH = 64
BLOCKS = 2
HEADS = 2
DROPOUT = 0.3
SPREAD = WIDTH**-0.5
"""Deviation of what starts at random: vectors have a length of about 1."""

SCALE = 10.0
"""Length of the vectors of users at the start."""


class ItemVectors(nn.Module):
    """The vectors of items: their own, and the projections of their texts."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.zeros(0, WIDTH))
        self.texts = torch.zeros(0, 0)
        self.adapter: nn.Linear | None = None

    def grow(self, texts: Tensor, has: Tensor) -> None:
        """Make room for more items.

        Parameters
        ----------
        texts
            Vectors of the texts of all items, shape (n, e); zeros where an item has none.
        has
            Which items have a text, shape (n,).
        """
        start = torch.empty(len(has) - len(self.own), WIDTH).normal_(0, SPREAD)
        start[has[len(self.own) :]] = 0
        if len(start):
            self.own = nn.Parameter(torch.cat([self.own.data, start]))
        self.texts = texts
        if self.adapter is None and texts.shape[1]:
            self.adapter = nn.Linear(texts.shape[1], WIDTH, bias=False)
            nn.init.normal_(self.adapter.weight, 0, SPREAD)

    def placed(self, texts: Tensor) -> Tensor:
        """Return where texts alone put items, shape (n, d); zeros if nothing is known of texts."""
        if self.adapter is None:
            return torch.zeros(len(texts), WIDTH)
        return nn.functional.normalize(self.adapter(texts), dim=-1)

    def forward(self, items: Tensor) -> Tensor:
        """Return the unit vectors of items; of shape (..., d) for numbers of shape (...)."""
        made = self.own[items]
        if self.adapter is not None:
            made = made + self.adapter(self.texts[items])
        return nn.functional.normalize(made, dim=-1)


class GatedBlock(nn.Module):
    """Causal attention, then a small net, each behind a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.gates = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(2)])
        self.asked = nn.Linear(WIDTH, 3 * WIDTH)
        self.joined = nn.Linear(WIDTH, WIDTH)
        self.by_lag = nn.Parameter(torch.zeros(HEADS, LENGTH))
        self.by_gap = nn.Parameter(torch.zeros(GAPS, HEADS))
        self.net = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, gaps: Tensor) -> Tensor:
        """Transform hidden states of shape (B, L, d) into others of the same shape."""
        normed = self.before(x)
        x = x + torch.sigmoid(self.gates[0](normed)) * self.dropout(self._attend(normed, gaps))
        normed = self.between(x)
        x = x + torch.sigmoid(self.gates[1](normed)) * self.dropout(self.net(normed))
        return x

    def _attend(self, x: Tensor, gaps: Tensor) -> Tensor:
        batch, length, _ = x.shape
        query, key, value = self.asked(x).reshape(batch, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        places = torch.arange(length)
        lags = places[:, None] - places
        biases = self.by_lag[:, lags.clamp(min=0)] + nn.functional.embedding(gaps, self.by_gap).permute(
            0, 3, 1, 2
        )
        biases = biases.masked_fill(lags < 0, -torch.inf)
        weights = (query @ key.transpose(2, 3) * query.shape[-1] ** -0.5 + biases).softmax(3)
        heads = self.dropout(weights) @ value
        joined: Tensor = self.joined(heads.transpose(1, 2).reshape(batch, length, WIDTH))
        return joined


class SequenceNetwork(nn.Module):
    """The network; see the module."""

    def __init__(self) -> None:
        super().__init__()
        self.items = ItemVectors()
        # One more, of the oldest item of a past, which has no gap before it.
        self.by_gap = nn.Embedding(GAPS + 1, WIDTH)
        nn.init.normal_(self.by_gap.weight, 0, SPREAD)
        self.log_scale = nn.Parameter(torch.tensor(SCALE).log())
        self.dropout = nn.Dropout(DROPOUT)
        self.blocks = nn.ModuleList([GatedBlock() for _ in range(BLOCKS)])
        self.last = nn.LayerNorm(WIDTH)

    def forward(self, items: Tensor, gaps: Tensor) -> Tensor:
        """Return the vectors of users behind each place; what stands behind the end of a past means nothing.

        Parameters
        ----------
        items
            Items of pasts, shape (B, L).
        gaps
            Buckets of the gaps in time between places, shape (B, L, L).

        Returns
        -------
        Shape (B, L, d).
        """
        before = nn.functional.pad(gaps.diagonal(-1, 1, 2), (1, 0), value=GAPS)
        x = self.dropout(self.items(items.clamp(min=0)) + self.by_gap(before))
        for block in self.blocks:
            x = block(x, gaps)
        users: Tensor = nn.functional.normalize(self.last(x), dim=-1) * self.log_scale.exp()
        return users
