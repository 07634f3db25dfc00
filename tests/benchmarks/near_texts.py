"""What it costs to keep the nearest texts: ``python -m tests.benchmarks.near_texts [--items N ...] [--only NAME ...]``.

Compares indexes, and then the whole upkeep of lists by ``models.relations.near_texts`` with an exact search
(``models.relations.texts``). Each is measured in a process of its own, on one thread. The figures are written to
``results/near_texts.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import faiss
import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from afresh.models.arrays import Floats, Indices, Keys, Places
from afresh.models.relations import near_texts, texts
from afresh.models.relations.near_texts import NearTexts
from afresh.models.retrieval.asking import AKIN
from tests.benchmarks.measure import rss_bytes
from tests.benchmarks.text_indexes import INDEXES, embeddings

RESULTS = Path(__file__).parent / "results" / "near_texts.json"
ITEMS = (20_000, 100_000)
SOME = 100
"""Texts that come, change or go together."""

STEP = 1_000
"""Texts that are replaced together until half of all are."""

SAMPLE = 500
"""Texts whose nearest are looked for exactly."""

TOLERANCE = 10**-texts.DECIMALS
"""Difference of cosines that are as good as equal."""

Figures = dict[str, float | None]


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of some work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def recall(vectors: Floats, held: Places, nearest: Callable[[Places], Indices]) -> float:
    """Return which share of the first 30 that are held ``nearest`` finds, for a sample of them."""
    sample = np.random.default_rng(1).choice(held, min(SAMPLE, len(held)), replace=False)
    cosines = vectors[sample] @ vectors[held].T
    cosines[sample[:, None] == held] = -1
    least = np.partition(cosines, -AKIN, axis=1)[:, -AKIN]
    shares = [
        np.count_nonzero(vectors[np.setdiff1d(found, [item, -1])] @ vectors[item] >= enough - TOLERANCE)
        for item, found, enough in zip(sample, nearest(sample), least, strict=True)
    ]
    return float(np.minimum(np.array(shares) / AKIN, 1).mean())


def measure_index(name: str, count: int) -> Figures:
    """Measure an index: it is filled, changed a little, and at last half of it is replaced."""
    vectors = embeddings(count + count // 2)
    items = np.arange(len(vectors))
    first = items[:count]
    index, before = INDEXES[name](count), rss_bytes(os.getpid())
    built = seconds(lambda: index.add(first, vectors[first]))
    held_bytes = rss_bytes(os.getpid()) - before

    def nearest(sample: Places) -> Indices:
        return index.search(vectors[sample], near_texts.FOUND)

    figures: Figures = {
        "build_seconds": built,
        "bytes_an_item": held_bytes / count,
        "search_us": seconds(lambda: nearest(first[:STEP])) / STEP * 1e6,
        "recall": recall(vectors, first, nearest),
        "remove_seconds": None,
        "add_seconds": None,
        "recall_replaced": None,
    }
    try:
        figures["remove_seconds"] = seconds(lambda: index.remove(first[:SOME]))
    except NotImplementedError:
        return figures
    came = items[count : count + SOME]
    figures["add_seconds"] = seconds(lambda: index.add(came, vectors[came]))
    for start in range(SOME, count // 2, STEP):
        stop = min(start + STEP, count // 2)
        index.remove(items[start:stop])
        index.add(items[count + start : count + stop], vectors[count + start : count + stop])
    figures["recall_replaced"] = recall(vectors, items[count // 2 :], nearest)
    return figures


class Compared:
    """Lists by an exact search, with the interface of ``NearTexts``."""

    waiting = 0

    def __init__(self) -> None:
        self.akin = np.zeros((0, AKIN), np.int32)
        self.likeness = np.zeros((0, AKIN), np.float32)

    def update(self, keys: Keys, vectors: Floats, changed: Places) -> None:
        """Search as a worker did when it derived."""
        if not len(self.akin):
            self.akin = np.full((len(keys), AKIN), -1, np.int32)
            self.likeness = np.zeros((len(keys), AKIN), np.float32)
        mask = np.zeros(len(keys), np.bool_)
        mask[changed] = True
        self.akin, self.likeness = texts.nearest(vectors.astype(np.float32), self.akin, self.likeness, mask)


LISTS: dict[str, Callable[[], NearTexts | Compared]] = {"exact lists": Compared, "our lists": NearTexts}


def measure_lists(name: str, count: int) -> Figures:
    """Measure the upkeep of all lists, from nothing on."""
    vectors = embeddings(count + count // 2)
    now = vectors.astype(np.float16)
    now[count:] = 0
    items, keys = np.arange(len(now)), np.random.default_rng(2).permutation(len(now)).astype(np.uint64)
    kept, before = LISTS[name](), rss_bytes(os.getpid())

    def take(changed: Places, texts_of: Places | None) -> float:
        now[changed] = 0 if texts_of is None else vectors[texts_of]
        return seconds(lambda: _settle(kept, keys, now, changed))

    def found() -> float:
        return recall(
            now.astype(np.float32), np.flatnonzero(now.any(axis=1)), lambda sample: kept.akin[sample]
        )

    figures: Figures = {"build_seconds": seconds(lambda: _settle(kept, keys, now, items))}
    figures["bytes_an_item"] = (rss_bytes(os.getpid()) - before) / count
    figures["recall"] = found()
    figures["add_seconds"] = take(items[count : count + SOME], items[count : count + SOME])
    figures["remove_seconds"] = take(items[:SOME], None)
    figures["change_seconds"] = take(items[SOME : 2 * SOME], items[count + SOME : count + 2 * SOME])
    figures["recall_replaced"] = None
    if name == "our lists":
        for start in range(2 * SOME, count // 2, STEP):
            stop = min(start + STEP, count // 2)
            take(items[start:stop], None)
            take(items[count + start : count + stop], items[count + start : count + stop])
        figures["recall_replaced"] = found()
    return figures


def _settle(kept: NearTexts | Compared, keys: Keys, vectors: np.ndarray, changed: Places) -> None:
    kept.update(keys, vectors, changed)
    while kept.waiting:
        kept.update(keys, vectors, changed[:0])


def measure(name: str, count: int) -> Figures:
    """Measure one by name, on one thread."""
    faiss.omp_set_num_threads(1)
    with threadpool_limits(1):
        return (measure_lists if name in LISTS else measure_index)(name, count)


def table(figures: dict[str, dict[str, Figures]]) -> Table:
    """Show all figures."""
    titles = {
        "build_seconds": "made in s",
        "bytes_an_item": "bytes an item",
        "search_us": "µs a search",
        "recall": "recall",
        "recall_replaced": "half replaced",
        "add_seconds": "s for 100 new",
        "remove_seconds": "s for 100 gone",
        "change_seconds": "s for 100 changed",
    }
    made = Table("items", "what", *titles.values(), title="Nearest texts")
    for count, each in figures.items():
        for name, one in each.items():
            shown = (one.get(figure) for figure in titles)
            made.add_row(count, name, *("" if value is None else f"{value:.4g}" for value in shown))
    return made


def main(arguments: list[str] | None = None) -> None:
    """Measure what is named, and keep the other figures."""
    names = [*INDEXES, *LISTS]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--items", type=int, action="append", metavar="N", help="Number of texts.")
    parser.add_argument("--only", action="append", choices=names, help="What to measure; all by default.")
    parser.add_argument("--results", type=Path, default=RESULTS, help="File of the figures.")
    options = parser.parse_args(arguments)
    figures = json.loads(options.results.read_text()) if options.results.exists() else {}
    for count in options.items or ITEMS:
        for name in options.only or names:
            with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                figures.setdefault(f"{count:,}", {})[name] = alone.submit(measure, name, count).result()
            options.results.write_text(json.dumps(figures, indent=2) + "\n")
    Console().print(table(figures))


if __name__ == "__main__":
    main()
