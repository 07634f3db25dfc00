"""Pairs: what speaks for it that two accounts are one person's.

* **Sessions** that end here and begin there. With s sessions of all accounts that begin between a session and the
  nearest of the other account, of S in all, and n of the other account, chance brings one as near with probability
  1 - exp(-2 s n / S). Its negative logarithms are summed over the sessions of either account; the smaller sum counts.
* **Items in common**, k of them where the tastes of both let e be expected. Of strangers they follow a negative
  binomial, of one person a Poisson distribution with mean r e. The ratio r is learned: it is 0 where nobody takes
  an item twice, so that a common item speaks against one person, and large where people take things again.
* **Traits**: see ``models.identity.traits``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from afresh.models.arrays import Doubles, Floats, Integers, Mask, Places
from afresh.models.identity.fingerprints import PAUSE, Crowd, Sessions
from afresh.models.identity.traits import Space, Spread, Traits, alike, traits_of

SHAPE = 3.0
"""Shape of the negative binomial. With 1.5 or 8 as many pairs are found within two in a hundred."""

LEAST_EXPECTED = 0.01
"""Common items that are expected at least."""

MOST = 15.0
"""What common items say for or against, at most."""

TOGETHER = 50_000
"""Pairs that are compared together: their arrays take some 100 MB."""

FAR = 2**40
"""Seconds to a session that is not there."""


class Prepared(NamedTuple):
    """What comparing accounts needs of them."""

    crowd: Crowd
    sessions: Sessions
    begins: Integers
    tastes: Floats
    traits: Traits


def prepare(crowd: Crowd, space: Space) -> Prepared:
    """Prepare accounts to be compared."""
    sessions = crowd.sessions()
    tastes = np.asarray(crowd.sets @ space.directions, np.float32)
    return Prepared(crowd, sessions, np.sort(sessions.begins), tastes, traits_of(crowd, space))


def learn_again(known: Prepared, first: Places, second: Places) -> float:
    """Learn how many items one person's accounts have in common, as a ratio to what tastes let expect."""
    common, expected = _common(known, first, second)
    return float((common.sum() + 1) / (expected.sum() + 1))


def evidence(known: Prepared, spread: Spread, again: float, first: Places, second: Places) -> Doubles:
    """Return what speaks for one person: sessions, items, then each kind of trait; shape (P, 2 + kinds)."""
    said = [np.zeros((0, 2 + len(known.traits.kinds)))]
    for start in range(0, len(first), TOGETHER):
        one, other = first[start : start + TOGETHER], second[start : start + TOGETHER]
        near = np.minimum(_near(known, one, other), _near(known, other, one))
        items = _shared(*_common(known, one, other), again)
        said.append(np.column_stack([near, items, alike(known.traits, spread, one, other)]))
    return np.concatenate(said)


def _common(known: Prepared, first: Places, second: Places) -> tuple[Doubles, Doubles]:
    """Return how many items both have taken, and how many were to be expected by their tastes."""
    sets = known.crowd.sets
    common = np.asarray(sets[first].multiply(sets[second]).sum(axis=1), np.float64)
    expected = np.einsum("pk,pk->p", known.tastes[first], known.tastes[second]).astype(np.float64)
    return common, np.maximum(expected, LEAST_EXPECTED)


def _shared(common: Doubles, expected: Doubles, again: float) -> Doubles:
    one_person = common * np.log(again * expected) - again * expected
    strangers = (
        gammaln(common + SHAPE)
        - gammaln(SHAPE)
        + SHAPE * np.log(SHAPE / (SHAPE + expected))
        + common * np.log(expected / (SHAPE + expected))
    )
    return np.asarray(np.clip(one_person - strangers, -MOST, MOST))


def _near(known: Prepared, first: Places, second: Places) -> Doubles:
    """Return how unlikely it is that sessions of the first are as near to sessions of the second, shape (P,)."""
    sessions = known.sessions
    counts = sessions.counts[first]
    pairs = np.repeat(np.arange(len(first)), counts)
    places = (
        np.arange(len(pairs)) - np.repeat(np.cumsum(counts) - counts, counts) + sessions.first[first][pairs]
    )
    others = second[pairs]
    between = _between(known, sessions.begins[places], sessions.ends[places], others)
    expected = 2 * (between + 1) * sessions.counts[others] / len(known.begins)
    return np.asarray(np.bincount(pairs, -np.log(-np.expm1(-expected)), len(first)), np.float64)


def _between(known: Prepared, begins: Integers, ends: Integers, others: Places) -> Places:
    """Return how many sessions begin between a session and the nearest of another account.

    Nearer than a pause counts as a pause. One person may well change over at once; halves of an account, which the
    weights are learned from, never do, as a session ends with a pause.
    """
    sessions = known.sessions
    after = np.searchsorted(_keys(sessions.owners, sessions.begins), _keys(others, begins), side="right")
    following = _at(sessions.begins, after, after < sessions.first[others + 1], FAR)
    preceding = _at(sessions.ends, after - 1, after > sessions.first[others], -FAR)
    order = known.begins
    later = np.searchsorted(order, np.maximum(following, ends + PAUSE)) - np.searchsorted(order, ends)
    earlier = np.searchsorted(order, begins) - np.searchsorted(order, np.minimum(preceding, begins - PAUSE))
    return np.asarray(np.minimum(later, earlier))


def _keys(owners: Places, times: Integers) -> Integers:
    """Return numbers that sort by account and time: times have 32 bits."""
    return np.asarray((owners << 33) + times, np.int64)


def _at(values: Integers, places: Places, there: Mask, otherwise: int) -> Integers:
    return np.where(there, values[places.clip(0, len(values) - 1)], otherwise)
