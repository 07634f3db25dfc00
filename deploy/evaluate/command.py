"""The command ``afresh evaluate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

PIPE_WIDTH = 200
"""At the 80 columns that rich takes for a pipe, tables would break."""


def evaluate(
    events: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="JSON lines as for replay, also gzipped; - reads standard input."),
    ] = None,
    items: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The catalogue, as for items; a line may say its time, else it is known first.",
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A named set instead: ml-100k, ml-1m, films or arts-office.")
    ] = None,
    start: Annotated[
        float, typer.Option("--from", help="Share of the events after which evaluation begins.")
    ] = 0.5,
    k: Annotated[int, typer.Option("--k", min=1, max=500, help="Items of a list that count.")] = 10,
    cut: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many events.", show_default="all")
    ] = None,
    refresh: Annotated[
        int,
        typer.Option(
            min=1,
            help="Events taken in together: items and weights lag by up to so many, as under load; 1 is exact.",
        ),
    ] = 1,
    keep_seen: Annotated[
        bool,
        typer.Option(
            "--keep-seen",
            help="Leave items in a user's lists that the user has had, whatever AFRESH_LEAVE_OUT says.",
        ),
    ] = False,
    diversity: Annotated[
        float,
        typer.Option(min=0, max=1, help="How far lists avoid items that are alike, as AFRESH_DIVERSITY."),
    ] = 0.0,
    exploration: Annotated[
        float,
        typer.Option(
            min=0,
            max=0.5,
            help="Share of the places of a list given to new items, as AFRESH_EXPLORATION; --lists tells propensities.",
        ),
    ] = 0.0,
    no_text: Annotated[
        bool, typer.Option("--no-text", help="Withhold titles, texts and attributes of the items.")
    ] = False,
    baselines: Annotated[
        str, typer.Option(help="Baselines to run beside, with commas between.", show_default="none")
    ] = "",
    lists: Annotated[
        Path | None, typer.Option(help="Write the list served before each event, gzipped if it ends in .gz.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write all figures here.")] = None,
) -> None:
    """Judge the lists that would have been served before each event of a log, without any server."""
    # Imported here: `afresh --help` must not wait for torch.
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
