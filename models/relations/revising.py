"""Revising: what people did a moment ago moves relations and transitions at once, between two versions of them.

``models.relations.relations`` derives the relations of all items together, and that takes long on a large catalogue. In
between, each row that changed is *revised*: the values of its pairs in A and F are computed anew from the rows. Vectors
stay as they are, since all directions turn together. Only an item that had none is folded in: from P = A P L**-1, its
vector is its row of A, times P L**-1 (Berry, Dumais and O'Brien 1995, Using Linear Algebra for Intelligent Information
Retrieval, section 4.3). To fold in known items, too, made lists worse: HR@10 was .008 lower on MovieLens 100K.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from afresh.models.arrays import NONE, Floats, Indices
from afresh.models.compiled import compiled, power
from afresh.models.relations.relations import EXPONENT, PRIOR, SHARPNESS, SHRINKAGE
from afresh.models.relations.transitions import SHRINKAGE as FOLLOWED_SHRINKAGE


class AllRows(NamedTuple):
    """What the relations of N items are derived from; see ``models.relations.relations.relate``.

    Attributes
    ----------
    neighbours, weights
        Neighbours of each item, ``NONE`` for none, and how strongly they came before, shape (N, C).
    akin, likeness
        Items of nearest text, and their cosines, shape (N, T).
    """

    neighbours: Indices
    weights: Floats
    akin: Indices
    likeness: Floats


class Changed(NamedTuple):
    """AllRows of n items that have changed, as they were or as they are.

    Attributes
    ----------
    neighbours, weights, nexts
        Neighbours, and how strongly they came before, and just before, shape (n, C).
    mass
        Mass of each row, shape (n,).
    """

    neighbours: Indices
    weights: Floats
    nexts: Floats
    mass: Floats


class Standing(NamedTuple):
    """The relations and transitions of N items that stand, to be revised in place.

    Attributes
    ----------
    related, strengths
        Strongest relations of each item, strongest first, shape (N, K).
    followers, following
        Strongest followers of each item, strongest first, shape (N, K).
    vectors
        P, shape (N, R).
    mass
        M, shape (N,).
    followed, preceded
        f and n, see ``models.relations.transitions``, shape (N,).
    derived
        M as it was when the vectors were derived, shape (N,).
    moved
        By how much the relations of each item have changed since somebody set this to 0, shape (N,).
    """

    related: Indices
    strengths: Floats
    followers: Indices
    following: Floats
    vectors: Floats
    mass: Floats
    followed: Floats
    preceded: Floats
    derived: Floats
    moved: Floats


@compiled
def revise_rows(items: Indices, before: Changed, after: Changed, rows: AllRows, standing: Standing) -> None:
    """Revise everything that the rows of some items say.

    Parameters
    ----------
    items
        Indices of the items, shape (n,).
    before, after
        Their rows as they were when they were derived or revised last, and as they are now.
    rows
        All rows.
    standing
        What is revised.
    """
    for place in range(len(items)):
        _weigh_down(items[place], np.float32(2) * (after.mass[place] - before.mass[place]), standing)
    for place in range(len(items)):
        item = items[place]
        old, new = before.neighbours[place], after.neighbours[place]
        for column in range(len(new)):
            if new[column] != NONE:
                _relate(item, new[column], rows, standing)
        for column in range(len(old)):
            if old[column] != NONE and _value_of(old[column], new, after.weights[place]) == 0:
                _relate(item, old[column], rows, standing)
        _follow(item, old, before.nexts[place], new, after.nexts[place], standing)


@compiled
def revise_texts(items: Indices, akin: Indices, likeness: Floats, rows: AllRows, standing: Standing) -> None:
    """Revise the relations of items whose nearest texts were ``akin`` before, with cosines ``likeness``, shape (n, T).

    The other parameters are those of ``revise_rows``.
    """
    for place in range(len(items)):
        item = items[place]
        new, cosines = rows.akin[item], rows.likeness[item]
        for column in range(len(new)):
            if new[column] != NONE:
                was = _prior(_value_of(new[column], akin[place], likeness[place]))
                _like(item, new[column], _prior(cosines[column]) - was, rows, standing)
        for column in range(akin.shape[1]):
            other = akin[place, column]
            if other != NONE and _value_of(other, new, cosines) == 0:
                _like(item, other, -_prior(likeness[place, column]), rows, standing)


@compiled
def fold_in(items: Indices, standing: Standing, pull: Floats) -> None:
    """Compute the vectors of those items anew that had no relation when vectors were derived, from those that had.

    ``pull`` comes from ``models.relations.relations.pull_of``, shape (R,).
    """
    for item in items:
        if standing.derived[item] > 0:
            continue
        vector = np.zeros(len(pull), np.float32)
        for column in range(standing.related.shape[1]):
            other, strength = standing.related[item, column], standing.strengths[item, column]
            # From others that were folded in, errors would grow with every turn.
            if other != NONE and standing.derived[other] > 0:
                for direction in range(len(pull)):
                    vector[direction] += strength * standing.vectors[other, direction]
        standing.vectors[item] = vector * pull


@compiled
def _like(item: int, other: int, change: np.float32, rows: AllRows, standing: Standing) -> None:
    if change != 0:
        _weigh_down(item, change, standing)
        _weigh_down(other, change, standing)
        _relate(item, other, rows, standing)


@compiled
def _prior(likeness: np.float32) -> np.float32:
    """Return what the likeness of two texts adds to a pair."""
    return np.float32(PRIOR * power(likeness, SHARPNESS))


@compiled
def _weigh_down(item: int, change: np.float32, standing: Standing) -> None:
    """Change the mass of an item: its relations are scaled by it."""
    mass = max(standing.mass[item] + change, np.float32(0))
    scale = power((standing.mass[item] + SHRINKAGE) / (mass + SHRINKAGE), EXPONENT)
    standing.mass[item] = mass
    for column in range(standing.strengths.shape[1]):
        standing.strengths[item, column] *= scale


@compiled
def _relate(item: int, other: int, rows: AllRows, standing: Standing) -> None:
    """Compute the relation of two items anew."""
    if item == other:
        return
    weight = np.float32(0)
    for one, two in ((item, other), (other, item)):
        weight += _value_of(two, rows.neighbours[one], rows.weights[one])
        weight += _prior(_value_of(two, rows.akin[one], rows.likeness[one]))
    scale = _scale(standing.mass[item]) * _scale(standing.mass[other])
    for one, two in ((item, other), (other, item)):
        standing.moved[one] += _put(two, weight * scale, standing.related[one], standing.strengths[one])


@compiled
def _scale(mass: np.float32) -> np.float32:
    return np.float32(1) / power(mass + SHRINKAGE, EXPONENT)


@compiled
def _follow(item: int, old: Indices, before: Floats, new: Indices, after: Floats, standing: Standing) -> None:
    """Revise which items an item follows, by its row before and after. It does not follow itself."""
    standing.preceded[item] = 0
    for column in range(len(new)):
        if new[column] != item and new[column] != NONE:
            standing.preceded[item] += after[column]
    for column in range(len(new)):
        other = new[column]
        if other != NONE and other != item and after[column] > 0:
            change = after[column] - _value_of(other, old, before)
            _lead(other, item, after[column], change, standing)
    for column in range(len(old)):
        other, strength = old[column], before[column]
        if other != NONE and other != item and strength > 0 and _value_of(other, new, after) == 0:
            _lead(other, item, np.float32(0), -strength, standing)


@compiled
def _lead(item: int, follower: int, strength: np.float32, change: np.float32, standing: Standing) -> None:
    followed = max(standing.followed[item] + change, np.float32(0))
    scale = np.sqrt((standing.followed[item] + FOLLOWED_SHRINKAGE) / (followed + FOLLOWED_SHRINKAGE))
    standing.followed[item] = followed
    for column in range(standing.following.shape[1]):
        standing.following[item, column] *= scale
    spread = (followed + FOLLOWED_SHRINKAGE) * (standing.preceded[follower] + FOLLOWED_SHRINKAGE)
    value = strength / np.sqrt(spread)
    standing.moved[item] += _put(follower, value, standing.followers[item], standing.following[item])


@compiled
def _value_of(item: int, items: Indices, values: Floats) -> np.float32:
    """Return the value of an item in a row; 0 if the row does not name it."""
    found = np.float32(0)
    for column in range(len(items)):  # To the end: so the machine compares several at once.
        if items[column] == item:
            found = values[column]
    return found


@compiled
def _put(item: int, value: np.float32, items: Indices, values: Floats) -> np.float32:
    """Put an item into a row that is sorted by value; return by how much its value has changed."""
    place, was = len(items), np.float32(0)
    for column in range(len(items)):
        if items[column] == item:
            place, was = column, values[column]
    if place == len(items):
        if value <= values[-1]:
            return np.float32(0)
        place -= 1
    while place > 0 and values[place - 1] < value:
        items[place], values[place] = items[place - 1], values[place - 1]
        place -= 1
    while place + 1 < len(items) and values[place + 1] > value:
        items[place], values[place] = items[place + 1], values[place + 1]
        place += 1
    items[place], values[place] = (item, value) if value > 0 else (NONE, np.float32(0))
    return np.float32(abs(value - was))
