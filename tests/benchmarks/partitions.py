"""What partitions cost in accuracy: ``python -m tests.benchmarks.partitions [--set S ...] [--cut N]``.

One pass over each set serves the same candidates by several fusions: learned once for 1, 4 and 32 partitions, as
workers do; and, as a baseline, learned in each of 4 and 32 partitions from its own users alone, as 0.1.0 did. The last
half of a set is reported. The figures are written to ``results/partitions.json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from threadpoolctl import threadpool_limits

from afresh.deploy.evaluate import prequential
from afresh.deploy.evaluate.engine import Engine
from afresh.deploy.evaluate.session import EvaluateOptions, Evaluation
from afresh.deploy.evaluate.variants import TakenItem, Variant
from afresh.models.fusion.weights import Weights
from afresh.models.metrics import evaluation
from afresh.state.catalogue.catalogue import Known
from afresh.state.judged import kept
from afresh.state.judged.examples import JudgedExamples
from afresh.state.judged.weighing import Weighing
from afresh.state.lists import UserList
from afresh.streams.kafka.sender import partition_of
from afresh.streams.serving.arrange import Scored
from afresh.streams.serving.lister import Lister, Recipient
from afresh.streams.settings import Settings
from afresh.streams.topics import FIRST_PARTITION

RESULTS = Path(__file__).parent / "results" / "partitions.json"
SETS = ("ml-100k", "ml-1m", "films")
K = 10
REFRESH = 100
"""Events taken in together, as in ``tests.benchmarks.quality``."""

FIRST = 2_000
"""Events of a fresh deployment that are reported apart."""


class Divided(Variant):
    """One fusion for users in a number of partitions."""

    def __init__(self, lister: Lister, known: Callable[[int], Known], partitions: int) -> None:
        super().__init__(lister, known)
        self._partitions = partitions

    def receive(
        self, asked: Sequence[TakenItem], scored: Sequence[Scored], nobody: Scored | None
    ) -> list[UserList]:
        """Make the lists of users in our partitions."""
        divided = [each._replace(recipient=self._divided(each.recipient)) for each in asked]
        return super().receive(divided, scored, nobody)

    def _divided(self, recipient: Recipient) -> Recipient:
        return replace(recipient, partition=partition_of(recipient.user.encode(), self._partitions))


class Apart(Divided):
    """A fusion in each partition, learned from its own users alone."""

    def __init__(self, lister: Lister, known: Callable[[int], Known], partitions: int) -> None:
        super().__init__(lister, known, partitions)
        self._each = [Weighing(kept.unpack(b"")) for _ in range(partitions)]

    def weights(self, _recipient: Recipient | None = None) -> Weights:
        """Return the weights of the user's partition; users of whom nothing is known get those of the first."""
        known = _recipient is not None and _recipient.row.revision > 0
        partition = _recipient.partition if _recipient is not None and known else FIRST_PARTITION
        return self._each[partition].kept.fusion.weights()

    def take(self, record: JudgedExamples) -> None:
        """Learn in the partition alone."""
        self._each[record.source].take(record)


WAYS: dict[str, tuple[type[Divided], int]] = {
    "one fusion, 1 partition": (Divided, 1),
    "one fusion, 4 partitions": (Divided, 4),
    "one fusion, 32 partitions": (Divided, 32),
    "a fusion in each of 4": (Apart, 4),
    "a fusion in each of 32": (Apart, 32),
}


def engine_of(settings: Settings, size: int, ways: Sequence[str]) -> Engine:
    """Make an engine with a variant for each way."""
    made = Engine(settings, size, without=())
    known = made.catalogue.known
    made.variants += [
        kind(made._lister, known, partitions) for kind, partitions in map(WAYS.__getitem__, ways)
    ]
    return made


def measure(name: str, cut: int | None = None) -> dict[str, dict[str, float]]:
    """Measure all ways on a set; return their figures, by way."""
    options = EvaluateOptions(None, None, name, cut=cut, start=0.0, refresh=REFRESH)
    with threadpool_limits(1), Progress(console=Console(stderr=True)) as progress:
        evaluated = Evaluation.load(options, Settings(), progress)
        task = progress.add_task(name, total=len(evaluated.log.interactions))
        engine = engine_of(Settings(), evaluated._size, list(WAYS))
        rankings = prequential.run(
            engine,
            evaluated.log,
            evaluated.trials,
            evaluated._vectors,
            REFRESH,
            lambda done: progress.update(task, completed=done),
        )
    return {way: figures_of(ranking.ranks) for way, ranking in zip(WAYS, rankings, strict=True)}


def figures_of(ranks: evaluation.Ranks) -> dict[str, float]:
    """Return the accuracy of the last half of all trials, and of the first ones."""
    half, first = ranks[len(ranks) // 2 :], ranks[:FIRST]
    return {
        "hr": float(evaluation.hit_rate(half, K).mean()),
        "ndcg": float(evaluation.ndcg(half, K).mean()),
        "hr_first": float(evaluation.hit_rate(first, K).mean()),
    }


def table(figures: dict[str, dict[str, dict[str, float]]]) -> Table:
    """Show the figures of each set, and the difference from one partition."""
    made = Table("set", "way", "HR@10", "NDCG@10", "of the first 2,000", "difference", title="Partitions")
    for name, ways in figures.items():
        whole = ways[next(iter(WAYS))]
        for way, each in ways.items():
            made.add_row(
                name,
                way,
                *(f"{each[measure]:.4f}" for measure in ("hr", "ndcg", "hr_first")),
                f"{each['hr'] - whole['hr']:+.4f}",
            )
    return made


def main() -> None:
    """Measure the sets that are named, and keep the figures of the others."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--set", action="append", choices=SETS, help="Set to measure; all by default.")
    parser.add_argument("--cut", type=int, metavar="N", help="Only the first N events of each set.")
    parser.add_argument("--results", type=Path, default=RESULTS, help="File of the figures.")
    options = parser.parse_args()
    figures = json.loads(options.results.read_text()) if options.results.exists() else {}
    for name in options.set or SETS:
        shown = f"{name}, first {options.cut:,}" if options.cut else name
        figures[shown] = measure(name, options.cut)
        options.results.write_text(json.dumps(figures, indent=2) + "\n")
    Console().print(table(figures))


if __name__ == "__main__":
    main()
