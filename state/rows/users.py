"""User rows: the state of a user, which depends only on the user's own interactions. ``fold`` adds an interaction.

A row never depends on the Catalogue. So it can be recomputed, bit by bit, from the topic of interactions.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from afresh.models.arrays import Floats, Keys, Naturals
from afresh.models.layout import HISTORY
from afresh.state.keys import key_of
from afresh.state.records import (
    BOUGHT,
    EXAMPLE_VERSION,
    LIFTING,
    POSITIVE,
    REFUSED,
    Example,
    Interaction,
    LeaveOut,
)
from afresh.state.rows import details
from afresh.state.versions import unpack_known

USER_ROW_VERSION = 3

OLDEST_USER_ROW_VERSION = 2
"""Oldest version that is read. Version 1 belonged to other models, before the first release."""

RECENT_EVENTS = 24
"""Number of event ids remembered, so that an event that a producer sends twice, under two offsets, counts once.

Earlier programs remembered 32 in rows of the same version. Both programs read both lengths.
"""

SEEN_LIMIT = 4096
"""Number of items remembered, newest first, of each kind: taken before the history, refused, and bought."""

HOUR_MS = 3_600_000

HOURLY_EXAMPLES = 300
"""Number of items that a user may take within an hour as examples for others. More of them change only the user's own
lists."""

HOURLY_VOTES = 3
"""Number of these that may be one item: a view, a cart and a purchase."""

DOMAIN_LIMIT = 100
"""Number of domains that are counted. Producers choose their names, and a row must fit into a record batch."""

ACCOUNTS_LIMIT = 254
"""Number of accounts beside the row's own user that have an index. A person has fewer; see ``state.people``."""

KEY_BYTES, SEEN_BYTES = 8, 4
"""Bytes of the key of an event or an item, and of its lower half."""

_TIME_BYTES = 4
_LATEST_SECONDS = 2**32 - 1


class Departure(NamedTuple):
    """Something that left a row: by which move, what one account did or (an empty text) everything, and where to."""

    number: int
    account: str
    to: str


