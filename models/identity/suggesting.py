"""Suggestions: pairs of accounts that may be one person's, with a confidence. Nobody merges what is only suggested.

Nothing is suggested where nothing can be learned: unless many accounts have several sessions, nobody knows what two
accounts of one person look like. So data with an order but no times, in which all is one session, get none. An account
with one event gets none either: it has no pace, hardly a taste, and nothing that could have been taken twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from afresh.models.arrays import Doubles, Indices, Places
from afresh.models.identity.confidence import Odds, chances, learn_odds
from afresh.models.identity.fingerprints import Crowd, Fingerprint, gather, halve
from afresh.models.identity.matching import choose, near_in_time
from afresh.models.identity.pairs import Prepared, evidence, learn_again, prepare
from afresh.models.identity.traits import Spread, learn_space, learn_spread

LEAST_EVENTS = 2
"""Events that an account has, at least."""

LEAST_HALVES = 100
"""Accounts with several sessions from which it is learned, at least."""

LIKELY = 0.5
"""Confidence of a suggestion, at least: what is rather wrong than right helps nobody."""


class Suggestion(NamedTuple):
    """Two accounts of different platforms, the smaller name first, and the chance that they are one person's."""

    first: str
    second: str
    confidence: float


class Learned(NamedTuple):
    """What halves of accounts teach: see ``models.identity.pairs``, ``traits`` and ``confidence``."""

    spread: Spread
    again: float
    odds: Odds


def suggest(fingerprints: Sequence[Fingerprint], seed: int = 0) -> list[Suggestion]:
    """Suggest pairs of accounts: an account at most once for each other platform, never two of one platform.

    The cost grows in proportion to the number of sessions: each is compared with a fixed number of others. The result
    depends on the fingerprints, whatever their order, and the seed alone.

    Parameters
    ----------
    fingerprints
        Accounts, each once. Those that are linked already are left out by whoever calls.
    seed
        Chooses which half of an account begins, where halves are learned from.

    Returns
    -------
    Suggestions, the surest first.
    """
    usable = (each for each in fingerprints if len(each.items) >= LEAST_EVENTS)
    useful = sorted(usable, key=lambda each: each.account)
    if len({each.platform for each in useful}) < 2:
        return []
    crowd = gather(useful)
    first, second, confidence = compare(crowd, seed)
    likely = np.flatnonzero(confidence >= LIKELY)
    return [
        Suggestion(useful[first[each]].account, useful[second[each]].account, float(confidence[each]))
        for each in likely[np.argsort(-confidence[likely], kind="stable")]
    ]


def compare(crowd: Crowd, seed: int) -> tuple[Places, Places, Doubles]:
    """Return the pairs of accounts that choose each other, the better by score first, and the chance of each."""
    halves, partners = halve(crowd, seed)
    if np.count_nonzero(partners >= 0) < 2 * LEAST_HALVES:
        return np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0)
    space = learn_space(crowd)
    learned = _learn(prepare(halves, space), partners)
    known = prepare(crowd, space)
    first, second, scores, compared = _match(known, learned, strangers=False)
    *_, strangers, among = _match(known, learned, strangers=True)
    chance = chances(scores, strangers, compared / max(among, 1))
    order = np.argsort(-scores, kind="stable")
    return first[order], second[order], chance[order]


def _learn(halves: Prepared, partners: Indices) -> Learned:
    first = np.flatnonzero((partners >= 0) & (halves.crowd.platforms == 0))
    second = partners[first].astype(np.intp)
    spread = learn_spread(halves.traits, first, second)
    again = learn_again(halves, first, second)
    one, other = near_in_time(halves.crowd, halves.sessions, strangers=False)
    odds = learn_odds(evidence(halves, spread, again, one, other), partners[one] == other)
    return Learned(spread, again, odds)


def _match(known: Prepared, learned: Learned, *, strangers: bool) -> tuple[Places, Places, Doubles, int]:
    """Return the pairs that choose each other, their scores, and how many pairs were compared."""
    first, second = near_in_time(known.crowd, known.sessions, strangers=strangers)
    odds = learned.odds.of(evidence(known, learned.spread, learned.again, first, second))
    chosen = choose(known.crowd, first, second, odds)
    return first[chosen.places], second[chosen.places], chosen.scores, len(first)
