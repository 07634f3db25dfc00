"""Sends events and items from JSON lines to Kafka. The keys keep a user's events in order.

Lines are sent as they are, byte for byte, less a byte-order mark. Checking them is the task of ingest, which keeps the
reason of a refusal.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from afresh.deploy.feeds.feed import Fed, FeedRecord, paced, sender
from afresh.deploy.feeds.lines import Lines, open_lines
from afresh.state.errors import AfreshError
from afresh.streams.generous import EVENTS, ITEMS
from afresh.streams.messages import Event
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic, Topics

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
REDRAW_SECONDS = 0.1

MALFORMED = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""Errors that decoding a line may raise: not JSON or not the schema, not UTF-8, nested too deep."""


def replay(
    settings: Settings,
    source: str,
    *,
    speed: float | None = None,
    since: int | None = None,
    until: int | None = None,
) -> Fed:
    """Send the events of a file in its order, keyed by ``platform:user``.

    Parameters
    ----------
    settings
        Give the address of Kafka and the name of the topic.
    source
        Path of a file of JSON lines, gzipped or not, or ``-`` for standard input.
    speed
        Events a second; None: as fast as Kafka accepts them.
    since, until
        Send only events with ``since <= time < until``, in ms. Malformed lines are then left out.

    Raises
    ------
    AfreshError
        If Kafka does not answer, if the topic is missing or wrong, or if sending fails.
    OSError
        If the file cannot be read.
    """
    fed = Fed()
    with open_lines(source) as lines:
        return _feed(
            settings, Topics(settings).events, lines, event_records(lines, fed, since, until), fed, speed
        )


def feed_items(settings: Settings, source: str) -> Fed:
    """Send the items of a file, keyed by their id; raises the errors of ``replay``.

    Malformed items are left out. A compacted topic refuses a record without a key, and a malformed item must not
    replace a good one.
    """
    fed = Fed()
    with open_lines(source) as lines:
        return _feed(settings, Topics(settings).items, lines, item_records(lines, fed), fed, None)


def event_records(
    lines: Iterable[bytes], fed: Fed, since: int | None = None, until: int | None = None
) -> Iterator[FeedRecord]:
    """Make a record of each event in a time range; the record of a malformed line has no key."""
    ranged = since is not None or until is not None
    for line in lines:
        try:
            event = EVENTS.decode(line)
            record = FeedRecord(f"{event.platform}:{event.user}".encode(), line)
        except MALFORMED:
            fed.malformed += 1
            wanted, record = not ranged, FeedRecord(None, line)
        else:
            wanted = not ranged or _within(event, since, until)
        if wanted:
            yield record
        else:
            fed.left_out += 1


def item_records(lines: Iterable[bytes], fed: Fed) -> Iterator[FeedRecord]:
    """Make a record of each item."""
    for line in lines:
        try:
            key = ITEMS.decode(line).id.encode()
        except MALFORMED:
            fed.malformed += 1
            fed.left_out += 1
        else:
            yield FeedRecord(key, line)


def parse_time(text: str) -> int:
    """Read an RFC 3339 time with an offset, or a number of milliseconds, as milliseconds since 1970.

    Raises
    ------
    AfreshError
        If the text is neither.

    Examples
    --------
    >>> parse_time("1970-01-01T01:00:01+01:00"), parse_time("1000")
    (1000, 1000)
    """
    try:
        return int(text)
    except ValueError:
        pass
    try:
        time_ = datetime.fromisoformat(text)
    except ValueError:
        time_ = datetime.min
    if time_.tzinfo is None:
        raise AfreshError(
            f"{text!r} is no time; write 2026-11-23T16:40:00Z or another offset, or milliseconds since 1970"
        )
    return _milliseconds(time_)


def _within(event: Event, since: int | None, until: int | None) -> bool:
    moment = event.time if isinstance(event.time, int) else _milliseconds(event.time)
    return (since is None or moment >= since) and (until is None or moment < until)


def _milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def _feed(
    settings: Settings,
    topic: Topic,
    lines: Lines,
    records: Iterator[FeedRecord],
    fed: Fed,
    speed: float | None,
) -> Fed:
    with sender(settings, topic, fed) as out:
        start = time.monotonic()
        for record in _shown(paced(records, speed), lines):
            out.send(record)
        out.wait_for_answers()
        fed.seconds = time.monotonic() - start
    return fed


def _shown(records: Iterator[FeedRecord], lines: Lines) -> Iterator[FeedRecord]:
    """Pass records on and show a progress bar if stderr is a terminal; the bar disappears at the end."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.fields[records]:,} records"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=lines.bytes, records=0)
        redraw = time.monotonic()
        for count, record in enumerate(records, start=1):
            yield record
            if not progress.disable and time.monotonic() >= redraw:
                progress.update(task, completed=lines.bytes_read, records=count)
                redraw = time.monotonic() + REDRAW_SECONDS
