"""Random schedules: ``make chaos ARGS="--minutes 30 --seed N"``."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from afresh.state.errors import AfreshError
from afresh.streams.settings import INLINE
from tests.chaos.faults import FAULTS, possible
from tests.chaos.pipeline import MOST_WORKERS, running_pipeline
from tests.chaos.schedule import endless
from tests.chaos.trial import Trial
from tests.kafka.cluster import NODES

DOWN_SECONDS = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run faults for some minutes, print the report, and return the exit status."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="minutes of faults")
    parser.add_argument("--seed", type=int, help="seed of the schedule; repeats it")
    parser.add_argument(
        "--brokers",
        type=int,
        default=1,
        choices=(1, NODES),
        help="brokers; with three, Redis has a replica and a Sentinel",
    )
    parser.add_argument(
        "--workers", type=int, default=2, choices=range(1, MOST_WORKERS - 1), help="workers besides guests"
    )
    parser.add_argument("--rate", type=float, default=50.0, help="events a second")
    parser.add_argument(
        "--only", action="append", choices=sorted(FAULTS), help="only this fault; repeat for more"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the logs in this folder")
    parser.add_argument(
        "--state", choices=["memory", "rocksdb"], default="memory", help="where workers keep their rows"
    )
    parser.add_argument(
        "--model", action="store_true", help="model workers make the model, and have faults of their own"
    )
    chosen = parser.parse_args(arguments)
    names = possible(chosen.brokers, model=chosen.model)
    if strangers := set(chosen.only or []).difference(names):
        pipeline_of = f"--brokers {chosen.brokers} {'with' if chosen.model else 'without'} --model"
        parser.error(f"{pipeline_of} has no {', '.join(sorted(strangers))}")
    seed = random.randrange(1_000_000) if chosen.seed is None else chosen.seed
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"seed {seed}: repeat with --seed {seed}")
    with TemporaryDirectory() as name:
        folder = chosen.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        model = "worker" if chosen.model else INLINE
        with running_pipeline(folder, chosen.workers, chosen.state, chosen.brokers, model=model) as pipeline:
            trial = Trial(pipeline, seed, chosen.rate, DOWN_SECONDS, console.print)
            report = trial.run(endless(seed, chosen.only or names), chosen.minutes * 60)
    console.print(report.summary())
    return 1 if report.failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AfreshError as error:
        sys.exit(str(error))
