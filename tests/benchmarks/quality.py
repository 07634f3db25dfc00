"""Accuracy on the named sets, beside the baselines: ``python -m tests.benchmarks.quality``.

Every ranker goes through every set in a process of its own, in the loop of ``afresh evaluate``; the last half of a set
is reported. What was measured before is kept in ``results/quality.json``, so that one set, or one ranker, can be
measured anew; ``results/quality.md`` is made of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from threadpoolctl import threadpool_limits

from deploy.evaluate import baseline, datasets
from deploy.evaluate.session import OURS, Evaluation, Options
from models import scorers
from streams.errors import AfreshError
from streams.settings import Settings
from tests.benchmarks.quality_report import NO_TEXT, WITHOUT, page

RESULTS = Path(__file__).parent / "results"

REFRESH = 50
"""Events taken in together: with 1 the lists are exact, and cost three times as much."""

BASELINES = ("popularity", "popularity_decayed", "item_knn", "isgd", "biased_mf", "funk_mf", "sasrec")
ABLATED = "ml-100k"
"""The set on which the recommender is measured without each of its scorers."""

PROCESSES = 2


@dataclass(frozen=True)
class Job:
    """A ranker to be measured on a set."""

    set: str
    ranker: str


def jobs(sets: Sequence[str], only: Sequence[str]) -> list[Job]:
    """Everything to measure, the longest first."""
    made = []
    for name in sets:
        rankers = [OURS, NO_TEXT, "sasrec", *BASELINES[:-1]]
        if name == ABLATED:
            rankers += [f"{WITHOUT}{scorer}" for scorer in scorers.NAMES]
        made += [Job(name, ranker) for ranker in rankers if not only or ranker in only]
    return made


def measure(job: Job) -> dict[str, Any]:
    """Measure a ranker on a set; return the figures that ``afresh evaluate`` writes."""
    options = Options(None, None, job.set, refresh=REFRESH, no_text=job.ranker == NO_TEXT)
    # As a worker has it, and so that two rankers at once do not wait for each other's threads.
    with threadpool_limits(1):
        evaluation = Evaluation.load(options, Settings(), Progress(disable=True))
        _run(evaluation, job)
    return evaluation.figures()


def _run(evaluation: Evaluation, job: Job) -> None:
    if job.ranker in (OURS, NO_TEXT):
        evaluation.run_ours(job.ranker)
    elif job.ranker.startswith(WITHOUT):
        evaluation.run_ours(job.ranker, [job.ranker.removeprefix(WITHOUT)])
    else:
        evaluation.run_baseline(job.ranker, baseline.find(job.ranker))


def keep(results: dict[str, Any], job: Job, figures: dict[str, Any]) -> None:
    """Put what was measured in the place of what was measured before."""
    of_set = results.setdefault("sets", {}).setdefault(job.set, {"rankers": {}})
    of_set["input"], of_set["protocol"] = figures["input"], figures["protocol"] | {"text": True}
    measured = figures["rankers"][job.ranker] | {"date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")}
    of_set["rankers"][job.ranker] = measured


def machine() -> dict[str, str]:
    """What the figures were measured with."""
    packages = ("numpy", "river", "torch", "transformers", "faust-streaming")
    return {"cpu": _cpu(), "python": platform.python_version()} | {name: version(name) for name in packages}


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} × {models[0] if models else platform.machine()}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(prog="quality", description=__doc__)
    parser.add_argument(
        "--set", action="append", choices=datasets.SETS, help="only this set, and again another"
    )
    parser.add_argument(
        "--only", action="append", metavar="RANKER", help="only this ranker, and again another"
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FOLDER", help="where results are kept"
    )
    chosen = parser.parse_args(arguments)
    console = Console()
    file = chosen.results / "quality.json"
    results: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    wanted = jobs(chosen.set or list(datasets.SETS), chosen.only or [])
    if not wanted:
        parser.error(f"no ranker is called {' or '.join(chosen.only)} on these sets")
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        running = {pool.submit(measure, job): job for job in wanted}
        for done in as_completed(running):
            job = running[done]
            keep(results, job, done.result())
            rate = results["sets"][job.set]["rankers"][job.ranker]["all"]["hr"]["mean"]
            console.print(f"{job.set}: {job.ranker} {rate:.4f}")
            results["machine"] = machine()
            chosen.results.mkdir(exist_ok=True)
            file.write_text(json.dumps(results, indent=1) + "\n")
    file.with_suffix(".md").write_text(page(results))
    console.print(f"written to {file.with_suffix('.md')}")


if __name__ == "__main__":
    try:
        main()
    except AfreshError as error:
        sys.exit(str(error))
