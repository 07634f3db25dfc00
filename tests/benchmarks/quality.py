"""Accuracy of afresh and the baselines on the named sets: ``python -m tests.benchmarks.quality``.

Every ranker runs over every set in the loop of ``afresh evaluate``, in a process of its own. There is one exception:
afresh without a family of its scorers runs together with the whole of afresh. The last half of a set is reported.

The figures of a ranker are written to ``results/quality.json.gz`` as soon as it is measured, and figures of earlier
measurements are kept. So one set or one ranker can be measured again alone, and an abort loses only the rankers at
work. The file keeps the figures of the page and their intervals. ``results/quality.md`` is generated from them and
from ``results/method.md``, which is written by hand.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import shutil
import subprocess
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

from afresh.deploy.datasets import sets
from afresh.deploy.evaluate import baseline
from afresh.deploy.evaluate.session import OURS, EvaluateOptions, Evaluation
from afresh.models import scorers
from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings
from tests.benchmarks.quality_report import NO_TEXT, WITHOUT, needed, page

RESULTS = Path(__file__).parent / "results"
FIGURES, PAGE = "quality.json.gz", "quality.md"
METHOD = RESULTS / "method.md"
"""Text, written by hand: how each ranker was tuned, and what was tried."""

REFRESH = 100
"""Events taken in together. With 1 the lists would be exact, but cost three times as much."""

BASELINES = (
    "popularity",
    "popularity_decayed",
    "item_knn",
    "isgd",
    "biased_mf",
    "funk_mf",
    "sasrec",
    "sequence",
)
"""The later ones take longer."""

ABLATED = "ml-100k"
"""The set on which afresh is also measured without each family of its scorers."""

FAMILIES = {", ".join(scorer.priors): tuple(scorer.priors) for scorer in scorers.SCORERS}
"""Families of scorers that share their work. They are left out together, because within a family the scorers say nearly
the same."""

PROCESSES = 2


@dataclass(frozen=True)
class Job:
    """Rankers to measure on a set, all in one pass."""

    set: str
    rankers: tuple[str, ...]


def jobs(sets: Sequence[str], only: Sequence[str]) -> list[Job]:
    """Return everything to measure; the longest job of each set comes first."""
    made = []
    for name in sets:
        ours = (OURS, *(f"{WITHOUT}{family}" for family in FAMILIES if name == ABLATED))
        for together in (ours, (NO_TEXT,), *((each,) for each in reversed(BASELINES))):
            wanted = tuple(each for each in together if not only or each in only)
            if wanted:
                made.append(Job(name, wanted))
    return made


def measure(job: Job) -> dict[str, Any]:
    """Measure rankers on a set; return the figures that ``afresh evaluate`` writes."""
    options = EvaluateOptions(None, None, job.set, refresh=REFRESH, no_text=NO_TEXT in job.rankers)
    # One thread, as in a worker. With more, two rankers at once would wait for each other's threads.
    with threadpool_limits(1):
        evaluation = Evaluation.load(options, Settings(), Progress(disable=True))
        _run(evaluation, job)
    return evaluation.figures()


def _run(evaluation: Evaluation, job: Job) -> None:
    (first, *_) = job.rankers
    if first in BASELINES:
        evaluation.run_baseline(first, baseline.find(first))
    else:
        evaluation.run_ours({each: FAMILIES.get(each.removeprefix(WITHOUT), ()) for each in job.rankers})


def keep(results: dict[str, Any], job: Job, figures: dict[str, Any]) -> None:
    """Replace the earlier figures of the job's rankers with the new ones."""
    of_set = results.setdefault("sets", {}).setdefault(job.set, {"rankers": {}})
    of_set["input"], of_set["protocol"] = figures["input"], figures["protocol"] | {"text": True}
    when = {"date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), "commit": commit()}
    of_set["rankers"] |= {name: needed(each | when) for name, each in figures["rankers"].items()}


def write(results: dict[str, Any], folder: Path) -> None:
    """Write the figures, and the page generated from them."""
    folder.mkdir(parents=True, exist_ok=True)
    results["machine"] = machine()
    (folder / FIGURES).write_bytes(pack(results))
    (folder / PAGE).write_text(page(results, METHOD.read_text()))


def pack(results: dict[str, Any]) -> bytes:
    """Pack the figures; equal figures give equal bytes.

    The sets and the facts of the machine are stored as pairs, because the page shows them in their order. All other
    keys are sorted.
    """
    pairs = {name: list(results[name].items()) for name in ("machine", "sets")}
    return gzip.compress(json.dumps(pairs, sort_keys=True, separators=(",", ":")).encode(), mtime=0)


def unpack(packed: bytes) -> dict[str, Any]:
    """Unpack the figures."""
    return {name: dict(pairs) for name, pairs in json.loads(gzip.decompress(packed)).items()}


def commit() -> str:
    """Return the commit of the checkout; "" if there is no git."""
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "-C", str(RESULTS.parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def machine() -> dict[str, str]:
    """Return the CPU, and the versions of Python and packages, that the figures are measured with."""
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
        "--set", action="append", choices=sets.SETS, help="measure only this set; may be repeated"
    )
    parser.add_argument(
        "--only", action="append", metavar="RANKER", help="measure only this ranker; may be repeated"
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FOLDER", help="folder of the results"
    )
    chosen = parser.parse_args(arguments)
    console = Console()
    file = chosen.results / FIGURES
    results = unpack(file.read_bytes()) if file.exists() else {}
    wanted = jobs(chosen.set or list(sets.SETS), chosen.only or [])
    if not wanted:
        parser.error(f"no ranker is called {' or '.join(chosen.only)} on these sets")
    failed = []
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        running = {pool.submit(measure, job): job for job in wanted}
        for done in as_completed(running):
            job = running[done]
            if error := done.exception():
                failed.append(f"{job.set}, {' and '.join(job.rankers)} ({error})")
                continue
            keep(results, job, done.result())
            write(results, chosen.results)
            for ranker in job.rankers:
                rate = results["sets"][job.set]["rankers"][ranker]["all"]["hr"]["mean"]
                console.print(f"{job.set}: {ranker} {rate:.4f}")
    if failed:
        raise AfreshError(f"not measured: {'; '.join(failed)}; everything else is in {file}")
    console.print(f"written to {chosen.results / PAGE}")


if __name__ == "__main__":
    try:
        main()
    except AfreshError as error:
        sys.exit(str(error))
