"""Scoring: from users to the features of their candidates, in compiled code, many lists at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from afresh.models import scorers
from afresh.models.arrays import NONE, Floats, Indices, Integers
from afresh.models.compiled import compiled
from afresh.models.fusion import features
from afresh.models.retrieval.asking import Asked, History, Items, User, history_of
from afresh.models.retrieval.candidates import LIMIT, gather
from afresh.models.scorers.base import Scorer

POPULAR = 10
"""Length of the list that popularity would have served."""

COUNT = len(scorers.NAMES)

_of_thread = threading.local()


@dataclass(frozen=True)
class Request:
    """What the candidates of one list are chosen by.

    Attributes
    ----------
    user
        The user.
    excluded
        Indices of items that the list must not hold.
    others
        Indices of items that are scored as well, on the same scale.
    """

    user: User
    excluded: Indices
    others: Indices


class Candidates(NamedTuple):
    """The candidates of a list.

    Attributes
    ----------
    indices
        Their indices, int32, shape (C,): first the ranked ones in the order of the items' keys, then the others.
    ranked
        Number of ranked candidates.
    features
        Their features, float32, shape (C, F).
    broken
        Numbers of the scorers that gave something that is no score, shape (at most S,).
    popular
        Indices of the list that popularity would have served, shape (at most ``POPULAR``,).
    """

    indices: Indices
    ranked: int
    features: Floats
    broken: Integers
    popular: Indices


class _Batch(NamedTuple):
    """Many requests as arrays, one request after the other; the ends of request u are at u + 1."""

    indices: Indices
    lags: Floats
    ages: Floats
    known: Integers
    tenures: Integers
    times: Integers
    excluded: Indices
    left_out: Integers
    others: Indices
    added: Integers


class _Room(NamedTuple):
    """Room for the results of many requests, a row for each."""

    indices: Indices
    counts: Integers
    features: Floats
    broken: Integers
    popular: Indices


def score_lists(requests: Sequence[Request], items: Items) -> list[Candidates]:
    """Choose and score the candidates of lists.

    The compiled part lets go of the GIL. The items must not change meanwhile. Each list is the same, to the last bit,
    whatever lists are made with it.
    """
    if not requests:
        return []
    histories = [history_of(each.user) for each in requests]
    batch = _batch(histories, requests)
    room = _room(len(requests), LIMIT + int(np.diff(batch.added).max()))
    slow = [family for family in scorers.SCORERS if family.fill is None]
    with _places(len(items.keys)) as places:
        if slow:
            for number, each in enumerate(requests):
                _score_with(slow, number, Asked(each.user, items), places, batch, room)
        else:
            _score_all(batch, items, places, room)
    return [_of_row(number, room) for number in range(len(requests))]


@contextmanager
def _places(items: int) -> Iterator[Indices]:
    """Lend the calling thread room for a place of every item, all ``NONE``; with a million items to fill it takes long.

    Everything leaves it as it was. Where something is raised instead, it is not used again.
    """
    places = _of_thread.__dict__.pop("places", None)
    if places is None or len(places) < items:
        places = np.full(2 * items, NONE, np.int32)
    yield places
    _of_thread.places = places


def _batch(histories: Sequence[History], requests: Sequence[Request]) -> _Batch:
    known, lags, ages = zip(*(each[:3] for each in histories), strict=True)
    excluded = [each.excluded for each in requests]
    others = [each.others for each in requests]
    return _Batch(
        np.concatenate(known),
        np.concatenate(lags),
        np.concatenate(ages),
        _ends(known),
        np.array([each.tenure for each in histories]),
        np.array([each.now_ms for each in histories]),
        np.concatenate(excluded, dtype=np.int32),
        _ends(excluded),
        np.concatenate(others, dtype=np.int32),
        _ends(others),
    )


def _ends(arrays: Sequence[Indices]) -> Integers:
    return np.cumsum([0, *map(len, arrays)])


def _room(lists: int, candidates: int) -> _Room:
    width = COUNT * features.FEATURES_PER_SCORER
    return _Room(
        np.empty((lists, candidates), np.int32),
        np.zeros((lists, 2), np.int64),
        np.empty((lists, candidates * width), np.float32),
        np.zeros((lists, COUNT), np.int64),
        np.full((lists, POPULAR), NONE, np.int32),
    )


def _of_row(number: int, room: _Room) -> Candidates:
    count, ranked = room.counts[number].tolist()
    width = COUNT * features.FEATURES_PER_SCORER
    popular = room.popular[number]
    return Candidates(
        room.indices[number, :count],
        ranked,
        room.features[number, : width * count].reshape(width, count).T,
        np.flatnonzero(room.broken[number]),
        popular[popular != NONE],
    )


@compiled
def _score_all(batch: _Batch, items: Items, places: Indices, room: _Room) -> None:
    for number in range(len(batch.tenures)):
        chosen = _choose(number, batch, items, places, room)
        scores = _score(number, batch, items, chosen, places)
        _finish(number, items, chosen, scores, room)


def _score_with(
    slow: Sequence[Scorer], number: int, asked: Asked, places: Indices, batch: _Batch, room: _Room
) -> None:
    """Do for one request what ``_score_all`` does for many, and have families without a compiled form score."""
    items = asked.items
    chosen = _choose(number, batch, items, places, room)
    scores = _score(number, batch, items, chosen, places)
    for family in slow:
        scores[slice(*scorers.rows_of(family))] = family.score(asked, chosen)
    _finish(number, items, chosen, scores, room)


@compiled
def _history(number: int, batch: _Batch) -> History:
    start, end = batch.known[number], batch.known[number + 1]
    return History(
        batch.indices[start:end],
        batch.lags[start:end],
        batch.ages[start:end],
        batch.tenures[number],
        batch.times[number],
    )


@compiled
def _choose(number: int, batch: _Batch, items: Items, places: Indices, room: _Room) -> Indices:
    """Choose the candidates of a request, and note their places; list what is popular, which is beside them."""
    excluded = batch.excluded[batch.left_out[number] : batch.left_out[number + 1]]
    found = gather(_history(number, batch), items, excluded, places)
    _list_popular(items, excluded, places, room.popular[number])
    ranked = count = len(found)
    chosen = room.indices[number]
    for place in range(count):
        chosen[place] = found[place]
        places[found[place]] = place
    for other in batch.others[batch.added[number] : batch.added[number + 1]]:
        if places[other] == NONE:
            places[other] = count
            chosen[count] = other
            count += 1
    room.counts[number, 0], room.counts[number, 1] = count, ranked
    return np.asarray(chosen[:count])


@compiled
def _list_popular(items: Items, excluded: Indices, places: Indices, popular: Indices) -> None:
    """List the most popular items that are not excluded."""
    for item in excluded:
        places[item] = 0
    count = 0
    for item in items.heads[0]:
        if count < len(popular) and places[item] == NONE and items.available[item]:
            popular[count] = item
            count += 1
    for item in excluded:
        places[item] = NONE


@compiled
def _score(number: int, batch: _Batch, items: Items, chosen: Indices, places: Indices) -> Floats:
    """Compute the scores of the families that have a compiled form, shape (S, C), and take back the places."""
    scores = np.zeros((COUNT, len(chosen)), np.float32)
    scorers.fill(_history(number, batch), items, chosen, places, scores)
    for item in chosen:
        places[item] = NONE
    return scores


@compiled
def _finish(number: int, items: Items, chosen: Indices, scores: Floats, room: _Room) -> None:
    """Lower the scores of items that are not trusted, and make the features."""
    for row in range(len(scores)):
        if scorers.BY_VOTES[row]:
            for place in range(len(chosen)):
                scores[row, place] *= items.trust[chosen[place]]
    width = features.FEATURES_PER_SCORER * len(scores)
    values = room.features[number, : width * len(chosen)].reshape(width, len(chosen))
    features.fill(scores, room.counts[number, 1], values, room.broken[number])