class UserRow(msgspec.Struct, array_like=True, gc=False):
    """State of a user.

    Attributes
    ----------
    version
        Version of this layout. Version 2 ended with ``bought``; its fold never lifted a refusal.
    since
        Time at which Kafka took the user's first event, in ms. A row that is made anew after a loss has a later one.
    revision
        Number of events folded in.
    last_event, last_time
        Id of the event folded in last, and the newest time of all events, in ms.
    items, times
        History: keys (uint64) of the newest items taken, and their times (uint32, seconds since 1970). The newest time
        comes first, whenever the event arrived; of equal times, the later arrival.
    events
        Keys (uint64) of the newest events, newest first.
    taken
        Number of items taken in all.
    seen
        Lower halves (uint32) of the keys of items that have left the history, newest first. With n of them another item
        counts as seen by mistake with probability n / 2³².
    refused, bought
        Lower halves, in the same way, of items disliked and of items bought, whether in the history or not.
    domains
        Number of interactions by domain, for the first ``DOMAIN_LIMIT`` domains. Their order gives their indices.
    hour, taught
        Newest hour, since 1970, in which the user took an item, and number of examples made in this hour.
    details
        How each item of the history was taken, newest first; see ``state.rows.details``.
    platforms
        First platforms on which the user took items; their order gives their indices.
    accounts
        Accounts beside the row's own user, by index from 1 on. An account that has left leaves an empty name.
    began
        Version of the program's rows when this one was begun. Of a row begun at an earlier one some is not known.
    to
        User whose row has got all that this one held, and gets what comes; empty if this one holds it itself.
    number
        Number of the newest move that the row has obeyed.
    left
        What has left the row, by rising numbers of the moves; only the newest.
    """

    version: int = USER_ROW_VERSION
    since: int = 0
    revision: int = 0
    last_event: str = ""
    last_time: int = 0
    items: bytes = b""
    times: bytes = b""
    events: bytes = b""
    taken: int = 0
    seen: bytes = b""
    refused: bytes = b""
    domains: dict[str, int] = {}
    hour: int = 0
    taught: int = 0
    bought: bytes = b""
    details: bytes = b""
    platforms: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    began: int = USER_ROW_VERSION
    to: str = ""
    number: int = 0
    left: list[Departure] = []

    def departure(self, account: str, number: int) -> Departure | None:
        """Return by which move first left what an account had done, after another move; None if it is still here.

        Parameters
        ----------
        account
            The account.
        number
            Number of the move by which it came here.
        """
        for each in self.left:
            if each.number > number and each.account in ("", account):
                return each
        return None

    def index_of(self, own: str, account: str) -> int:
        """Return the index of an account in the details of the row, which gets one if it has none.

        Parameters
        ----------
        own
            User whose row this is.
        account
            The account.
        """
        if account in ("", own):
            return details.OWN_ACCOUNT
        if account not in self.accounts:
            # No item refers to a place that an account has left: it had taken all its items along.
            place = self.accounts.index("") if "" in self.accounts else len(self.accounts)
            if place >= ACCOUNTS_LIMIT:
                return details.OTHER
            self.accounts = (*self.accounts[:place], account, *self.accounts[place + 1 :])
        return self.accounts.index(account) + 1

    def knows(self, event_key: bytes) -> bool:
        """Return whether an event with this key was folded in lately."""
        return _index(self.events, event_key) >= 0

    def fold_event(self, event: str, event_key: bytes, time: int, received: int, domain: str) -> None:
        """Fold in what every event has, whatever its type.

        Parameters
        ----------
        event, event_key
            Id of the event, and its key, 8 bytes.
        time, received
            Time of the event, and time at which Kafka took it, in ms.
        domain
            Domain of its item.
        """
        if not self.revision:
            # A row that has obeyed a move has the move's time: its list must replace that of the row before.
            self.since = max(self.since, received)
        self.revision += 1
        self.last_event = event
        if time > self.last_time:
            self.last_time = time
        self.events = (event_key + self.events)[: RECENT_EVENTS * KEY_BYTES]
        if domain in self.domains or len(self.domains) < DOMAIN_LIMIT:
            self.domains[domain] = self.domains.get(domain, 0) + 1

    def teach(self, item_key: bytes, time: int) -> bool:
        """Return whether others may learn that the user took an item; if so, count it against the hour.

        The hour is that of the event. A late event counts in the newest hour: otherwise one could spread a burst over
        the past of a known user.
        """
        hour = time // HOUR_MS
        if hour > self.hour:
            self.hour, self.taught = hour, 0
        if self.taught >= HOURLY_EXAMPLES or self._votes(item_key, time) >= HOURLY_VOTES:
            return False
        self.taught += 1
        return True

    def _votes(self, item_key: bytes, time: int) -> int:
        """Count how often the user took an item in the hour before ``time``, or later."""
        if self.items.count(item_key) < HOURLY_VOTES:
            return 0
        taken = np.frombuffer(self.items, "<u8") == int.from_bytes(item_key, "little")
        ages = time - 1000 * np.frombuffer(self.times, "<u4").astype(np.int64)
        return int(np.count_nonzero(taken & (ages < HOUR_MS)))

    def refuse(self, item_key: bytes) -> None:
        """Leave an item out of the user's lists from now on."""
        self.refused = _remember(self.refused, item_key)

    def lift(self, item_key: bytes) -> None:
        """Let the user's lists hold an item again that the user refused before."""
        self.refused = _forget(self.refused, item_key)

    def detail(self, interaction: Interaction, domains: tuple[str, ...], account: int) -> bytes:
        """Pack how an item was taken, given the names of the row's domains and the index of the account."""
        if interaction.platform not in self.platforms and len(self.platforms) < details.NAMES:
            self.platforms = (*self.platforms, interaction.platform)
        return details.pack(
            interaction.type,
            details.index_of(self.platforms, interaction.platform),
            details.index_of(domains, interaction.domain),
            account,
            interaction.value,
        )

    def place_of(self, time: int) -> int:
        """Return how many items of the history were taken after a time, in ms: there, an item of that time belongs."""
        return int(np.count_nonzero(np.frombuffer(self.times, "<u4") > _seconds(time)))

    def take(self, place: int, item_key: bytes, time: int, detail: bytes) -> None:
        """Fold in an item taken: into the history where its time belongs.

        What does not fit there is remembered as seen, be it the item itself.

        Parameters
        ----------
        place
            Where its time belongs, as ``place_of`` says.
        item_key
            Key of the item, 8 bytes.
        time
            Time at which it was taken, in ms.
        detail
            How it was taken, packed.
        """
        items = _insert(self.items, place, item_key)
        if len(items) > HISTORY * KEY_BYTES:
            self.seen = _remember(self.seen, items[HISTORY * KEY_BYTES :])
        self.items = items[: HISTORY * KEY_BYTES]
        seconds = _seconds(time).to_bytes(_TIME_BYTES, "little")
        self.times = _insert(self.times, place, seconds)[: HISTORY * _TIME_BYTES]
        self.details = _insert(self.details, place, detail)[: HISTORY * details.BYTES]
        self.taken += 1


def _seconds(time: int) -> int:
    seconds = time // 1000
    return seconds if 0 <= seconds <= _LATEST_SECONDS else _LATEST_SECONDS if seconds > 0 else 0


def _insert(packed: bytes, place: int, one: bytes) -> bytes:
    """Insert one of several that are packed in the same width."""
    at = place * len(one)
    return packed[:at] + one + packed[at:] if at else one + packed


def _remember(packed: bytes, item_key: bytes) -> bytes:
    """Put the lower half of a key in front, unless it is there already."""
    half = item_key[:SEEN_BYTES]
    return packed if _index(packed, half) >= 0 else (half + packed)[: SEEN_LIMIT * SEEN_BYTES]


def _forget(packed: bytes, item_key: bytes) -> bytes:
    """Take out the lower half of a key, if it is there."""
    place = SEEN_BYTES * _index(packed, item_key[:SEEN_BYTES])
    return packed if place < 0 else packed[:place] + packed[place + SEEN_BYTES :]


