"""Traits: numbers that say what the person behind an account is like, and how much more alike one person's are.

A trait of an account is a mean over n observations, such as of values. It is taken to be normal: the person's own mean
m + N(0, b), seen with an error of variance d + e / n. Here d is by how much one person's accounts differ for good, and
e what one observation adds. Two accounts with traits x and y, and errors of variance u and v, then speak for one person
by the logarithm of

    N((x, y); ((b + u, b), (b, b + v))) / (N(x; b + u) N(y; b + v)).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds

from afresh.models.arrays import Doubles, Places
from afresh.models.identity.fingerprints import PAUSE, Crowd

DIRECTIONS = 32
"""Directions in which tastes differ, at most."""

MOST = 6.0
"""What one trait says for or against, at most: errors have longer tails than the normal distribution."""

FEW = 10
"""Pairs from which a trait is learned, at least. With fewer it says nothing."""

SPARE = 5.0
"""Mean values, of all items, that count like values of an item."""

DAY, WEEK = 86_400, 7 * 86_400


class Space(NamedTuple):
    """What is known of items: orthogonal directions, shape (items, K), and the mean value of each, shape (items,)."""

    directions: Doubles
    levels: Doubles


class Traits(NamedTuple):
    """Traits of accounts and the number of observations of each, both of shape (n, T), and the columns of a kind."""

    means: Doubles
    counts: Doubles
    kinds: tuple[slice, ...]


class Spread(NamedTuple):
    """Of each trait its mean, and the variances b, d and e of the formula; shape (T,) each."""

    means: Doubles
    between: Doubles
    lasting: Doubles
    passing: Doubles


def learn_space(crowd: Crowd) -> Space:
    """Find the directions from who took what, and the means from all values."""
    rank = min(DIRECTIONS, min(crowd.sets.shape) - 1)
    _, _, found = svds(crowd.sets.astype(np.float64), k=rank, v0=np.ones(min(crowd.sets.shape)))
    rated = ~np.isnan(crowd.values)
    values, items = crowd.values[rated].astype(np.float64), crowd.items[rated]
    size = crowd.sets.shape[1]
    sums = np.bincount(items, values, size) + SPARE * (values.mean() if len(values) else 0)
    return Space(found.T, sums / (np.bincount(items, minlength=size) + SPARE))


def traits_of(crowd: Crowd, space: Space) -> Traits:
    """Compute values against those of others, the pace within sessions, taste, hours of the day, and the weekday."""
    size = len(crowd.platforms)
    rated = ~np.isnan(crowd.values)
    excess = crowd.values[rated] - space.levels[crowd.items[rated]]
    gaps = np.diff(crowd.times)
    within = (np.diff(crowd.owners) == 0) & (gaps <= PAUSE)
    sessions = crowd.sessions()
    turns = 2j * np.pi * sessions.begins
    clock = [np.exp(turns / DAY), np.exp(2 * turns / DAY), np.exp(turns / WEEK)]
    blocks = [
        _means(crowd.owners[rated], excess[:, None], size),
        _means(crowd.owners[:-1][within], np.log1p(gaps[within])[:, None], size),
        _tastes(crowd.sets, space),
        _means(
            sessions.owners, np.stack([part for each in clock[:2] for part in _parts(each)], axis=1), size
        ),
        _means(sessions.owners, np.stack(_parts(clock[2]), axis=1), size),
    ]
    ends = np.cumsum([means.shape[1] for means, _ in blocks])
    kinds = tuple(slice(end - means.shape[1], end) for end, (means, _) in zip(ends, blocks, strict=True))
    counts = [np.broadcast_to(count[:, None], means.shape) for means, count in blocks]
    return Traits(
        np.concatenate([means for means, _ in blocks], axis=1), np.concatenate(counts, axis=1), kinds
    )


def _parts(turned: np.ndarray) -> list[Doubles]:
    return [turned.real, turned.imag]


def _means(owners: Places, observed: Doubles, size: int) -> tuple[Doubles, Doubles]:
    """Return the means of each account, shape (size, columns), 0 for none; and the numbers of observations."""
    counts = np.bincount(owners, minlength=size).astype(np.float64)
    sums = np.stack([np.bincount(owners, column, size) for column in observed.T], axis=1)
    return sums / np.maximum(counts, 1)[:, None], counts


def _tastes(sets: csr_array, space: Space) -> tuple[Doubles, Doubles]:
    counts = np.asarray(sets.sum(axis=1), np.float64)
    return (sets @ space.directions) / np.maximum(counts, 1)[:, None], counts


def learn_spread(traits: Traits, first: Places, second: Places) -> Spread:
    """Learn how traits spread, from pairs of accounts of one person each."""
    columns = range(traits.means.shape[1])
    return Spread(*np.array([_spread(traits, each, first, second) for each in columns]).T)


def _spread(traits: Traits, column: int, first: Places, second: Places) -> tuple[float, float, float, float]:
    counts = traits.counts[:, column]
    seen = (counts[first] > 0) & (counts[second] > 0)
    if np.count_nonzero(seen) < FEW:
        return 0.0, 0.0, 1.0, 1.0
    x, y = traits.means[first[seen], column], traits.means[second[seen], column]
    errors = 1 / counts[first[seen]] + 1 / counts[second[seen]]
    weights = 1 / (errors + 0.1)
    mean = float(np.average((x + y) / 2, weights=weights))
    parts = np.stack([np.full(len(x), 2.0), errors], axis=1) * weights[:, None]
    lasting, passing = np.maximum(np.linalg.lstsq(parts, (x - y) ** 2 * weights)[0], 1e-12)
    between = max(float(np.average((x - mean) * (y - mean), weights=weights)), 0.0)
    return mean, between, lasting, passing


def alike(traits: Traits, spread: Spread, first: Places, second: Places) -> Doubles:
    """Return how much each kind of trait of some pairs speaks for one person, shape (P, kinds)."""
    x, u = _seen(traits, spread, first)
    y, v = _seen(traits, spread, second)
    b = spread.between
    one, other = b + u, b + v
    left = one * other - b * b
    shared = (other * x * x - 2 * b * x * y + one * y * y) / left
    apart = x * x / one + y * y / other
    said = np.clip((np.log(one * other / left) + apart - shared) / 2, -MOST, MOST)
    return np.stack([said[:, kind].sum(axis=1) for kind in traits.kinds], axis=1)


def _seen(traits: Traits, spread: Spread, accounts: Places) -> tuple[Doubles, Doubles]:
    """Return traits about their mean, and the variances of their errors; what was never seen says next to nothing."""
    counts = traits.counts[accounts]
    means = np.where(counts > 0, traits.means[accounts] - spread.means, 0)
    return means, spread.lasting + spread.passing / np.maximum(counts, 1e-3)
