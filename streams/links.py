"""Links: the records of ``afresh.identities``, which say which accounts one person has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from afresh.state.moments import Moment
from afresh.state.people import Pair, People, Tie
from afresh.state.rows.links import LinkRow
from afresh.streams.checks import RefusedError, check_name, decode_known, refuse_too_large, refuse_unreadable
from afresh.streams.generous import LINKS
from afresh.streams.messages import LINK_VERSION, LONGEST_ACCOUNT, UNDECODABLE, KeyedRecord, Link
from afresh.streams.settings import Settings
from afresh.streams.times import EARLIEST_MS, LAST_MS, milliseconds, unusable

_keys = msgspec.json.Decoder(list[object])

HOW = 'send the two accounts, the smaller name first, as a JSON array: ["app:7","web:ann"]'


class LinkTold(NamedTuple):
    """What a record says: a link of a pair, or of an account with a canonical user, as 0.1.0 had it; None ends it.

    Attributes
    ----------
    account
        The account of a link as 0.1.0 had it; else empty.
    pair
        The pair; None where a record of 0.1.0 ends a link, because its key does not name the canonical user.
    tie
        The link; None if it ends.
    """

    account: str
    pair: Pair | None
    tie: Tie | None

    @property
    def canonical(self) -> str:
        """Return the canonical user of a link as 0.1.0 had it; else an empty text."""
        return self.pair.other if self.account and self.pair is not None else ""

    @property
    def key(self) -> bytes:
        """Return the key of the link's row, however the record spells it."""
        if self.account or self.pair is None:
            return self.account.encode()
        return key_of_link(self.pair.one, self.pair.other)

    def changes(self, before: LinkRow) -> Iterator[tuple[Pair, Tie | None]]:
        """Return what the record changes of the links that stand, given the row before it."""
        if before.canonical and before.canonical != self.canonical:
            yield Pair(self.account, before.canonical, told=True), None
        if self.pair is not None:
            yield self.pair, self.tie

    def row(self, moment: Moment) -> LinkRow:
        """Return the row that the record leaves."""
        return LinkRow(moment=moment, tie=self.tie, canonical=self.canonical)


class LinksRead:
    """All links, read from the topic of their keyed records.

    Attributes
    ----------
    people
        Who is one person by them.
    """

    def __init__(self) -> None:
        self.people = People()
        self._rows: dict[bytes, LinkRow] = {}

    def take(self, key: bytes, keyed: KeyedRecord) -> None:
        """Take in a record, given its own key, unless a newer one of the same link is known.

        Raises
        ------
        RefusedError
            When it is no link.
        """
        told = read_link(key, keyed.value)
        before = self._rows.get(told.key, LinkRow())
        if keyed.moment >= before.moment:
            self._rows[told.key] = told.row(keyed.moment)
            for pair, tie in told.changes(before):
                self.people.put(pair, tie)


def key_of_link(one: str, other: str) -> bytes:
    """Return the key of the link of two accounts.

    Examples
    --------
    >>> key_of_link("web:ann", "app:7")
    b'["app:7","web:ann"]'
    """
    return msgspec.json.encode(sorted([one, other]))


def read_link(key: bytes, value: bytes | None) -> LinkTold:
    """Read a link, whatever its size.

    Raises
    ------
    RefusedError
        When it is none.
    """
    if (pair := _pair(key)) is None:
        return _told(key, value)
    if value is None:
        return LinkTold("", pair, None)
    link = decode_link(value)
    if sorted(link.accounts) != [*pair[:2]]:
        raise RefusedError("key", f"The key of the link does not name its accounts; {HOW}.")
    return LinkTold("", pair, Tie(link.kind, link.confidence, milliseconds(link.time)))


def decode_link(value: bytes) -> Link:
    """Decode a link, whatever its key.

    Raises
    ------
    RefusedError
        When it is none.
    """
    link = decode_known(LINKS, value, "link", LINK_VERSION, len(value))
    if not EARLIEST_MS <= milliseconds(link.time) <= LAST_MS:
        raise RefusedError("time", unusable(link.time))
    return link


def check_link(key: bytes | None, value: bytes | None, settings: Settings) -> LinkTold:
    """Read a link and check it.

    Raises
    ------
    RefusedError
        When it cannot be used.
    """
    refuse_unreadable(value)
    if value is not None:
        refuse_too_large(value, "link", settings.text_limit_bytes)
    return read_link(key or b"", value)


def _pair(key: bytes) -> Pair | None:
    """Return the pair that a key names; None if it is one of 0.1.0."""
    try:
        named = _keys.decode(key)
    except UNDECODABLE as error:
        # As Python or Java print a list, say. As an account of 0.1.0, it would end or link nothing that stands.
        if key.lstrip().startswith(b"["):
            raise RefusedError("key", f"The key of the link is no JSON array; {HOW}.") from error
        return None
    if len(named) != 2 or not all(isinstance(each, str) for each in named):
        raise RefusedError("key", f"The key of the link does not name two accounts; {HOW}.")
    one, other = map(str, named)
    for each in (one, other):
        _check_account(each.encode("utf-8", "surrogatepass"), "accounts in the key of a link")
    if one >= other:
        said = "twice the same account" if one == other else "the greater name first"
        raise RefusedError("key", f"The key of the link has {said}; {HOW}.")
    return Pair(one, other)


def _told(key: bytes, value: bytes | None) -> LinkTold:
    account = _check_account(key, "key of a link")
    if value is None:
        return LinkTold(account, None, None)
    if value.lstrip().startswith(b"{"):
        raise RefusedError("key", f"The key of the link names {account!r} alone; {HOW}.")
    canonical = check_name(value, LONGEST_ACCOUNT, "invalid", "canonical user of a link")
    if canonical == account:
        return LinkTold(account, None, None)
    return LinkTold(account, Pair(account, canonical, told=True), Tie("told", 1.0, 0))


def _check_account(name: bytes, noun: str) -> str:
    account = check_name(name, LONGEST_ACCOUNT, "key", noun)
    platform, _, user = account.partition(":")
    if not platform or not user:
        raise RefusedError("key", f"The {noun} must be platform:user, and is {account!r}; {HOW}.")
    return account
