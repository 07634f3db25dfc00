"""The log to evaluate on: events and items, checked as if ``afresh replay`` and ``afresh items`` had fed them."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from afresh.deploy.evaluate.people import KnownLink
from afresh.state.errors import AfreshError
from afresh.state.keys import key_of
from afresh.state.records import POSITIVE, Interaction
from afresh.state.rows.content import text_for_encoder
from afresh.state.rows.received import ReceivedWindow
from afresh.state.rows.users import RECENT_EVENTS
from afresh.streams.checks import RefusedError, check_event, check_item, decode
from afresh.streams.generous import GenerousDecoder, read_time
from afresh.streams.kafka.sender import partition_of
from afresh.streams.links import check_link, decode_link, key_of_link
from afresh.streams.messages import AwareTime, Integer, Item
from afresh.streams.settings import Settings
from afresh.streams.stages.ingest import interaction_of
from afresh.streams.times import milliseconds


class _Timed(msgspec.Struct):
    """Time of an item's line; None if the line has none."""

    time: AwareTime | Integer | None = None


_timed_decoder = GenerousDecoder(msgspec.json.Decoder(_Timed), mend={"time": read_time})


@dataclass(frozen=True)
class Announcement:
    """An item, and the time from which it is known.

    Attributes
    ----------
    time
        Time in ms; None if the item is known before all events.
    item
        The item.
    """

    time: int | None
    item: Item


@dataclass
class Log:
    """What an evaluation runs over, in order.

    Attributes
    ----------
    interactions
        The interactions that ingest would make of the events.
    announcements
        The items, in the order in which they become known.
    links
        The links of accounts, in the order in which they become known.
    refused
        Number of lines left out, by reason.
    duplicates
        Number of events left out because an event with their id came before.
    """

    interactions: list[Interaction] = field(default_factory=list)
    announcements: list[Announcement] = field(default_factory=list)
    links: list[KnownLink] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0

    @property
    def positives(self) -> int:
        """Number of interactions in which a user took an item."""
        return sum(each.type in POSITIVE for each in self.interactions)

    def texts(self, template: str) -> Iterator[str]:
        """Yield the text of each item as the encoder reads it; empty if it has none."""
        for each in self.announcements:
            yield text_of(each.item, template)


def text_of(item: Item, template: str) -> str:
    """Return the text of an item as the encoder reads it; empty if it has none."""
    return text_for_encoder(item.title, item.text, item.attributes, template)


def read_log(
    settings: Settings,
    events: Iterable[bytes],
    items: Iterable[bytes] = (),
    links: Iterable[bytes] = (),
    *,
    cut: int | None = None,
) -> Log:
    """Read a log, and check every line as the stages ingest, content and link do.

    Parameters
    ----------
    settings
        Limits of the checks, and the number of partitions.
    events, items, links
        Lines of JSON; a link is known from its time on.
    cut
        Greatest number of events to take in; None for all.

    Raises
    ------
    AfreshError
        If no event is one in which a user took an item.
    """
    log = Log()
    _read_items(log, settings, items)
    _read_links(log, settings, links)
    _read_events(log, settings, events, cut)
    if not log.positives:
        raise AfreshError(_nothing(log))
    return log


def _nothing(log: Log) -> str:
    if log.refused:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(log.refused.items()))
        return f"no event can be evaluated: lines were refused ({reasons}); `afresh replay` takes the same format"
    if log.interactions:
        return f"no event can be evaluated: none is positive ({', '.join(sorted(POSITIVE))})"
    return "no event can be evaluated: the log is empty"


def _read_events(log: Log, settings: Settings, lines: Iterable[bytes], cut: int | None) -> None:
    now = int(time.time() * 1000)
    windows: defaultdict[int, ReceivedWindow] = defaultdict(
        lambda: ReceivedWindow({}, settings.deduplication_window)
    )
    recent: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=RECENT_EVENTS))
    for offset, line in enumerate(lines):
        if cut is not None and len(log.interactions) == cut:
            break
        try:
            event = check_event(line, now, settings)
        except RefusedError as error:
            log.refused[error.reason] += 1
            continue
        partition = partition_of(f"{event.platform}:{event.user}".encode(), settings.partitions)
        moment = milliseconds(event.time)
        interaction = interaction_of(event, moment, partition, offset, received=moment)
        # Ingest drops an id that its partition has seen, and profile one that the user's row remembers.
        if not windows[partition].remember(key_of(event.id)) or event.id in recent[interaction.user]:
            log.duplicates += 1
            continue
        recent[interaction.user].append(event.id)
        log.interactions.append(interaction)


def _read_items(log: Log, settings: Settings, lines: Iterable[bytes]) -> None:
    for line in lines:
        try:
            item = check_item(line, settings)
            moment = decode(_timed_decoder, line).time
        except RefusedError as error:
            log.refused[error.reason] += 1
            continue
        log.announcements.append(Announcement(None if moment is None else milliseconds(moment), item))
    # The sort is stable. If one item is announced twice at the same time, the later line must win.
    log.announcements.sort(key=lambda each: float("-inf") if each.time is None else each.time)


def _read_links(log: Log, settings: Settings, lines: Iterable[bytes]) -> None:
    for line in lines:
        try:
            link = decode_link(line)
            told = check_link(key_of_link(*link.accounts), line, settings)
        except RefusedError as error:
            log.refused[error.reason] += 1
            continue
        log.links.append(KnownLink(milliseconds(link.time), told))
    log.links.sort(key=lambda each: each.time)
