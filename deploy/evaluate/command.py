"""The command ``afresh evaluate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

PIPE_WIDTH = 200
"""Columns of the tables when stdout is a pipe. With rich's default of 80 the tables would break."""


def evaluate(
    events: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Events as JSON lines, as replay takes them; also gzipped; - reads standard input.",
        ),
    ] = None,
    items: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The catalogue, as the items command takes it. A line without a time is known before all events.",
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A named set instead: ml-100k, ml-1m, films or arts-office.")
    ] = None,
    links: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Links of accounts as JSON lines, as producers send them; each is known from its time on.",
        ),
    ] = None,
    start: Annotated[
        float, typer.Option("--from", help="Share of the events after which evaluation begins.")
    ] = 0.5,
    k: Annotated[int, typer.Option("--k", min=1, max=500, help="How many items of a list count.")] = 10,
    cut: Annotated[
        int | None, typer.Option(min=1, help="Use only the first N events.", show_default="all")
    ] = None,
    refresh: Annotated[
        int,
        typer.Option(
            min=1,
            help="Events taken in together. Items and weights lag by up to this many, as under load; 1 is exact.",
        ),
    ] = 1,
    keep_seen: Annotated[
        bool,
        typer.Option(
            "--keep-seen",
            help="Also list items that the user has had, whatever AFRESH_LEAVE_OUT says.",
        ),
    ] = False,
    diversity: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="How strongly lists avoid items that are alike; see AFRESH_DIVERSITY."
        ),
    ] = 0.0,
    exploration: Annotated[
        float,
        typer.Option(
            min=0,
            max=0.5,
            help="Share of a list's places for new items; see AFRESH_EXPLORATION. --lists then writes propensities.",
        ),
    ] = 0.0,
    no_text: Annotated[
        bool, typer.Option("--no-text", help="Ignore titles, texts and attributes of the items.")
    ] = False,
    baselines: Annotated[
        str, typer.Option(help="Baselines to compare with, separated by commas.", show_default="none")
    ] = "",
    lists: Annotated[
        Path | None,
        typer.Option(
            help="Write the list served before each event to this file, gzipped if its name ends in .gz."
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write all figures to this file.")] = None,
) -> None:
    """Measure, without any server, the lists that would have been served before each event of a log."""
    # Imported here because `afresh --help` must not wait for torch.
    from rich.console import Console

    from afresh.deploy.evaluate.session import EvaluateOptions, run

    if not 0 <= start < 1:
        raise typer.BadParameter(f"{start:g} is not in the range 0 <= x < 1", param_hint="--from")
    if (events is None) == (data is None):
        raise typer.BadParameter(
            "name a file of events, or a set with --data, and not both", param_hint="--events"
        )
    if data is not None and items is not None:
        raise typer.BadParameter("a named set has its own items", param_hint="--items")
    names = tuple(name.strip() for name in baselines.split(",") if name.strip())
    options = EvaluateOptions(
        events=events,
        items=items,
        data=data,
        links=links,
        start=start,
        k=k,
        cut=cut,
        refresh=refresh,
        keep_seen=keep_seen,
        diversity=diversity,
        exploration=exploration,
        no_text=no_text,
        baselines=names,
        lists=lists,
        json=json,
    )
    run(options, Console(width=None if sys.stdout.isatty() else PIPE_WIDTH), Console(stderr=True))
