"""Lister: makes the lists that go to Redis, from user rows and the Catalogue."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np

from afresh.models import scorers
from afresh.models.arrays import Floats, Indices
from afresh.models.fusion import features
from afresh.models.fusion.weights import LEARNED_CANDIDATES, Weights, parts
from afresh.models.lists import rank
from afresh.models.lists.exploration import Draw, draw
from afresh.models.lists.untaken import expected_takes, held_back
from afresh.models.retrieval import asking
from afresh.models.retrieval.candidates import gather
from afresh.models.retrieval.places import Numbering
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
from afresh.streams.serving.served import ServedList

logger = logging.getLogger(__name__)

MODEL = f"afresh-{version('afresh')}"

NAMED_PARTS = 3
"""Number of scorers that an item of a list names: those that added or took away most. The others are one number."""

DIGITS = 4
"""Decimals of a score: more would make the lists longer without any use."""

_PART_NAMES = np.array([*scorers.NAMES, OTHERS])

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
        self._numbering = Numbering()
        self._named: set[str] = set()

    def make(self, recipients: Sequence[Recipient], learned: Weights) -> list[tuple[UserList, ServedList]]:
        """Make the lists of recipients."""
        return [self.serve(each, self.candidates(each, learned)) for each in recipients]

    def candidates(self, recipient: Recipient, learned: Weights) -> Scored:
        """Score the candidates of a user's list, with the new items drawn for it."""
        drawn = self._draw(recipient)
        scored = self.score(recipient.row, learned, NO_INDICES if drawn is None else drawn.new)
        return replace(scored, drawn=drawn)

    def serve(self, recipient: Recipient, scored: Scored) -> tuple[UserList, ServedList]:
        """Make a user's list from its scored candidates."""
        depth = max(LEARNED_CANDIDATES, self._size)
        best = rank.best(scored.fused()[: scored.ranked], depth)
        listed, propensities = arrange.arrange(
            scored, best, self._catalogue.items(), self.policy.diversity, self._size
        )
        popular = self._popular(scored.excluded)
        items = self._items(scored, listed, propensities)
        return self._list(recipient, items, scored), _served(scored, best, scored.candidates[listed], popular)

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

    def score(self, row: UserRow, learned: Weights, others: Indices = NO_INDICES) -> Scored:
        """Score the candidates of a user's list, and also ``others`` on the same scale."""
        user = self._user(row)
        asked = asking.Asked(user, self._catalogue.items(), self._numbering)
        excluded = self._excluded(row)
        candidates = gather(asked, excluded)
        ranked = len(candidates)
        if len(others):
            candidates = np.concatenate([candidates, np.setdiff1d(others, candidates)])
        scores = scorers.score(asked, candidates)
        broken = self._broken(scores)
        values = features.features(scores, ranked)
        gap = user.ages[1] if len(user.ages) > 1 else np.nan
        (situation,) = features.context(np.array([user.taken]), np.array([gap]))
        return Scored(candidates, ranked, values, situation, learned, excluded, broken=broken)

    def _broken(self, scores: Floats) -> bool:
        """Count the scorers that gave something that is no score; say so the first time."""
        numbers = features.broken(scores)
        for number in numbers.tolist():
            name = scorers.NAMES[number]
            metrics.BROKEN_SCORES.labels(name).inc()
            if name not in self._named:
                self._named.add(name)
                logger.error(
                    "The scorer %s gives NaN, infinity or negative numbers; they count as 0, and nothing is learned "
                    "from these lists: mend the scorer, or look at the rows that it reads",
                    name,
                )
        return bool(len(numbers))

    def _user(self, row: UserRow) -> asking.User:
        history = self._catalogue.indices_of(users.history_of(row))
        return asking.User(history, users.ages_of(row), row.taken, self._catalogue.now)

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

    def _popular(self, excluded: Indices) -> Indices:
        """Return the Catalogue indices of the list that popularity would have served."""
        head = self._head()
        return np.asarray(head[self._numbering.outside(head, excluded)][:LIST_LENGTH])

    def _head(self) -> Indices:
        items = self._catalogue.items()
        head = items.heads[0]
        return np.asarray(head[items.available[head]])

    def _items(self, scored: Scored, listed: Indices, propensities: Sequence[float | None]) -> list[ListItem]:
        added = parts(scored.weights, scored.features[listed]).astype(np.float64)
        scores = np.round(added.sum(axis=1), DIGITS)
        largest = np.argsort(-np.abs(added), axis=1, kind="stable")[:, :NAMED_PARTS]
        named = np.round(np.take_along_axis(added, largest, axis=1), DIGITS)
        others = np.round(scores - named.sum(axis=1), DIGITS)
        return [
            ListItem(self._catalogue.ids[index], score, dict(zip(names, values, strict=True)), propensity)
            for index, score, names, values, propensity in zip(
                scored.candidates[listed].tolist(),
                scores.tolist(),
                _PART_NAMES[np.insert(largest, NAMED_PARTS, -1, axis=1)].tolist(),
                np.column_stack([named, others]).tolist(),
                propensities,
                strict=True,
            )
        ]

    def _list(self, recipient: Recipient, items: list[ListItem], scored: Scored) -> UserList:
        row, made_at, made_with = recipient.row, timestamp(self._now()), scored.learned.version
        return UserList(
            row.since, row.revision, made_at, recipient.user, row.last_event, MODEL, items, made_with
        )

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
            scored, candidates=scored.candidates[order], ranked=len(order), features=scored.features[order]
        )


def _served(scored: Scored, best: Indices, listed: Indices, popular: Indices) -> ServedList:
    """Return what a judge needs of a list: the best candidates, and the items that were listed."""
    values = scored.features[best]
    return ServedList(
        scored.candidates[best],
        np.ascontiguousarray(values[:, 0 :: features.FEATURES_PER_SCORER]),
        values[:, 1 :: features.FEATURES_PER_SCORER].astype(np.float16),
        scored.situation,
        listed,
        popular,
        scored.learned.version,
        scored.broken,
    )