def fold(
    row: UserRow, interaction: Interaction, source: int, offset: int, incarnation: int = 0
) -> Example | None:
    """Fold an interaction into the user's row, in place. The row must not know the event yet.

    An event that comes late, as from another platform, counts at once, and where its time belongs. Its example shows
    what the user had taken before that time: an item that was taken later did not come before, though it arrived
    before. Examples that were made meanwhile stay as they are.

    Parameters
    ----------
    row
        The user's row.
    interaction
        What the user did.
    source, offset, incarnation
        Partition and offset of the interaction, and incarnation of its topic. They identify its example.

    Returns
    -------
    The example to learn from: the user just before, and the item taken. None if the user took no item, or took so many
    within the hour that others must not learn from this one, or if the item is older than a full history: then nobody
    knows what came before it.
    """
    item_key, event_key = packed_key(interaction.item), packed_key(interaction.event)
    # First, so that the domain has its index.
    row.fold_event(interaction.event, event_key, interaction.time, interaction.received, interaction.domain)
    account = row.index_of(interaction.user, interaction.account)
    example = None
    if interaction.type in POSITIVE:
        domains = tuple(row.domains)[: details.NAMES]
        # Nearly every event is the newest, and looking through the history costs a microsecond.
        place = 0 if interaction.time >= row.last_time else row.place_of(interaction.time)
        if place < HISTORY and row.teach(item_key, interaction.time):
            example = Example(
                source=source,
                offset=offset,
                item=interaction.item,
                domain=interaction.domain,
                time=interaction.time,
                history=row.items[place * KEY_BYTES :],
                times=row.times[place * _TIME_BYTES :],
                taken=row.taken,
                version=EXAMPLE_VERSION,
                type=interaction.type,
                platform=interaction.platform,
                account=account,
                value=interaction.value,
                details=row.details[place * details.BYTES :],
                platforms=row.platforms,
                domains=domains,
                incarnation=incarnation,
            )
        row.take(place, item_key, interaction.time, row.detail(interaction, domains, account))
    if interaction.type in BOUGHT:
        row.bought = _remember(row.bought, item_key)
    if interaction.type in REFUSED:
        row.refuse(item_key)
    elif interaction.type in LIFTING:
        row.lift(item_key)
    return example


def pieces(packed: bytes, width: int) -> list[bytes]:
    """Return packed keys of one width one by one.

    Examples
    --------
    >>> pieces(b"aabb", 2)
    [b'aa', b'bb']
    """
    return [packed[start : start + width] for start in range(0, len(packed), width)]


def _index(packed: bytes, key: bytes) -> int:
    """Return the place of a key among packed keys of the same width; -1 if it is absent."""
    width = len(key)
    found = packed.find(key)
    while found >= 0 and found % width:
        found = packed.find(key, found + 1)
    return found // width if found >= 0 else -1


_decoder = msgspec.msgpack.Decoder(UserRow)
pack = msgspec.msgpack.Encoder().encode
"""Pack a user's row."""


def unpack(packed: bytes | None) -> UserRow:
    """Unpack a user's row; make a new one for None. A row of an earlier version gets what it lacks.

    Raises
    ------
    RowVersionError
        The row has an unknown version or layout.
    """
    if packed is None:
        return UserRow()
    row = unpack_known(_decoder, packed, "A user's row", USER_ROW_VERSION, OLDEST_USER_ROW_VERSION)
    # Earlier programs remembered more event ids. With these the row would drop an event as a repetition that a
    # recomputation from the topic counts.
    row.events = row.events[: RECENT_EVENTS * KEY_BYTES]
    if row.version < USER_ROW_VERSION:
        row.began, row.version = row.version, USER_ROW_VERSION
        row.details = details.UNKNOWN * (len(row.times) // _TIME_BYTES)
    return row


def packed_key(name: str) -> bytes:
    """Return the key of an id, as 8 bytes."""
    return key_of(name).to_bytes(KEY_BYTES, "little")


def history_of(row: UserRow) -> Keys:
    """Return the keys of the items in a user's history, newest first; uint64, shape (n,)."""
    return np.frombuffer(row.items, "<u8")


def ages_of(row: UserRow) -> Floats:
    """Return the seconds from each item of the history to the newest, not below 0; float32, shape (n,)."""
    times = np.frombuffer(row.times, "<u4").astype(np.int64)
    return np.asarray(np.maximum(times[:1] - times, 0), np.float32)


def left_out_of(row: UserRow, rule: LeaveOut) -> Naturals:
    """Return the lower halves of the keys of items that a rule leaves out of the user's lists; uint32, shape (n,)."""
    refused: Naturals = np.frombuffer(row.refused, "<u4")
    if rule == "nothing":
        return refused
    if rule == "bought":
        return np.concatenate([np.frombuffer(row.bought, "<u4"), refused])
    taken = np.frombuffer(row.items, "<u4")[::2]
    return np.concatenate([taken, np.frombuffer(row.seen, "<u4"), refused])
