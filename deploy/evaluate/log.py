"""The log to evaluate on: events and items as ``afresh replay`` and ``afresh items`` would feed them."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from afresh.state.errors import AfreshError
from afresh.state.identities import Identities
from afresh.state.keys import key_of
from afresh.state.records import POSITIVE, Interaction
from afresh.state.rows.received import ReceivedWindow
from afresh.state.rows.users import RECENT_EVENTS
from afresh.streams.checks import RefusedError, check_event, check_item, decode, milliseconds
from afresh.streams.kafka.sender import partition_of
from afresh.streams.messages import AwareTime, Integer, Item
from afresh.streams.settings import Settings
from afresh.streams.stages.ingest import interaction_of


class _Timed(msgspec.Struct):
    """When an item was announced, where its line says so."""

    time: AwareTime | Integer | None = None


_timed_decoder = msgspec.json.Decoder(_Timed)


@dataclass(frozen=True)
class Announcement:
    """An item, and from when on it is known.

    Attributes
    ----------
    time
        In ms; None: before all events.
    item
        The item.
    """

    time: int | None
    item: Item


@dataclass
class Log:
    """What an evaluation goes through, in order.

    Attributes
    ----------
    interactions
        The events that ingest would have taken in.
    announcements
        The items, in the order in which they become known.
    refused
        Lines left out, by reason.
    duplicates
        Events left out because their id had come before.
    """

    interactions: list[Interaction] = field(default_factory=list)
    announcements: list[Announcement] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0

    @property
    def positives(self) -> int:
        """Interactions in which a user took an item."""
        return sum(each.type in POSITIVE for each in self.interactions)


def read_log(
    settings: Settings,
    events: Iterable[bytes],
    items: Iterable[bytes] = (),
    *,
    cut: int | None = None,
    identities: Identities | None = None,
) -> Log:
    """Read a log, checking every line as ingest and content do.

    Parameters
    ----------
    settings
        Limits, and how many partitions there are.
    events, items
        Lines of JSON.
    cut
        Take in only so many events.
    identities
        Links between users of platforms.

    Raises
    ------
    AfreshError
        If there is no event in which a user took an item.
    """
    log = Log()
    _read_items(log, settings, items)
    _read_events(log, settings, events, cut, identities or Identities())
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


def _read_events(
    log: Log, settings: Settings, lines: Iterable[bytes], cut: int | None, identities: Identities
) -> None:
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
        interaction = interaction_of(event, identities, partition, offset, milliseconds(event.time))
        # What ingest drops, and what profile drops of a user who sends from several platforms.
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
    # sorted() is stable: of two announcements of one item at one time the later line stands.
    log.announcements.sort(key=lambda each: float("-inf") if each.time is None else each.time)
