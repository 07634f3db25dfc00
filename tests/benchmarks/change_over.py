"""Accuracy while lists change over to another encoder: ``python -m tests.benchmarks.change_over``.

Three engines run over the same events in the loop of ``afresh evaluate``. One has the vectors of one encoder from the
first event to the last, another those of another encoder. The third changes over from the one to the other, in the
middle of what is evaluated, for all items at once, as a version of the model does it. Its weights were learned with the
vectors of the first encoder. Hit rates are compared in windows behind the change. ``±`` is two standard errors of the
difference of the same events.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from afresh.deploy.datasets import sets
from afresh.deploy.evaluate import prequential
from afresh.deploy.evaluate.embeddings import Texts, Vectors
from afresh.deploy.evaluate.engine import Engine
from afresh.deploy.evaluate.log import Log, read_log
from afresh.deploy.evaluate.trials import trials_of
from afresh.models.arrays import Doubles
from afresh.models.metrics import evaluation
from afresh.state.errors import AfreshError
from afresh.streams.encoders import options_of
from afresh.streams.messages import Item
from afresh.streams.settings import Settings

K = 10
START = 0.25
"""Share of the events that come before the first one that is evaluated; the change is in the middle of the rest."""

REFRESH = 100
"""Events taken in together, as in ``tests.benchmarks.quality``."""

WINDOWS = ((0, 500), (500, 2_000), (2_000, 5_000), (5_000, 10_000), (0, None))
"""Windows behind the change, by the first event and the one after the last."""

PROCESSES = 2


class ChangingEngine(Engine):
    """An engine whose items get the vectors of another encoder once it has taken in so many events.

    Parameters
    ----------
    encoders
        The encoder at first, and the one that lists change over to, with their vectors by text.
    change_at
        Number of interactions before the change.
    """

    def __init__(self, settings: Settings, encoders: Sequence[tuple[Texts, Vectors]], change_at: int) -> None:
        (first, self.vectors), (self._next, self._vectors) = encoders
        super().__init__(settings, 2 * K, (first.name, first.version))
        self.catalogue.use(first.version)
        self._change_at = change_at
        self._items: dict[str, Item] = {}

    def announce(self, items: Sequence[Item], vectors: Vectors) -> None:
        """Take in items with the vectors of the encoder that lists are made from now."""
        self._items.update((item.id, item) for item in items)
        super().announce(items, self.vectors)

    def taken_in(self, interactions: int) -> None:
        """Change over if it is time."""
        if interactions >= self._change_at and self.vectors is not self._vectors:
            self._encoder, self.vectors = (self._next.name, self._next.version), self._vectors
            self.catalogue.use(self._next.version)
            super().announce(list(self._items.values()), self.vectors)


@dataclass(frozen=True)
class Course:
    """One run: a set, the first of its events, and the encoders before and behind the change."""

    set: str
    cut: int | None
    encoders: tuple[str, str]


def hits(course: Course) -> tuple[Doubles, int]:
    """Return for each evaluated trial whether the list had the item among its first ``K``, and where the change was."""
    settings = Settings()
    named = sets.load(course.set)
    log = read_log(settings, named.events, named.items, cut=course.cut)
    trials = trials_of(log, START)
    middle = (trials.first + len(trials)) // 2
    read = [_read(name, log, settings) for name in course.encoders]
    engine = ChangingEngine(settings, read, int(trials.places[middle]))
    # Drift is what the windows show.
    logging.getLogger("afresh.state.judged.weighing").setLevel(logging.ERROR)
    with threadpool_limits(1):
        (ranking,) = prequential.run(engine, log, trials, {}, REFRESH, engine.taken_in)
    return evaluation.hit_rate(ranking.ranks, K).astype(np.float64), middle - trials.first


def _read(name: str, log: Log, settings: Settings) -> tuple[Texts, Vectors]:
    texts = Texts(name, options_of(settings))
    return texts, texts.vectors(log.texts(settings.text_template))


def compare(changed: Doubles, before: Doubles, after: Doubles, change: int) -> list[dict[str, Any]]:
    """Return the hit rates of each window, and by how much the change is off the worse of the two encoders.

    Parameters
    ----------
    changed, before, after
        Hits of the run that changes over, and of those with one encoder throughout, shape (n,).
    change
        The first event behind the change.
    """
    rows = []
    for first, last in WINDOWS:
        if change + first >= len(changed):
            continue
        window = slice(change + first, None if last is None else change + last)
        rates = {"before": before[window].mean(), "after": after[window].mean()}
        worse = min(rates, key=rates.__getitem__)
        difference = changed[window] - {"before": before, "after": after}[worse][window]
        rows.append(
            {
                "window": f"{first:,}-{last:,}" if last else "all",
                "events": len(difference),
                **rates,
                "changed": changed[window].mean(),
                "difference": difference.mean(),
                "noise": 2 * difference.std() / np.sqrt(len(difference)),
            }
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write the figures."""
    parser = argparse.ArgumentParser(prog="change_over", description=__doc__)
    parser.add_argument("--set", choices=sets.SETS, default="ml-100k", help="events and items")
    parser.add_argument("--cut", type=int, metavar="N", help="only the first N events")
    parser.add_argument(
        "--encoders", nargs=2, default=("universal", "minilm"), metavar="NAME", help="from, to"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for the figures")
    chosen = parser.parse_args(arguments)
    one, other = chosen.encoders
    course = Course(chosen.set, chosen.cut, (one, other))
    courses = [course, replace(course, encoders=(one, one)), replace(course, encoders=(other, other))]
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        (changed, change), (before, _), (after, _) = pool.map(hits, courses)
    rows = compare(changed, before, after, change)
    table = Table(
        "events behind", one, other, "changed over", "to the worse", "±", title=f"HR@{K}, {chosen.set}"
    )
    for row in rows:
        table.add_row(
            row["window"],
            *(f"{row[name]:.4f}" for name in ("before", "after", "changed")),
            f"{row['difference']:+.4f}",
            f"{row['noise']:.4f}",
        )
    Console().print(table)
    if chosen.json:
        chosen.json.write_text(
            json.dumps({"set": chosen.set, "encoders": [one, other], "rows": rows}, indent=2) + "\n"
        )


if __name__ == "__main__":
    try:
        main()
    except AfreshError as error:
        sys.exit(str(error))
