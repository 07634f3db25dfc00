"""The command ``afresh``. An error that has a sentence is that sentence on stderr, and status 2 or 75."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from afresh.deploy.demo.command import demo
from afresh.deploy.early import leaving_early
from afresh.deploy.evaluate.command import evaluate
from afresh.state.encoders import THRESHOLD
from afresh.state.people import Sign

if TYPE_CHECKING:
    from rich.console import Console

    from afresh.streams.settings import Settings

PIPE_WIDTH = 200

# The commands import the modules that need Kafka, Redis, torch or Faust: at the top they would slow `afresh --help`.


class Commands(TyperGroup):
    """Commands that report their errors as sentences."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an error that has a sentence ends it with that sentence, and status 2 or 75."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            from afresh.deploy.errors import explain, status_of

            sentence = explain(error)
            if sentence is None:
                raise
            typer.echo(f"afresh: {sentence}", err=True)
            raise typer.Exit(status_of(error)) from error


app = typer.Typer(
    cls=Commands,
    help="A streaming recommender that learns while it serves.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
topics_app = typer.Typer(no_args_is_help=True, help="Create the topics, or check them against the settings.")
app.add_typer(topics_app, name="topics", epilog="Example: afresh topics check")
embeddings_app = typer.Typer(
    no_args_is_help=True, help="Change the encoder of all texts, look how far it is, and ask for a vector."
)
app.add_typer(embeddings_app, name="embeddings", epilog="Example: afresh embeddings status")
app.command(epilog="Example: afresh demo --events 20000 --speed 50")(demo)
app.command(
    epilog="Example: afresh evaluate --events events.jsonl.gz --items items.jsonl --lists lists.jsonl.gz"
)(evaluate)


@app.command(epilog="Example: AFRESH_KAFKA=kafka:9092 AFRESH_REDIS=redis://redis:6379/0 afresh worker")
def worker() -> None:
    """Take in events, learn from them, and keep the lists in Redis up to date; SIGTERM ends it."""
    with leaving_early():
        from afresh.streams.workers.stream import run

        run(_settings())


@app.command(epilog="Example: AFRESH_ENCODER=minilm afresh embed-worker")
def embed_worker() -> None:
    """Turn the texts of items into embeddings, on a GPU if there is one; SIGTERM ends it."""
    with leaving_early():
        from afresh.streams.workers.embed import run

        run(_settings())


@app.command(epilog="Example: AFRESH_MODEL=worker afresh model-worker")
def model_worker() -> None:
    """Make what relates all items, once for all workers, where AFRESH_MODEL is 'worker'; SIGTERM ends it."""
    with leaving_early():
        from afresh.streams.workers.model import run

        run(_settings())


@app.command(epilog="Example: AFRESH_PARTITIONS=8 afresh settings")
def settings(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the reference page, without values.")
    ] = False,
) -> None:
    """Print every setting with its value (secrets masked), default and meaning."""
    from afresh.deploy.settings_table import settings_markdown, settings_table

    if markdown:
        typer.echo(settings_markdown(), nl=False)
    else:
        _console().print(settings_table(_settings()))


@topics_app.command(epilog="Example: AFRESH_PARTITIONS=8 AFRESH_REPLICATION=3 afresh topics create")
def create() -> None:
    """Create the topics that are missing, and bring settings of the others up to date where this deletes nothing."""
    from afresh.streams.kafka.admin import create_topics, set_topics

    values = _settings()
    for name in create_topics(values):
        typer.echo(f"created {name}")
    for name in set_topics(values):
        typer.echo(f"changed the settings of {name}")
    _check(values)


@topics_app.command(epilog="Example: afresh topics check")
def check() -> None:
    """Name every difference between the topics and the settings, and what is not safe; status 1 if there is one."""
    _check(_settings())


@app.command(epilog="Example: zcat events.jsonl.gz | afresh replay - --speed 500 --from 2026-11-01T00:00:00Z")
def replay(
    file: Annotated[str, typer.Argument(help="JSON lines, also gzipped; - reads standard input.")],
    speed: Annotated[str, typer.Option(help="Events a second, or max.")] = "max",
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Send events from this time on, RFC 3339 or ms."),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Send events before this time, RFC 3339 or ms.")
    ] = None,
) -> None:
    """Send events to Kafka; the events of one user stay in order."""
    from afresh.deploy.feeds import replay as feeds

    since, until = (None if text is None else feeds.parse_time(text) for text in (from_, to))
    fed = feeds.replay(_settings(), file, speed=_speed(speed), since=since, until=until)
    typer.echo(fed.words("events"))
    raise typer.Exit(1 if fed.too_large else 0)


