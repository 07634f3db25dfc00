"""The command line of ``python -m afresh.deploy.monitoring``."""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

from afresh.deploy.monitoring.answers import Stretch, lines, prometheus, scrape_seconds
from afresh.deploy.monitoring.dashboards import DASHBOARDS
from afresh.deploy.monitoring.files import write
from afresh.deploy.monitoring.pictures import draw
from afresh.deploy.monitoring.rules import RUNBOOKS
from afresh.state.errors import AfreshError

BY_NAME = {each.name.removeprefix("afresh-"): each for each in DASHBOARDS}


def main() -> None:
    """Write all files, or draw a dashboard; an error that has a sentence is that sentence, and status 2 or 75."""
    parser = _parser()
    options = parser.parse_args()
    if options.command is None:
        write(options.folder, options.runbooks)
        return
    try:
        picture(options.prometheus, options.dashboard, options.minutes, options.out)
    except AfreshError as error:
        parser.exit(error.status, f"{parser.prog}: {error}\n")


def picture(address: str, dashboard: str, minutes: float, file: Path) -> None:
    """Draw a dashboard, of the last minutes, from what a Prometheus answers.

    Raises
    ------
    AfreshError
        If Prometheus does not answer or refuses, matplotlib is not installed, or the file cannot be written.
    """
    ask, now = prometheus(address), time.time()
    over = Stretch(now - 60 * minutes, now, scrape_seconds(ask))
    try:
        draw(BY_NAME[dashboard], partial(lines, ask, over), over, file)
    except OSError as error:
        raise AfreshError(f"{file}: {error.strerror}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="monitoring", description="Write the dashboards and the rules.")
    parser.add_argument(
        "--runbooks", default=RUNBOOKS, help="Address of the runbooks, for alerts to point to."
    )
    parser.add_argument("--folder", type=Path, default=Path("deploy"), help="Folder to write to.")
    one = parser.add_subparsers(dest="command").add_parser(
        "picture", help="Draw a dashboard with matplotlib, from what a Prometheus answers."
    )
    one.add_argument("--prometheus", default="http://127.0.0.1:9090", help="Address of the Prometheus.")
    one.add_argument("--dashboard", choices=BY_NAME, required=True, help="Which one.")
    one.add_argument("--minutes", type=_minutes, default=10.0, help="How long a stretch, up to now.")
    one.add_argument("--out", type=Path, required=True, help="PNG file to write.")
    return parser


def _minutes(text: str) -> float:
    if (minutes := float(text)) > 0:
        return minutes
    raise argparse.ArgumentTypeError(f"{text} is not above 0")
