"""How many accounts of one person are found that no link names: ``make bench-identity``.

Users of MovieLens 1M use two accounts in turns: their first, third ... session on one platform, the others on another,
drawn by a seed. Sessions end with a pause of half an hour. Each fold cuts one half of the users in two; the others, and
whoever has one session, stay whole and distract. So each true pair is looked for once, and no true pair is ever shown.
An account shows what its row holds: the newest events, and the items that have left the history.

Matching by items alone, in the same folds, knows the same items: those that choose each other by the cosine of their
sets, where an item counts the less the more people take it. The figures are written to ``results/identity.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from afresh.deploy.datasets import movielens
from afresh.models.arrays import Doubles, Floats, Integers, Mask, Places
from afresh.models.identity.fingerprints import Fingerprint, begin_sessions, gather
from afresh.models.identity.suggesting import compare
from afresh.models.layout import HISTORY
from afresh.streams.times import milliseconds
from tests.benchmarks.measure import peak_rss_bytes

RESULTS = Path(__file__).parent / "results" / "identity.json"
PLATFORMS = ("web", "app")
SURE = 0.9
"""Precision that is asked for, and confidence from which a suggestion counts as sure."""

BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


class Ratings(NamedTuple):
    """Events of all users, oldest first: user, item, seconds and value; shape (n,) each."""

    users: Places
    items: Places
    times: Integers
    values: Floats


class Found(NamedTuple):
    """Pairs that were found, whether each is right, how sure each is said to be, and how many were to be found."""

    right: Mask
    confidence: Doubles
    total: int


def ratings(users: int | None) -> Ratings:
    """Read MovieLens 1M, all of it or some of its users."""
    events = movielens.load(movielens.ML_1M).events
    _, names = np.unique([event.user for event in events], return_inverse=True)
    _, items = np.unique([event.item for event in events], return_inverse=True)
    times = np.array([milliseconds(event.time) // 1000 for event in events], np.int64)
    values = np.array([np.nan if event.value is None else event.value for event in events], np.float32)
    kept = np.flatnonzero(names < (users or len(names)))
    order = kept[np.lexsort((times[kept], names[kept]))]
    return Ratings(names[order], items[order], times[order], values[order])


def accounts(rated: Ratings, fold: int, seed: int = 1) -> tuple[list[Fingerprint], Places]:
    """Cut the users of a fold in two; return the accounts by name, and the user of each."""
    users = rated.users
    session = np.cumsum(begin_sessions(users, rated.times))
    first = session[np.searchsorted(users, np.arange(users.max() + 1))]
    side = np.random.default_rng(seed).integers(0, 2, len(first))
    turns = np.where(folds(len(first))[users] == fold, session - first[users], 0)
    names = 2 * users + (side[users] + turns) % 2
    order = np.argsort(names, kind="stable")
    cuts = np.flatnonzero(np.diff(names[order])) + 1
    parts = np.split(order, cuts)
    return [_fingerprint(rated, part, int(names[part[0]])) for part in parts], users[
        order[np.append(0, cuts)]
    ]


def folds(users: int) -> Places:
    """Draw the fold of each user."""
    return np.random.default_rng(7).integers(0, 2, users)


def _fingerprint(rated: Ratings, part: Places, name: int) -> Fingerprint:
    newest, older = part[-HISTORY:], part[:-HISTORY]
    platform = PLATFORMS[name % 2]
    return Fingerprint(
        f"{platform}:{name // 2:05}",
        platform,
        rated.items[newest].astype(np.uint32),
        rated.times[newest].astype(np.uint32),
        rated.values[newest],
        rated.items[older].astype(np.uint32),
    )


def ours(fingerprints: Sequence[Fingerprint]) -> tuple[Places, Places, Doubles]:
    """Compare accounts as ``suggest`` does, and keep what it would not say."""
    return compare(gather(fingerprints), 0)


def history_alone(fingerprints: Sequence[Fingerprint]) -> tuple[Places, Places, Doubles]:
    """Compare accounts by their newest events, without what has left their history."""
    return ours([each._replace(older=each.older[:0]) for each in fingerprints])


def by_items(fingerprints: Sequence[Fingerprint]) -> tuple[Places, Places, Doubles]:
    """Match by the cosine of the sets of items, weighed by how rare each is."""
    crowd = gather(fingerprints)
    weighed = crowd.sets * np.log(len(fingerprints) / crowd.sets.sum(axis=0))[None, :]
    lengths = np.sqrt(weighed.multiply(weighed).sum(axis=1))
    one, other = (np.flatnonzero(crowd.platforms == each) for each in (0, 1))
    cosines = (weighed[one] @ weighed[other].T).toarray() / lengths[one][:, None] / lengths[other]
    best, back = cosines.argmax(axis=1), cosines.argmax(axis=0)
    rows = np.flatnonzero(back[best] == np.arange(len(one)))
    return one[rows], other[best[rows]], cosines[rows, best[rows]].astype(np.float64)


WAYS = {"items alone": by_items, "ours, history alone": history_alone, "ours": ours}


def measure(rated: Ratings, name: str) -> tuple[list[Found], dict[str, float]]:
    """Look for the pairs of both folds; return what was found in each, and the cost of a fold."""
    number, cpu, found = 0, 0.0, []
    for fold in (0, 1):
        fingerprints, users = accounts(rated, fold)
        began = time.process_time()
        with threadpool_limits(1):
            first, second, confidence = WAYS[name](fingerprints)
        cpu += time.process_time() - began
        found.append(Found(users[first] == users[second], confidence, len(users) - len(np.unique(users))))
        number += len(fingerprints)
    return found, {
        "accounts": number / 2,
        "cpu_seconds": cpu / 2,
        "peak_mb": peak_rss_bytes(os.getpid()) / 1e6,
    }


def together(found: Iterable[Found]) -> Found:
    """Join what was found in several folds."""
    right, confidence, totals = zip(*found, strict=True)
    return Found(np.concatenate(right), np.concatenate(confidence), sum(totals))


def recall_at(found: Found, precision: float) -> float:
    """Return the largest share of the true pairs that a threshold of confidence finds at a precision."""
    order = np.argsort(-found.confidence, kind="stable")
    right = np.cumsum(found.right[order])
    # A threshold takes all pairs of a confidence or none.
    last = np.append(np.diff(found.confidence[order]) != 0, np.ones(min(len(order), 1), np.bool_))
    enough = last & (right >= precision * np.arange(1, len(order) + 1))
    return float(right[enough].max(initial=0) / found.total)


def figures(found: Found) -> dict[str, object]:
    """Return precision and recall, and how many of the pairs of each confidence are right."""
    sure = found.confidence >= SURE
    bins = np.digitize(found.confidence, BINS[1:-1])
    return {
        "pairs": found.total,
        "recall_at_precision": recall_at(found, SURE),
        "sure": int(sure.sum()),
        "precision_of_sure": float(found.right[sure].mean()) if sure.any() else None,
        "recall_of_sure": float(found.right[sure].sum() / found.total),
        "reliability": [
            {
                "from": BINS[each],
                "pairs": int((bins == each).sum()),
                "said": float(found.confidence[bins == each].mean()),
                "right": float(found.right[bins == each].mean()),
            }
            for each in range(len(BINS) - 1)
            if (bins == each).any()
        ],
    }


def table(measured: dict[str, dict[str, object]]) -> Table:
    """Show all figures."""
    titles = {
        "pairs": "true pairs",
        "recall_at_precision": f"recall at precision {SURE}",
        "sure": f"confidence {SURE} and more",
        "precision_of_sure": "their precision",
        "recall_of_sure": "their recall",
        "accounts": "accounts",
        "cpu_seconds": "CPU s",
        "peak_mb": "MB at most",
    }
    made = Table("way", *titles.values(), title="Accounts of one person")
    for name, one in measured.items():
        made.add_row(name, *("" if one.get(each) is None else f"{one[each]:.4g}" for each in titles))
    return made


def main(arguments: list[str] | None = None) -> None:
    """Measure all ways in one run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, metavar="N", help="Number of users; all by default.")
    parser.add_argument("--results", type=Path, default=RESULTS, help="File of the figures.")
    options = parser.parse_args(arguments)
    rated = ratings(options.users)
    measured: dict[str, dict[str, object]] = {}
    for name in WAYS:
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:
            found, cost = alone.submit(measure, rated, name).result()
        measured[name] = {**figures(together(found)), **cost, "folds": [figures(each) for each in found]}
    options.results.write_text(json.dumps(measured, indent=2) + "\n")
    Console(width=140).print(table(measured))


if __name__ == "__main__":
    main()
