"""Merging: puts the rows of two users together, and takes what one account did out of a row again.

``since`` of the rows is for the caller to set: see ``state.rows.moving``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from afresh.models.arrays import Bytes, Keys, Mask, Naturals
from afresh.models.layout import HISTORY
from afresh.state.rows import details
from afresh.state.rows.details import Details
from afresh.state.rows.users import (
    DOMAIN_LIMIT,
    KEY_BYTES,
    RECENT_EVENTS,
    SEEN_BYTES,
    SEEN_LIMIT,
    UserRow,
    pieces,
)


def accounts_of(row: UserRow, own: str) -> tuple[str, ...]:
    """Return the user of a row and all other accounts that it has.

    Examples
    --------
    >>> accounts_of(UserRow(accounts=("app:7", "", "tv:1")), "web:ann")
    ('web:ann', 'app:7', 'tv:1')
    """
    return (own, *filter(None, row.accounts))


def merge(row: UserRow, own: str, part: UserRow, account: str) -> None:
    """Put what the row of an account holds into the row of another user, in place.

    Histories are put in the order of time, newest first; at the same time, the row's own items come first. What does
    not fit is remembered as seen. Counts are added. Of the newest events, those of both are remembered in turn.

    Parameters
    ----------
    row, own
        The row, and its user.
    part, account
        What is put in, and the account whose row it was.
    """
    indices = [row.index_of(own, each) if each else details.OTHER for each in (account, *part.accounts)]
    _merge_domains(row, part)
    _merge_histories(row, part, indices)
    if part.last_time > row.last_time:
        row.last_event, row.last_time = part.last_event, part.last_time
    row.revision += part.revision
    row.taken += part.taken
    row.events = _in_turn(row.events, part.events, KEY_BYTES, RECENT_EVENTS)
    row.refused = _in_turn(row.refused, part.refused, SEEN_BYTES, SEEN_LIMIT)
    row.bought = _in_turn(row.bought, part.bought, SEEN_BYTES, SEEN_LIMIT)
    _merge_hours(row, part)
    row.began = min(row.began, part.began)


def split(row: UserRow, own: str, account: str) -> UserRow:
    """Take what an account did out of a row, in place, and return it as a row whose user is the account.

    What has left the history cannot be told apart, nor can refusals, purchases and the newest events: they stay with
    both.

    Parameters
    ----------
    row, own
        The row, and its user.
    account
        The account. If the row does not have it, nothing of the history leaves.
    """
    part = UserRow(
        last_event=row.last_event,
        seen=row.seen,
        refused=row.refused,
        bought=row.bought,
        events=row.events,
        hour=row.hour,
        taught=row.taught,
        began=row.began,
    )
    known = account == own or account in row.accounts
    if known:
        index = row.index_of(own, account)
        _split_history(row, part, details.unpack(row.details)["account"] == index)
        _drop_account(row, index)
    return part


def _merge_domains(row: UserRow, part: UserRow) -> None:
    for name, count in part.domains.items():
        if name in row.domains or len(row.domains) < DOMAIN_LIMIT:
            row.domains[name] = row.domains.get(name, 0) + count


def _merge_hours(row: UserRow, part: UserRow) -> None:
    if part.hour == row.hour:
        row.taught += part.taught
    elif part.hour > row.hour:
        row.hour, row.taught = part.hour, part.taught


def _merge_histories(row: UserRow, part: UserRow, accounts: Sequence[int]) -> None:
    row.platforms = tuple(dict.fromkeys((*row.platforms, *part.platforms)))[: details.NAMES]
    theirs = details.unpack(part.details).copy()
    theirs["account"] = _renamed(theirs["account"], accounts)
    theirs["platform"] = _renamed(
        theirs["platform"], [details.index_of(row.platforms, each) for each in part.platforms]
    )
    domains = _indexed(row)
    theirs["domain"] = _renamed(
        theirs["domain"], [details.index_of(domains, each) for each in _indexed(part)]
    )
    items = np.concatenate([_items(row), _items(part)])
    times = np.concatenate([_times(row), _times(part)])
    taken = np.concatenate([details.unpack(row.details), theirs])
    order = np.argsort(-times.astype(np.int64), kind="stable")
    kept, gone = order[:HISTORY], order[HISTORY:]
    seen = _in_turn(row.seen, part.seen, SEEN_BYTES, SEEN_LIMIT)
    left = dict.fromkeys(pieces(items[gone].astype("<u4").tobytes() + seen, SEEN_BYTES))
    row.seen = b"".join([*left][:SEEN_LIMIT])
    _set_history(row, items[kept], times[kept], taken[kept])


def _split_history(row: UserRow, part: UserRow, leaves: Mask) -> None:
    items, times, taken = _items(row), _times(row), details.unpack(row.details)
    domains, platforms = _indexed(row), row.platforms
    stays = ~leaves
    theirs = taken[leaves].copy()
    part.platforms, theirs["platform"] = _own_names(platforms, theirs["platform"])
    names, theirs["domain"] = _own_names(domains, theirs["domain"])
    theirs["account"] = details.OWN_ACCOUNT
    counts = [int(np.count_nonzero(theirs["domain"] == index)) for index in range(len(names))]
    part.domains = dict(zip(names, counts, strict=True))
    part.taken = part.revision = int(np.count_nonzero(leaves))
    part.last_time = 1000 * int(times[leaves].max(initial=0))
    _set_history(part, items[leaves], times[leaves], theirs)
    row.taken = max(row.taken - part.taken, 0)
    # The names stay, because their order gives their indices.
    row.domains = {name: max(count - part.domains.get(name, 0), 0) for name, count in row.domains.items()}
    _set_history(row, items[stays], times[stays], taken[stays])


def _drop_account(row: UserRow, index: int) -> None:
    """Leave an empty name, so that the indices of the others stand."""
    if index != details.OWN_ACCOUNT:
        names = [*row.accounts]
        names[index - 1] = ""
        while names and not names[-1]:
            names.pop()
        row.accounts = tuple(names)


def _own_names(names: tuple[str, ...], indices: Bytes) -> tuple[tuple[str, ...], Bytes]:
    """Return those names that indices refer to, and what indices become with them alone."""
    used = [number for number in range(len(names)) if np.any(indices == number)]
    becomes = [used.index(number) if number in used else details.OTHER for number in range(len(names))]
    return tuple(names[number] for number in used), _renamed(indices, becomes)


def _renamed(indices: Bytes, becomes: Sequence[int]) -> Bytes:
    """Replace indices by what they become; those that have no name stay without."""
    table = np.full(details.OTHER + 1, details.OTHER, np.uint8)
    table[: len(becomes)] = becomes
    return table[indices]


def _indexed(row: UserRow) -> tuple[str, ...]:
    return tuple(row.domains)[: details.NAMES]


def _items(row: UserRow) -> Keys:
    return np.frombuffer(row.items, "<u8")


def _times(row: UserRow) -> Naturals:
    return np.frombuffer(row.times, "<u4")


def _set_history(row: UserRow, items: Keys, times: Naturals, taken: Details) -> None:
    row.items, row.times, row.details = items.tobytes(), times.tobytes(), taken.tobytes()


def _in_turn(first: bytes, second: bytes, width: int, limit: int) -> bytes:
    """Put packed keys of two rows together, newest first, from both in turn, each once."""
    pairs = zip_longest(pieces(first, width), pieces(second, width))
    once = dict.fromkeys(piece for pair in pairs for piece in pair if piece is not None)
    return b"".join([*once][:limit])
