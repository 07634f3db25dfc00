"""The command ``afresh demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

INTERRUPTED = 130


def demo(
    data: Annotated[
        str,
        typer.Option(help="What to play: ml-100k, or films, where people link accounts of two platforms."),
    ] = "ml-100k",
    events: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many events.", show_default="all")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="Events a second.", show_default="as fast as possible")
    ] = None,
    summary: Annotated[Path | None, typer.Option(help="Also write the final figures here, as JSON.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep serving afterwards, until Ctrl-C.")] = False,
    users_at_once: Annotated[
        int, typer.Option(min=1, help="How many users may wait for their new list at the same time.")
    ] = 64,
    open_loop: Annotated[
        bool, typer.Option("--open-loop", help="Send without waiting for new lists; nothing is judged.")
    ] = False,
    prometheus: Annotated[
        bool,
        typer.Option("--prometheus", help="Also run a Prometheus, with the alerts, and print its address."),
    ] = False,
    picture: Annotated[Path | None, typer.Option(hidden=True, help="Write the last panel as SVG.")] = None,
) -> None:
    """Watch a recommender learn from 100,000 real events, through real servers."""
    # Imported here: at the top, the clients of Kafka and Redis would slow `afresh --help`.
    from rich.console import Console

    from afresh.deploy.demo.session import DemoOptions, run
    from afresh.deploy.demo.stopping import Stop
    from afresh.deploy.demo.summary import require_writable
    from afresh.deploy.demo.workers import WorkerDied

    for file in (summary, picture):
        if file:
            require_writable(file)
    options = DemoOptions(data, events, speed, summary, keep, users_at_once, open_loop, prometheus, picture)
    try:
        with Stop() as stop:
            run(options, Console(), stop)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except WorkerDied as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
