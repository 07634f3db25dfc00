"""Lister: makes the lists that go to Redis, from user rows and the Catalogue."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import NamedTuple

import numpy as np

from afresh.models import scorers, scoring
from afresh.models.arrays import Floats, Indices
from afresh.models.fusion import features
from afresh.models.fusion.features import split
from afresh.models.fusion.weights import DIGITS, LEARNED_CANDIDATES, Weights, largest_parts
from afresh.models.lists import rank
from afresh.models.lists.exploration import Draw, draw
from afresh.models.lists.untaken import expected_takes, held_back
from afresh.models.retrieval import asking
from afresh.models.scoring import Candidates, Request
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.catalogue.domains import Domains
from afresh.state.judged.verdicts import LIST_LENGTH
from afresh.state.keys import key_of
from afresh.state.lists import OTHERS, ListItem, PopularItem, PopularList, UserList, timestamp
from afresh.state.records import LeaveOut
from afresh.state.rows import users
from afresh.state.rows.users import UserRow
from afresh.streams import metrics
from afresh.streams.serving import arrange
from afresh.streams.serving.arrange import Scored
from afresh.streams.serving.policy import DEFAULT_POLICY, Policy
from afresh.streams.serving.pool import ScoringPool
from afresh.streams.serving.served import ServedList

logger = logging.getLogger(__name__)

MODEL = f"afresh-{version('afresh')}"

NAMED_PARTS = 3
"""Number of scorers that an item of a list names: those that added or took away most. The others are one number."""

NO_INDICES = np.empty(0, np.int32)


@dataclass(frozen=True)
class Recipient:
    """A user to make a list for.

    Attributes
    ----------
    user
        Name of the canonical user.
    partition
        Partition of the user's row.
    row
        The user's row as of now.
    received
        When Kafka took the newest event that the row contains, in ms since 1970; 0 if no event is new.
    """

    user: str
    partition: int
    row: UserRow
    received: int


class _Asked(NamedTuple):
    """What the list of a recipient is made by: what it is scored by, and the new items drawn for it."""

    request: Request
    drawn: Draw | None


class Lister:
    """Makes the lists of users and the popular lists.

    Parameters
    ----------
    catalogue
        Catalogue that lists are made from.
    size
        Number of items in a list.
    policy
        What lists may hold, and how they are arranged.
    now
        Clock, seconds since 1970.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        size: int,
        *,
        policy: Policy = DEFAULT_POLICY,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._catalogue = catalogue
        self._size = size
        self.policy = policy
        self._now = now
        self._named: set[str] = set()

    def make(self, recipients: Sequence[Recipient], learned: Weights) -> list[tuple[UserList, ServedList]]:
        """Make the lists of recipients, here and now."""
        scored = self.candidates(recipients, learned)
        return [self.serve(*each) for each in zip(recipients, scored, strict=True)]

    async def make_beside(
        self, recipients: Sequence[Recipient], learned: Weights, pool: ScoringPool
    ) -> list[tuple[UserList, ServedList]]:
        """Make the lists of recipients, scored in other threads; the Catalogue must not change meanwhile."""
        asked = self._ask(recipients)
        found = await pool.score_lists([each.request for each in asked], self._catalogue.items())
        scored = self._scored(asked, found, learned)
        return [self.serve(*each) for each in zip(recipients, scored, strict=True)]

    def candidates(self, recipients: Sequence[Recipient], learned: Weights) -> list[Scored]:
        """Score the candidates of users' lists, with the new items drawn for them."""
        asked = self._ask(recipients)
        found = scoring.score_lists([each.request for each in asked], self._catalogue.items())
        return self._scored(asked, found, learned)

    def score(self, row: UserRow, learned: Weights, others: Indices = NO_INDICES) -> Scored:
        """Score the candidates of a user's list, and also ``others`` on the same scale."""
        asked = _Asked(self._request(row, others), None)
        (scored,) = self._scored(
            [asked], scoring.score_lists([asked.request], self._catalogue.items()), learned
        )
        return scored

    def serve(self, recipient: Recipient, scored: Scored) -> tuple[UserList, ServedList]:
        """Make a user's list from its scored candidates."""
        depth = max(LEARNED_CANDIDATES, self._size)
        best = rank.first_of(scored.fused()[: scored.ranked], depth)
        listed, propensities = arrange.arrange(
            scored, best, self._catalogue.items(), self.policy.diversity, self._size
        )
        items = self._items(scored, listed, propensities)
        served = _served(scored, best, scored.candidates[listed], scored.popular)
        return self._list(recipient, items, scored), served

    def _ask(self, recipients: Sequence[Recipient]) -> list[_Asked]:
        asked = []
        for each in recipients:
            drawn = self._draw(each)
            asked.append(_Asked(self._request(each.row, NO_INDICES if drawn is None else drawn.new), drawn))
        return asked

    def _request(self, row: UserRow, others: Indices) -> Request:
        history = self._catalogue.indices_of(users.history_of(row))
        user = asking.User(history, users.ages_of(row), row.taken, self._catalogue.now)
        return Request(user, self._excluded(row), others)

    def _scored(self, asked: Sequence[_Asked], found: Sequence[Candidates], learned: Weights) -> list[Scored]:
        ages = [each.request.user.ages for each in asked]
        taken = np.array([each.request.user.taken for each in asked])
        gaps = np.array([each[1] if len(each) > 1 else np.nan for each in ages])
        situations = features.context(taken, gaps)
        return [
            Scored(
                candidates.indices,
                candidates.ranked,
                candidates.features,
                situation,
                learned,
                each.request.excluded,
                candidates.popular,
                drawn=each.drawn,
                broken=self._broken(candidates),
            )
            for each, candidates, situation in zip(asked, found, situations, strict=True)
        ]

    def _draw(self, recipient: Recipient) -> Draw | None:
        """Draw the new items of a user's list; None if new items get no places.

        The seed depends only on the user and the row's revision, so that the same events give the same draw.
        """
        share = self.policy.exploration
        if not share:
            return None
        seed = key_of(f"{recipient.user} {recipient.row.revision}")
        return draw(self.explorable(recipient.row), share, self._size, seed)

    def explorable(self, row: UserRow) -> Indices:
        """Return the Catalogue indices of the new items that a user's list may hold."""
        if not self.policy.exploration:
            return NO_INDICES
        return arrange.pool(self._catalogue.items(), self._excluded(row))

    def _broken(self, candidates: Candidates) -> bool:
        """Count the scorers that gave something that is no score; say so the first time."""
        for number in candidates.broken.tolist():
            name = scorers.NAMES[number]
            metrics.BROKEN_SCORES.labels(name).inc()
            if name not in self._named:
                self._named.add(name)
                logger.error(
                    "The scorer %s gives NaN, infinity or negative numbers; they count as 0, and nothing is learned "
                    "from these lists: mend the scorer, or look at the rows that it reads",
                    name,
                )
        return bool(len(candidates.broken))

    def _excluded(self, row: UserRow) -> Indices:
        """Return the Catalogue indices of the items to leave out, each by the rule of its domain."""
        return np.concatenate([self._left_out(row, rule) for rule in sorted(self.policy.rules)])

    def _left_out(self, row: UserRow, rule: LeaveOut) -> Indices:
        indices = self._catalogue.indices_of_halves(users.left_out_of(row, rule))
        if len(self.policy.rules) == 1:
            return indices
        ruled = [self.policy.rule(domain) == rule for domain in self._catalogue.domains_of(indices)]
        return indices[np.array(ruled, np.bool_)]

    def _items(self, scored: Scored, listed: Indices, propensities: Sequence[float | None]) -> list[ListItem]:
        weights = scored.weights.astype(np.float32)
        named, added, scores = largest_parts(weights, scored.features, listed, NAMED_PARTS)
        ids, names = self._catalogue.ids, scorers.NAMES
        return [
            ListItem(ids[index], score, {names[a]: x, names[b]: y, names[c]: z, OTHERS: rest}, propensity)
            for index, score, (a, b, c), (x, y, z, rest), propensity in zip(
                scored.candidates[listed].tolist(),
                scores.tolist(),
                named.tolist(),
                added.tolist(),
                propensities,
                strict=True,
            )
        ]

    def _list(self, recipient: Recipient, items: list[ListItem], scored: Scored) -> UserList:
        row, made_at, made_with = recipient.row, timestamp(self._now()), scored.learned.version
        return UserList(
            *(row.since, row.revision, made_at, recipient.user, row.last_event, MODEL),
            *(items, made_with, self._catalogue.model),
        )

    @property
    def domains(self) -> Domains:
        """The domains that have a popular list."""
        return self._catalogue.domains

    def popular(
        self, learned: Weights, domains: Collection[str] | None = None
    ) -> list[tuple[PopularList, ServedList]]:
        """Make the popular list of some domains, or of all: the list for a user of whom nothing is known."""
        return self.serve_nobody(self.for_nobody(learned, domains), domains)

    def serve_nobody(
        self, scored: Scored, domains: Collection[str] | None = None
    ) -> list[tuple[PopularList, ServedList]]:
        """Make the popular list of some domains, or of all, from scored candidates."""
        made_at, items, of = timestamp(self._now()), self._catalogue.items(), self._catalogue.domains
        made = []
        for domain, (places, scores) in self.popular_scores(scored, domains).items():
            ranked = rank.best(scores, max(LEARNED_CANDIDATES, self._size))
            best, best_scores = places[ranked], scores[ranked][: self._size].tolist()
            chosen = scored.candidates[best][: self._size]
            listed = [
                PopularItem(self._catalogue.ids[index], round(score, DIGITS))
                for index, score in zip(chosen.tolist(), best_scores, strict=True)
            ]
            served = _served(scored, best, chosen, of.head(of.number(domain), LIST_LENGTH, items))
            made.append((PopularList(0, 0, made_at, domain, listed, scored.learned.version), served))
        return made

    def popular_scores(
        self, scored: Scored, domains: Collection[str] | None = None
    ) -> dict[str, tuple[Indices, Floats]]:
        """Return the places and the scores of the candidates that are in each domain, for its popular list.

        Untaken items stand no higher than the counts of their domain say, whatever the weights are.
        """
        candidates, items, of = scored.candidates, self._catalogue.items(), self._catalogue.domains
        fused, counts = scored.fused(), self._catalogue.popularity(candidates)
        untaken, numbers = items.examples[candidates] == 0, items.domain[candidates]
        order = np.argsort(numbers, kind="stable").astype(np.int32)
        names = of.names if domains is None else domains
        wanted = [of.number(name) for name in names]
        starts, ends = (np.searchsorted(numbers[order], wanted, side) for side in ("left", "right"))
        scores = {}
        for name, number, start, end in zip(names, wanted, starts.tolist(), ends.tolist(), strict=True):
            places = order[start:end]
            proven = ~untaken[places] & (counts[places] > expected_takes(*of.takes(number)))
            scores[name] = places, held_back(fused[places], untaken[places], proven)
        return scores

    def for_nobody(self, learned: Weights, domains: Collection[str] | None = None) -> Scored:
        """Choose and score the candidates of the popular lists of some domains, or of all.

        Returns
        -------
        The candidates of a user of whom nothing is known, and the items most taken in each domain, so that no list is
        short. All are in the order of their keys.
        """
        items, of = self._catalogue.items(), self._catalogue.domains
        names = of.names if domains is None else domains
        heads = [of.head(of.number(name), self._size, items) for name in names]
        scored = self.score(UserRow(), learned, np.concatenate([NO_INDICES, *heads]))
        order = np.argsort(items.keys[scored.candidates])
        return replace(
            scored,
            candidates=scored.candidates[order],
            ranked=len(order),
            features=np.take(scored.features.T, order, axis=1).T,
        )


def _served(scored: Scored, best: Indices, listed: Indices, popular: Indices) -> ServedList:
    """Return what a judge needs of a list: the best candidates, and the items that were listed."""
    logarithms, roots = split(scored.features, best)
    return ServedList(
        scored.candidates[best],
        logarithms,
        roots.astype(np.float16),
        scored.situation,
        listed,
        popular,
        scored.learned.version,
        scored.broken,
    )