@app.command(epilog="Example: afresh items catalogue.jsonl")
def items(
    file: Annotated[str, typer.Argument(help="JSON lines, also gzipped; - reads standard input.")],
) -> None:
    """Send the catalogue to Kafka; an item replaces the item with the same id."""
    from afresh.deploy.feeds import replay as feeds

    fed = feeds.feed_items(_settings(), file)
    typer.echo(fed.words("items"))
    raise typer.Exit(1 if fed.too_large or fed.left_out else 0)


@app.command(epilog="Example: afresh recommend web:ann --domain books")
def recommend(
    user: Annotated[str, typer.Argument(help="An account, platform:user, or a canonical user.")],
    domain: Annotated[
        str | None, typer.Option(help="Show this domain's popular items if the user has no list.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the JSON as Redis holds it.")] = False,
) -> None:
    """Print a user's list as an application reads it."""
    from afresh.deploy.recommend import find, ranking_table

    found = find(_settings(), user, domain)
    if not found.personal:
        typer.echo(f"no list for {user!r} yet; this is what is popular in {domain!r}", err=True)
    if json:
        typer.echo(found.json)
    else:
        _console().print(ranking_table(found))


@app.command(epilog="Example: afresh link web:ann app:7")
def link(
    one: Annotated[str, typer.Argument(help="An account, platform:user.")],
    other: Annotated[str, typer.Argument(help="Another account of the same person.")],
    kind: Annotated[Sign, typer.Option(help="How it is known.")] = "login",
    confidence: Annotated[float, typer.Option(min=0, max=1, help="Probability that it is so.")] = 1.0,
) -> None:
    """Say that two accounts are one person's: both get the list of all that the person did."""
    from afresh.deploy.people import link as send

    send(_settings(), one, other, kind, confidence)
    typer.echo(f"linked; `afresh who {one}` shows it")


@app.command(epilog="Example: afresh unlink web:ann app:7")
def unlink(
    one: Annotated[str, typer.Argument(help="An account, platform:user.")],
    other: Annotated[str, typer.Argument(help="The account that it was linked with.")],
) -> None:
    """End the link of two accounts; what has left the history stays with both."""
    from afresh.deploy.people import unlink as send

    send(_settings(), one, other)
    typer.echo(f"unlinked; `afresh who {one}` shows it")


