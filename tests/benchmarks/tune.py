"""Choose the constants of the baselines: ``python -m tests.benchmarks.tune [BASELINE ...]``.

Every choice is compared by HR@10 on the second quarter of MovieLens 100K; learning begins with the first event. So the
choice never sees the half that the benchmark reports.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from afresh.deploy.datasets import sets
from afresh.deploy.evaluate.baseline import Baseline, BaselineRun
from afresh.deploy.evaluate.baselines.biased_mf import model as biased_mf
from afresh.deploy.evaluate.baselines.funk_mf import model as funk_mf
from afresh.deploy.evaluate.baselines.isgd import ISGD
from afresh.deploy.evaluate.baselines.item_knn import ItemKNN
from afresh.deploy.evaluate.baselines.popularity_decayed import DecayedPopularity
from afresh.deploy.evaluate.baselines.sasrec import SASRec
from afresh.deploy.evaluate.log import read_log
from afresh.deploy.evaluate.trials import trials_of
from afresh.models.metrics import evaluation
from afresh.streams.settings import Settings

EVENTS = 50_000
K = 10

FACTORS: dict[str, Sequence[Any]] = {"factors": [10, 20, 50], "rate": [0.01, 0.05], "negatives": [1, 4]}

GRIDS: dict[str, tuple[Callable[..., Baseline], dict[str, Sequence[Any]]]] = {
    "popularity_decayed": (DecayedPopularity, {"half_life": [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000]}),
    "isgd": (
        ISGD,
        {"factors": [50, 200], "learning_rate": [0.02, 0.05, 0.1, 0.2], "regularisation": [0.01, 0.05, 0.1]},
    ),
    "item_knn": (ItemKNN, {"window": [10, 20, 60], "asked": [20], "decay": [0.8, 0.9, 0.95]}),
    "biased_mf": (biased_mf, FACTORS),
    "funk_mf": (funk_mf, FACTORS),
    "sasrec": (SASRec, {"events": [EVENTS], "first_epochs": [5, 10, 20, 40], "epochs": [2, 4, 8]}),
}


def choices(grid: dict[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Yield all points of a grid."""
    for point in itertools.product(*grid.values()):
        yield dict(zip(grid, point, strict=True))


def main(names: Sequence[str]) -> None:
    """Print the hit rate of every choice."""
    named = sets.load("ml-100k")
    log = read_log(Settings(), named.events, named.items, cut=EVENTS)
    trials = trials_of(log, 0.5)
    for name in names or GRIDS:
        making, grid = GRIDS[name]
        for choice in choices(grid):
            started = time.process_time()
            ranking = BaselineRun(making(**choice), trials, K, keep_seen=False).run(log, lambda _: None)
            rate = evaluation.hit_rate(ranking.ranks, K).mean()
            print(f"{rate:.4f}  {time.process_time() - started:5.0f} s  {name} {choice}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
