"""What a list costs with catalogues of several sizes, and what it loses because candidates are chosen first.

``streams.serving.lister`` makes the lists, as in a worker. They are compared with exact lists. For an exact list every
item of the catalogue is scored, by the same scorers and with the same weights. A feature is a score relative to the
mean and the largest score of the candidates, so the exact list uses the mean and the largest score of the same
candidates.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from afresh.models import scorers
from afresh.models.arrays import Floats, Indices
from afresh.models.fusion import features
from afresh.models.fusion.weights import Weights
from afresh.models.lists import rank
from afresh.models.retrieval.asking import Asked, User
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.rows import users
from afresh.state.rows.users import UserRow
from afresh.streams.serving.arrange import Scored
from afresh.streams.serving.lister import Lister, Recipient
from afresh.streams.serving.recommend import BATCH_USERS
from tests.benchmarks.catalogues import BYTES_AN_ITEM, World

SIZES = (1_000, 10_000, 100_000, 1_000_000)
LISTS = 200
ROUNDS = 5
"""Rounds of all lists; the shortest counts. In the first, memory is touched that has not been since it was filled."""

SCORED = 3_000_000
"""Items to score for all exact lists together. There are at least ``FEWEST`` exact lists; on a large catalogue each
takes seconds."""

FEWEST = 10
AT_ONCE = 20_000
"""Items scored at a time for an exact list; all at once would not fit into memory."""

K = 10


@dataclass(frozen=True)
class ListCost:
    """Cost and recall of lists made from one catalogue.

    Attributes
    ----------
    items
        Number of items in the catalogue.
    lists, exact_lists
        Number of lists made.
    cpu_us, exact_cpu_us
        CPU time for each list, in µs.
    recall
        Share of the first ``K`` items of the exact lists that are among the first ``K`` of the lists made.
    """

    items: int
    lists: int
    cpu_us: float
    exact_lists: int
    exact_cpu_us: float
    recall: float


def measure_lists(say: Callable[[str], None]) -> list[ListCost]:
    """Measure on catalogues of all ``SIZES`` that fit into memory."""
    measured = []
    for size in SIZES:
        if size * BYTES_AN_ITEM > free_memory():
            say(f"not enough memory for lists of {size:,} items")
            continue
        say(f"lists of {size:,} items")
        world = World(size)
        # A worker also runs its maths in one thread.
        with threadpool_limits(1):
            measured.append(measure(world.catalogue(), list(world.users(LISTS))))
    return measured


def free_memory() -> int:
    """Return the bytes that can be allocated without swapping."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))


def measure(catalogue: Catalogue, rows: list[UserRow]) -> ListCost:
    """Make a list for every row, and an exact list for some of them; return the costs and the recall."""
    lister, learned = Lister(catalogue, K), Weights(scorers.prior())
    recipients = [Recipient(f"user-{number}", 0, row, 0) for number, row in enumerate(rows)]
    # As many at a time as in a worker.
    batches = [recipients[start : start + BATCH_USERS] for start in range(0, len(recipients), BATCH_USERS)]
    spent = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        made = [each for batch in batches for each in lister.make(batch, learned)]
        spent = min(spent, time.process_time() - started)
    again = rows[: max(FEWEST, SCORED // len(catalogue))]
    found, exact_spent = 0, 0.0
    for row, (_, served) in zip(again, made, strict=False):
        scored = lister.score(row, learned)
        started = time.process_time()
        best = exact_list(catalogue, row, scored)
        exact_spent += time.process_time() - started
        found += len(np.intersect1d(best, served.candidates[:K]))
    exact = min(len(again), len(rows))
    recall = found / (K * exact)
    per_list = 1e6 / len(rows)
    return ListCost(len(catalogue), len(rows), per_list * spent, exact, 1e6 * exact_spent / exact, recall)


def exact_list(catalogue: Catalogue, row: UserRow, scored: Scored) -> Indices:
    """Return the best ``K`` of all items, best first, scored in the same way as the candidates."""
    items = catalogue.items()
    user = User(catalogue.indices_of(users.history_of(row)), users.ages_of(row), row.taken, catalogue.now)
    asked = Asked(user, items)
    allowed = items.available.copy()
    allowed[scored.excluded] = False
    every = np.flatnonzero(allowed).astype(np.int32)
    among = scorers.score(asked, scored.candidates)
    weights = scored.weights.astype(np.float32)
    fused = [
        on_the_scale_of(among, scorers.score(asked, every[start : start + AT_ONCE])) @ weights
        for start in range(0, len(every), AT_ONCE)
    ]
    scores = np.concatenate(fused)
    return np.asarray(every[rank.best(scores, K)])


def on_the_scale_of(among: Floats, scores: Floats) -> Floats:
    """Make the features of items relative to the scores of other items; see ``models.fusion.features.features``.

    Parameters
    ----------
    among
        Scores of the candidates, which give the mean and the largest score; shape (S, C).
    scores
        Scores of the items; shape (S, I).

    Returns
    -------
    The features of the items, shape (I, 2 S).
    """
    mean, largest = among.mean(axis=1, keepdims=True), among.max(axis=1, keepdims=True)
    says = mean > 0
    by_mean = np.divide(scores, mean, out=np.zeros_like(scores), where=says)
    by_largest = np.divide(scores, largest, out=np.zeros_like(scores), where=says)
    pairs = np.stack([np.log(by_mean + features.LOG_FLOOR), np.sqrt(by_largest)], axis=2)
    pairs[~says[:, 0]] = 0
    return np.asarray(pairs.transpose(1, 0, 2).reshape(scores.shape[1], -1), np.float32)
