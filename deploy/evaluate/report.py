"""Figures of rankings: numbers for JSON, tables to read, and the lists themselves for anyone who wants to check."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from rich.table import Table

from afresh.deploy.evaluate.embeddings import Vectors
from afresh.deploy.evaluate.log import Log
from afresh.deploy.evaluate.prequential import Ranking
from afresh.deploy.evaluate.trials import Trials
from afresh.models.arrays import NONE, Doubles
from afresh.models.metrics import evaluation, variety
from afresh.models.metrics.evaluation import Bootstrap, Means
from afresh.state.errors import AfreshError
from afresh.state.rows.content import content_hash, text_for_encoder

ROUNDS = 1000
SEED = 0
DIGITS = 6
TRIALS_AT_ONCE = 1000
"""Trials that share one set of counts for novelty and head share; the counts are recomputed after each such group."""

Figures = dict[str, Any]


class Reporter:
    """Computes the figures of rankings of one log.

    Parameters
    ----------
    log, trials
        The log that the rankers ran over, and its trials.
    vectors
        Embeddings of the items' texts.
    k
        How many items of a list count.
    template
        Template of the items' texts; see ``state.rows.content.text_for_encoder``.
    """

    def __init__(self, log: Log, trials: Trials, vectors: Vectors, k: int, template: str) -> None:
        self._trials = trials
        self._k = k
        self._bootstrap = Bootstrap(trials.users[trials.first :], ROUNDS, SEED)
        self._slices = trials.slices()
        announced = {each.item.id: each.item for each in log.announcements}
        names = list(dict.fromkeys([*trials.item_names, *announced]))
        self._number = {name: number for number, name in enumerate(names)}
        width = len(next(iter(vectors.values()))) if vectors else 1
        self._embeddings = np.zeros((len(names), width), np.float32)
        for name, item in announced.items():
            text = text_for_encoder(item.title, item.text, item.attributes, template)
            vector = vectors.get(content_hash(text))
            if vector is not None:
                self._embeddings[self._number[name]] = vector

    def figures(self, ranking: Ranking, seconds: float) -> Figures:
        """Return all figures of a ranking; ``seconds`` is the CPU time that it took."""
        values = {name: measure(ranking.ranks, self._k) for name, measure in evaluation.MEASURES.items()}
        return {
            "seconds": round(seconds, 1),
            "all": {name: _means(self._bootstrap.means(each)) for name, each in values.items()},
            "slices": {
                group: {
                    name: {"events": int(mask.sum())}
                    | {measure: _means(self._bootstrap.means(each, mask)) for measure, each in values.items()}
                    for name, mask in members.items()
                    if mask.any()
                }
                for group, members in self._slices.items()
            },
            "variety": self._variety(ranking),
        }

    def _variety(self, ranking: Ranking) -> Figures:
        lists = self._numbers(ranking.lists)
        diversity = variety.diversity(lists, self._embeddings)
        novelty, head = np.empty(len(lists)), np.empty(len(lists))
        for start in range(0, len(lists), TRIALS_AT_ONCE):
            chunk = slice(start, start + TRIALS_AT_ONCE)
            before = self._trials.items[: self._trials.first + start]
            counts = np.bincount(before, minlength=len(self._number))
            novelty[chunk] = variety.novelty(lists[chunk], counts)
            head[chunk] = variety.head(lists[chunk], counts)
        return {
            "coverage": _rounded(variety.coverage(lists, len(self._number))),
            "diversity": _mean(diversity),
            "novelty_bits": _mean(novelty),
            "head_share": _mean(head),
        }

    def _numbers(self, lists: Sequence[Sequence[str]]) -> variety.Lists:
        numbers = np.full((len(lists), self._k), NONE, np.int32)
        for trial, items in enumerate(lists):
            known = [self._number[item] for item in items[: self._k]]
            numbers[trial, : len(known)] = known
        return numbers


def _means(means: Means) -> Figures:
    by_event, by_user = means.by_event, means.by_user
    return {
        "mean": _rounded(by_event.mean),
        "low": _rounded(by_event.low),
        "high": _rounded(by_event.high),
        "by_user": {name: _rounded(getattr(by_user, name)) for name in ("mean", "low", "high")},
    }


def _mean(values: Doubles) -> float | None:
    known = values[~np.isnan(values)]
    return _rounded(float(known.mean())) if len(known) else None


def _rounded(figure: float) -> float | None:
    """Round to six decimals; None for NaN, which JSON cannot hold."""
    return None if math.isnan(figure) else round(figure, DIGITS)


def overview(figures: Mapping[str, Figures], k: int) -> Table:
    """Table of all figures, one line for each ranker."""
    accuracy = (f"HR@{k}", "95 %", f"NDCG@{k}", f"MRR@{k}", "HR by user")
    table = Table("", *accuracy, "coverage", "diversity", "novelty", "head", "CPU s")
    table.columns[0].no_wrap = True
    for name, each in figures.items():
        total, other = each["all"], each["variety"]
        table.add_row(
            name,
            _shown(total["hr"]["mean"]),
            f"{_shown(total['hr']['low'])}-{_shown(total['hr']['high'])}",
            _shown(total["ndcg"]["mean"]),
            _shown(total["mrr"]["mean"]),
            _shown(total["hr"]["by_user"]["mean"]),
            *(_shown(other[column]) for column in ("coverage", "diversity", "novelty_bits", "head_share")),
            f"{each['seconds']:.0f}",
        )
    return _right(table)


def by_slice(figures: Mapping[str, Figures], k: int) -> Table:
    """Table of hit rates, one line for each slice and one column for each ranker."""
    table = Table(f"HR@{k}", "", "events", *figures)
    first = next(iter(figures.values()))
    for group, members in first["slices"].items():
        for number, (name, of_first) in enumerate(members.items()):
            rates = [_shown(each["slices"][group][name]["hr"]["mean"]) for each in figures.values()]
            table.add_row("" if number else group, name, f"{of_first['events']:,}", *rates)
    return _right(table, after=2)


def _right(table: Table, after: int = 1) -> Table:
    for column in table.columns[after:]:
        column.justify = "right"
    return table


def _shown(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.4f}"


class Output:
    """A file to write, opened before the work begins: a long run must not fail at its end for a bad file name.

    Parameters
    ----------
    file
        The file; gzipped if its name ends in .gz.

    Raises
    ------
    AfreshError
        If the file cannot be written, for example because the disk is full. All methods raise it, too.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        with _explained(file):
            # __exit__ closes the file, so that a disk that is full only then gives an AfreshError, too.
            if file.name.endswith(".gz"):
                self._text: IO[str] = gzip.open(file, "wt", encoding="utf-8")  # noqa: SIM115 - see above
            else:
                self._text = file.open("w", encoding="utf-8")

    def write(self, text: str) -> None:
        """Append text to the file."""
        with _explained(self._file):
            self._text.write(text)

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *_: object) -> None:
        with _explained(self._file):
            self._text.close()


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AfreshError(f"{file} cannot be written ({error.strerror}); name another file") from error


def write_lists(output: Output, log: Log, trials: Trials, ranking: Ranking) -> None:
    """Write one line of JSON for each evaluated trial: the event, and the list served before it, best first.

    ``scores`` are the scores of the list's items. Equal scores are a tie, and a tie counts against the item taken.
    Where new items are explored, ``propensities`` are the probabilities with which each item got its place.
    """
    columns = zip(ranking.lists, ranking.scores, ranking.propensities, strict=True)
    for trial, (items, scores, propensities) in enumerate(columns, trials.first):
        interaction = log.interactions[int(trials.places[trial])]
        line = {
            "id": interaction.event,
            "user": interaction.user,
            "item": interaction.item,
            "items": items,
            "scores": scores,
            "time": interaction.time,
        }
        if propensities:
            line["propensities"] = propensities
        output.write(json.dumps(line, ensure_ascii=False) + "\n")