@app.command(epilog="Example: afresh who web:ann")
def who(
    account: Annotated[str, typer.Argument(help="An account, platform:user.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print which person an account belongs to, by which links, and which links do not count and why."""
    from afresh.deploy.people import as_json, people_table, read_people

    people = read_people(_settings())
    if json:
        typer.echo(as_json(people, account))
    else:
        _console().print(people_table(people, account))


@app.command(epilog="Example: afresh suggest --every 60")
def suggest(
    every: Annotated[
        float | None,
        typer.Option(
            min=1,
            metavar="MINUTES",
            help="Go on until SIGTERM, with so many minutes of rest between two runs, and a page of metrics.",
        ),
    ] = None,
) -> None:
    """Suggest which accounts may be one person's, on `identities.suggested`; nobody is merged by that."""
    if every is not None:
        with leaving_early():
            from afresh.deploy.suggesting import keep_suggesting

            keep_suggesting(_settings(), 60 * every)
    from afresh.deploy.suggest import suggest_links

    typer.echo(suggest_links(_settings()).words())


@app.command(epilog="Example: afresh top web:ann | grep ^list")
def top(
    user: Annotated[str, typer.Argument(help="An account, platform:user, or a canonical user.")],
) -> None:
    """Show the events and the lists of a user as they happen, until Ctrl-C."""
    from afresh.deploy.demo.stopping import Stop
    from afresh.deploy.top import open_sources, watch

    values = _settings()
    with suppress(KeyboardInterrupt), Stop() as stop, open_sources(values, user) as opened, stop.later():
        watch(user, opened.look, _console(), stop.check)


@app.command(epilog="Example: afresh ledger --events events.jsonl.gz --wait 60")
def ledger(
    events: Annotated[
        str | None,
        typer.Option(help="The events that were sent: JSON lines, also gzipped; - reads standard input."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAMESPACE", help="Namespace of another deployment of the same events, to compare with."
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Wait at most this long for the backlog to empty.")
    ] = 0.0,
    json: Annotated[Path | None, typer.Option("--json", help="Also write the report to this file.")] = None,
) -> None:
    """Prove from Kafka and Redis alone that every event was counted once; exit with status 1 on a difference."""
    from afresh.deploy.ledger import audit, report_table

    report = audit(_settings(), events=events, against=against, wait_seconds=wait)
    if json is not None:
        json.write_bytes(report.as_json())
    _console().print(report_table(report))
    raise typer.Exit(1 if report.differences else 0)


@app.command(epilog="Example: afresh status --json | jq .judged.rates.all")
def status(
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON instead of tables.")] = False,
    again: Annotated[bool, typer.Option("--watch", help="Show it again every 2 s, until Ctrl-C.")] = False,
) -> None:
    """Show a deployment: its backlog, its workers, the accuracy of its lists, drift and rollbacks."""
    from afresh.deploy.status import look, tables, watch

    values = _settings()
    if again:
        if json:
            raise typer.BadParameter("--watch shows tables only", param_hint="--json")
        watch(lambda: look(values), _console())
        return
    found = look(values)
    if json:
        typer.echo(found.as_json())
        return
    for each in tables(found):
        _console().print(each)


@embeddings_app.command(epilog="Example: afresh embeddings refresh --encoder universal")
def refresh(
    encoder: Annotated[str, typer.Option(help="The encoder, as AFRESH_ENCODER names it.")],
    threshold: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the items at which lists change over to it."),
    ] = THRESHOLD,
) -> None:
    """Have all texts read by another encoder in the background; lists change over to it once it has read enough."""
    from afresh.deploy.embeddings import refresh as plan

    found = plan(_settings(), encoder, threshold)
    typer.echo(f"version {found.version} of {found.name} reads all texts; look at: afresh embeddings status")


@embeddings_app.command(epilog="Example: afresh embeddings use 0f3a1b2c4d5e")
def use(
    version: Annotated[str, typer.Argument(help="A version that afresh embeddings status shows.")],
) -> None:
    """Have lists made from a version of an encoder, such as the one before."""
    from afresh.deploy.embeddings import use as plan

    found = plan(_settings(), version)
    typer.echo(
        f"lists change over to version {found.version} of {found.name}; look at: afresh embeddings status"
    )


@embeddings_app.command("status", epilog="Example: afresh embeddings status")
def embeddings_status() -> None:
    """Show the versions of encoders: what they have read, which one lists are made from, and the time left."""
    from afresh.deploy.embeddings import look, show

    for each in show(look(_settings())):
        _console().print(each)


@embeddings_app.command(epilog='Example: afresh embeddings vector "a quiet film about the sea"')
def vector(
    text: Annotated[str, typer.Argument(help="The text.")],
    kind: Annotated[Literal["query", "document"], typer.Option(help="What the text is.")] = "query",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all numbers.")] = False,
) -> None:
    """Ask the embed workers for the vectors of a text, and show how soon they answer."""
    import json

    from afresh.deploy.embeddings.vector import ask, lines, records

    found = ask(_settings(), text, kind)
    if as_json:
        typer.echo(json.dumps(records(found)))
    else:
        for line in lines(found):
            typer.echo(line)


@app.command(epilog="Example: afresh rollback")
def rollback() -> None:
    """Take the fusion's weights back to the last good snapshot, or to popularity if they just went back."""
    from afresh.deploy.rollback import roll_back

    roll_back(_settings())
    typer.echo("the weights go back; look at: afresh status")


def _settings() -> Settings:
    from afresh.streams.connections import warnings
    from afresh.streams.settings import Settings

    values = Settings()
    for warning in warnings(values):
        typer.echo(f"afresh: warning: {warning}", err=True)
    return values


def _check(values: Settings) -> None:
    from afresh.streams.kafka.admin import check_topics
    from afresh.streams.kafka.safety import check_safety, unseen
    from afresh.streams.topics import Topics

    differences = [*check_topics(values), *check_safety(values)]
    for note in unseen(values):
        typer.echo(f"afresh: warning: {note}", err=True)
    for difference in differences:
        typer.echo(difference)
    if differences:
        raise typer.Exit(1)
    typer.echo(f"all {len(Topics(values).all())} topics are right")


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise typer.BadParameter(f"{text!r} is not a number above 0, nor 'max'", param_hint="--speed")
    return speed


def _console() -> Console:
    from rich.console import Console

    # rich assumes 80 columns for a pipe: values would break over lines and grep would miss them.
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def main() -> None:
    """Run the command ``afresh``."""
    # kafka-python logs every retry; our one sentence says the same.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        app()
    finally:
        _flush()


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes again when it exits, and would print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
