"""Fingerprints: what rows say of accounts, and all of them together as arrays, a *crowd*."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from afresh.models.arrays import Floats, Indices, Integers, Mask, Naturals, Places

PAUSE = 1800
"""Seconds without an event that end a session."""


class Fingerprint(NamedTuple):
    """What the row of an account says of it.

    Attributes
    ----------
    account, platform
        Its name, and that of its platform.
    items, times, values
        Its history in any order: lower halves of the keys of items, seconds since 1970, and values, NaN for none.
    older
        Lower halves of the keys of items that have left the history. Nobody knows their times.
    """

    account: str
    platform: str
    items: Naturals
    times: Naturals
    values: Floats
    older: Naturals


class Sessions(NamedTuple):
    """Sessions of all accounts, those of an account one after the other; of each its owner, begin and end in seconds.

    ``first`` has the place of the first session of each account, and at last their number; shape (n + 1,).
    """

    owners: Places
    begins: Integers
    ends: Integers
    first: Places

    @property
    def counts(self) -> Places:
        """Return the number of sessions of each account."""
        return np.diff(self.first)


class Crowd(NamedTuple):
    """Accounts as arrays.

    Attributes
    ----------
    platforms
        Number of the platform of each account, shape (n,).
    owners, items, times, values
        Events by account and time: the account, the number of the item, seconds, and the value or NaN.
    sets
        Which items each account has taken at any time; 0 or 1, shape (n, items).
    """

    platforms: Places
    owners: Places
    items: Places
    times: Integers
    values: Floats
    sets: csr_array

    def sessions(self) -> Sessions:
        """Cut the events into sessions."""
        begins = np.flatnonzero(begin_sessions(self.owners, self.times))
        owners = self.owners[begins]
        ends = np.append(begins[1:], len(self.owners)) - 1
        first = np.searchsorted(owners, np.arange(len(self.platforms) + 1))
        return Sessions(owners, self.times[begins], self.times[ends], first)


def begin_sessions(owners: Places, times: Integers) -> Mask:
    """Tell of each event, sorted by its owner and time, whether a session begins with it; shape (n,)."""
    fresh = np.ones(len(owners), np.bool_)
    fresh[1:] = (np.diff(owners) != 0) | (np.diff(times) > PAUSE)
    return fresh


def gather(fingerprints: Sequence[Fingerprint]) -> Crowd:
    """Put fingerprints together; accounts have their numbers by the order of these.

    Raises
    ------
    ValueError
        There is none.
    """
    accounts = np.arange(len(fingerprints))
    _, platforms = np.unique([each.platform for each in fingerprints], return_inverse=True)
    owners = np.repeat(accounts, [len(each.items) for each in fingerprints])
    old_owners = np.repeat(accounts, [len(each.older) for each in fingerprints])
    taken = np.concatenate([each.items for each in fingerprints] + [each.older for each in fingerprints])
    keys, items = np.unique(taken, return_inverse=True)
    times = np.concatenate([each.times for each in fingerprints]).astype(np.int64)
    values = np.concatenate([each.values for each in fingerprints]).astype(np.float32)
    sets = _sets(np.concatenate([owners, old_owners]), items, (len(accounts), len(keys)))
    order = np.lexsort((times, owners))
    return Crowd(platforms, owners[order], items[order], times[order], values[order], sets)


def halve(crowd: Crowd, seed: int) -> tuple[Crowd, Indices]:
    """Take each account with several sessions apart, as if its person used two accounts in turns.

    What has left a history belongs to neither half: nobody knows in which session it was taken. So no account has it
    here.

    Parameters
    ----------
    crowd
        The accounts.
    seed
        Chooses which half begins.

    Returns
    -------
    A crowd of halves, on two platforms, and of the accounts with one session; and the other half of each account,
    shape (halves,), -1 for none.
    """
    starts = begin_sessions(crowd.owners, crowd.times)
    first = crowd.sessions().first
    turns = np.cumsum(starts) - 1 - first[crowd.owners]
    turns += np.random.default_rng(seed).integers(0, 2, len(crowd.platforms))[crowd.owners]
    names, owners = np.unique(2 * crowd.owners + turns % 2, return_inverse=True)
    others = np.searchsorted(names, names ^ 1).clip(max=len(names) - 1)
    partners = np.where(names[others] == names ^ 1, others, -1).astype(np.int32)
    sets = _sets(owners, crowd.items, (len(names), crowd.sets.shape[1]))
    order = np.lexsort((crowd.times, owners))
    events = (owners[order], crowd.items[order], crowd.times[order], crowd.values[order])
    return Crowd(names % 2, *events, sets), partners


def _sets(owners: Places, items: Places, shape: tuple[int, int]) -> csr_array:
    sets = csr_array((np.ones(len(owners), np.float32), (owners, items)), shape)
    sets.data[:] = 1
    return sets
