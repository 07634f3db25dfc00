"""SASRec, retrained after every tenth of the stream on all events so far; each list uses the user's newest history.

Source: Kang and McAuley (2018), Self-attentive sequential recommendation, ICDM. The network has learned positions,
blocks of causal self-attention, and a point-wise feed-forward net, with residuals, dropout and layer norms. Its output
is multiplied by the item embeddings.

One thing differs from the paper. The paper has a binary loss over one negative for each position. Here the loss is a
softmax over many negatives, which Klenitskiy and Vasilev (2023, Turning dross into gold loss) found better. Each
training starts from the weights of the one before.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from torch import Tensor, nn

from afresh.deploy.evaluate.baseline import Scores, Taken

LENGTH = 50
WIDTH = 64
BLOCKS = 2
HEADS = 2
DROPOUT = 0.2
RATE = 1e-3
BATCH = 32
NEGATIVES = 1000
FIRST_EPOCHS = 20
EPOCHS = 4
"""Widths are the paper's. ``tests.benchmarks.tune`` chose the epochs: with more of them the model overfits."""

PARTS = 10
PADDING = 0


class AttentionBlock(nn.Module):
    """Causal self-attention, then a feed-forward net, each with a residual."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.between = nn.LayerNorm(width)
        self.net = nn.Sequential(
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Transform hidden states of shape (B, L, d) into others of the same shape."""
        query = self.before(x)
        x = x + self.attention(query, x, x, attn_mask=mask, need_weights=False)[0]
        x = x + self.net(self.between(x))
        return x


class Network(nn.Module):
    """The network: reads sequences of items (padded with 0 on the right), and predicts the next item at each step."""

    def __init__(self, items: int) -> None:
        super().__init__()
        self.items = nn.Embedding(items + 1, WIDTH, padding_idx=PADDING)
        self.places = nn.Embedding(LENGTH, WIDTH)
        nn.init.normal_(self.items.weight, 0, 0.02)
        nn.init.normal_(self.places.weight, 0, 0.02)
        self.dropout = nn.Dropout(DROPOUT)
        self.blocks = nn.ModuleList([AttentionBlock(WIDTH, HEADS, DROPOUT) for _ in range(BLOCKS)])
        self.last = nn.LayerNorm(WIDTH)
        self.mask = torch.triu(torch.ones(LENGTH, LENGTH, dtype=torch.bool), 1)

    def forward(self, sequences: Tensor) -> Tensor:
        """Transform sequences of shape (B, L) into hidden states of shape (B, L, d)."""
        length = sequences.shape[1]
        x = self.dropout(self.items(sequences) * WIDTH**0.5 + self.places.weight[:length])
        for block in self.blocks:
            x = block(x, self.mask[:length, :length])
        hidden: Tensor = self.last(x)
        return hidden

    def grow(self, items: int) -> None:
        """Make room for more items, with random embeddings."""
        missing = items + 1 - len(self.items.weight)
        if missing > 0:
            more = torch.empty(missing, WIDTH).normal_(0, 0.02)
            weight = torch.cat([self.items.weight.data, more])
            self.items = nn.Embedding(items + 1, WIDTH, padding_idx=PADDING, _weight=weight)


class SASRec:
    """The model and its training.

    Parameters
    ----------
    events
        Length of the stream.
    first_epochs
        Epochs of the first training.
    epochs
        Epochs of each training after it.
    """

    def __init__(self, events: int, first_epochs: int, epochs: int) -> None:
        torch.manual_seed(1)
        # On a busy machine several threads would wait for each other at each of many small steps.
        torch.set_num_threads(1)
        self._part = max(1, events // PARTS)
        self._first_epochs, self._epochs = first_epochs, epochs
        self._events = 0
        self._trained = 0
        self._known = 0
        self._history: defaultdict[int, list[int]] = defaultdict(list)
        self._network: Network | None = None

    def learn(self, taken: Taken) -> None:
        """Append the event to the user's history."""
        self._history[taken.user].append(taken.item + 1)
        self._events += 1

    def scores(self, user: int, items: int, now: int) -> Scores:
        """Return the logits of the items; -inf for items that came after the last training."""
        tenth = self._events // self._part
        if tenth > self._trained or self._network is None:
            self._train()
            self._trained = tenth
        scores = np.full(items, -np.inf)
        # Items that came after the last training have no embedding yet.
        history = [item for item in self._history[user] if item <= self._known][-LENGTH:]
        if self._network is None or not history:
            return scores
        with torch.inference_mode():
            hidden = self._network(torch.tensor([history]))[0, -1]
            logits = self._network.items.weight[1:] @ hidden
        known = min(items, self._known)
        scores[:known] = logits[:known].numpy()
        return scores

    def _train(self) -> None:
        windows = self._windows()
        if not len(windows):
            return
        self._known = int(windows.max())
        first = self._network is None
        if self._network is None:
            self._network = Network(self._known)
        self._network.grow(self._known)
        optimizer = torch.optim.Adam(self._network.parameters(), RATE, betas=(0.9, 0.98))
        self._network.train()
        for _ in range(self._first_epochs if first else self._epochs):
            order = torch.randperm(len(windows))
            for start in range(0, len(windows), BATCH):
                optimizer.zero_grad()
                loss = self._loss(self._network, windows[order[start : start + BATCH]])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        self._network.eval()

    def _windows(self) -> Tensor:
        """Cut the histories into windows of ``LENGTH`` + 1 items; each begins with the last item of the one before."""
        rows = []
        for history in self._history.values():
            for start in range(0, len(history) - 1, LENGTH):
                piece = history[start : start + LENGTH + 1]
                rows.append(piece + [PADDING] * (LENGTH + 1 - len(piece)))
        return torch.tensor(rows, dtype=torch.long).reshape(-1, LENGTH + 1)

    def _loss(self, network: Network, windows: Tensor) -> Tensor:
        """Return the cross-entropy of the next item against random items, or against all items if they are few.

        The random items are drawn once for the whole batch.
        """
        inputs, targets = windows[:, :-1], windows[:, 1:]
        present = targets != PADDING
        hidden, wanted = network(inputs)[present], targets[present]
        if self._known <= NEGATIVES:
            return nn.functional.cross_entropy(hidden @ network.items.weight[1:].T, wanted - 1)
        others = torch.randint(1, self._known + 1, (NEGATIVES,))
        own = (hidden * network.items(wanted)).sum(1, keepdim=True)
        against = hidden @ network.items(others).T
        against = against.masked_fill(others[None] == wanted[:, None], -torch.inf)
        # The drawn items stand for the whole catalogue. Without this the loss would count too few negatives.
        against = against + np.log(self._known / NEGATIVES)
        return nn.functional.cross_entropy(
            torch.cat([own, against], 1), torch.zeros(len(own), dtype=torch.long)
        )


def make(events: int) -> SASRec:
    """Make the model with the chosen epochs."""
    return SASRec(events, FIRST_EPOCHS, EPOCHS)
