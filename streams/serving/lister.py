"""Lister: makes the lists that go to Redis, from user rows and the Catalogue."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
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
        When Kafka took the newest event that the row contains, in ms since 1970.
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
        halves = users.left_out_of(row, rule)
        indices = np.array(self._catalogue.indices_of_halves(halves.tolist()), np.int32)
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

    def _head(self) -> Indices:
        items = self._catalogue.items()
        head = items.heads[0]
        return np.asarray(head[items.available[head]])

    def popular(self, learned: Weights) -> list[tuple[PopularList, ServedList]]:
        """Make the popular list of every domain: the list for a user of whom nothing is known."""
        return self.serve_nobody(self.for_nobody(learned))

    def serve_nobody(self, scored: Scored) -> list[tuple[PopularList, ServedList]]:
        """Make the popular list of every domain from scored candidates."""
        made_at, head, domains = timestamp(self._now()), self._head(), self._catalogue.domains()
        made = []
        for domain, scores in self.popular_scores(scored).items():
            indices = domains[domain]
            best = rank.best(scores, max(LEARNED_CANDIDATES, self._size))
            chosen = scored.candidates[best]
            items = [
                PopularItem(self._catalogue.ids[index], round(score, DIGITS))
                for index, score in zip(chosen[: self._size].tolist(), scores[best].tolist(), strict=False)
            ]
            popular = head[np.isin(head, indices)][:LIST_LENGTH]
            served = _served(scored, best, chosen[: self._size], popular)
            made.append((PopularList(0, 0, made_at, domain, items, scored.learned.version), served))
        return made

    def popular_scores(self, scored: Scored) -> dict[str, Floats]:
        """Return the scores of all candidates in the popular list of each domain; -inf for those of other domains.

        Untaken items stand no higher than the counts of their domain say, whatever the weights are.
        """
        fused, candidates = scored.fused(), scored.candidates
        counts, examples = self._catalogue.popularity()[candidates], self._catalogue.items().examples
        untaken = examples[candidates] == 0
        scores = {}
        for domain, indices in self._catalogue.domains().items():
            inside = np.isin(candidates, indices)
            proven = inside & ~untaken & (counts > expected_takes(examples[indices]))
            scores[domain] = np.where(inside, held_back(fused, untaken, proven), np.float32(-np.inf))
        return scores

    def for_nobody(self, learned: Weights) -> Scored:
        """Choose and score the candidates of the popular lists.

        Returns
        -------
        The candidates of a user of whom nothing is known, and the items most taken in each domain, so that no list is
        short. All are in the order of their keys.
        """
        counts, keys = self._catalogue.popularity(), self._catalogue.items().keys
        heads = [NO_INDICES]
        for indices in self._catalogue.domains().values():
            if self._size < len(indices):
                # Partition first, then sort only the most taken: this may run every second on a large catalogue.
                indices = indices[counts[indices] >= np.partition(counts[indices], -self._size)[-self._size]]
            indices = indices[np.argsort(keys[indices])]
            heads.append(indices[rank.best(counts[indices], self._size)].astype(np.int32))
        scored = self.score(UserRow(), learned, np.concatenate(heads))
        order = np.argsort(keys[scored.candidates])
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
