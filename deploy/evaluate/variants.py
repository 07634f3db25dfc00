"""Variants: the recommender, and what is left of it without some scorers, side by side over the same rows."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from afresh.models import scorers
from afresh.models.fusion import fusion
from afresh.state.catalogue.catalogue import Known
from afresh.state.judged import kept
from afresh.state.lists import UserList
from afresh.state.records import Interaction
from afresh.streams.serving.arrange import Scored
from afresh.streams.serving.judge import Judge
from afresh.streams.serving.lister import Lister, Recipient
from afresh.streams.serving.popular import FIRST_PARTITION
from afresh.streams.serving.served import ServedList, ServedLists


class TakenItem(NamedTuple):
    """An item taken, the user just before, and whether others learn from it."""

    interaction: Interaction
    recipient: Recipient
    learned: bool


class Variant:
    """The lists that are served without some scorers, and the weights that are learned from how these are received.

    The scorers say nothing; the candidates are those of the whole recommender, and so are all rows.

    Parameters
    ----------
    lister
        Makes the lists.
    known
        What the Catalogue knows of the item of a key.
    without
        The scorers left out.

    Attributes
    ----------
    seconds
        CPU time spent on this variant alone.
    judges
        By partition: what judges the lists, and holds the weights.
    """

    def __init__(self, lister: Lister, known: Callable[[int], Known], without: Collection[str] = ()) -> None:
        self.seconds = 0.0
        self._lister = lister
        silent = [name in without for name in scorers.NAMES]
        self._silent = np.repeat(silent, fusion.FEATURES_PER_SCORER)
        self._served = ServedLists()
        self.judges: defaultdict[int, Judge] = defaultdict(
            lambda: Judge(kept.unpack(b""), self._served, known)
        )

    def receive(
        self, asked: Sequence[TakenItem], scored: Sequence[Scored], nobody: Scored | None
    ) -> list[UserList]:
        """Make the lists, and let the fusion learn how they were received.

        Parameters
        ----------
        asked, scored
            What users took, and all that their lists were made of just before.
        nobody
            What the popular lists are made of; None leaves them as they are.
        """
        started = time.process_time()
        if nobody is not None:
            self._served.remember_popular(self._lister.serve_nobody(self._seen(nobody, FIRST_PARTITION)))
        made = [
            self._lister.serve(each.recipient, self._seen(those, _weighing(each.recipient)))
            for each, those in zip(asked, scored, strict=True)
        ]
        for each, (_, served) in zip(asked, made, strict=True):
            self._judge(each, served)
        self.seconds += time.process_time() - started
        return [made_list for made_list, _ in made]

    def _seen(self, scored: Scored, partition: int) -> Scored:
        """What of the scores this variant has, by the weights of a partition."""
        features = np.where(self._silent, np.float32(0), scored.features)
        return replace(scored, features=features, learned=self.judges[partition].fusion)

    def _judge(self, asked: TakenItem, served: ServedList) -> None:
        interaction, recipient = asked.interaction, asked.recipient
        unknown = not recipient.row.revision
        if not unknown:
            self._served.remember(interaction.user, served)
        if asked.learned:
            self.judges[recipient.partition].taken(interaction, recipient.row.taken, unknown=unknown)


def _weighing(recipient: Recipient) -> int:
    """Partition by whose weights a user's list is made; one worker makes what is shown to all that nobody knows."""
    return recipient.partition if recipient.row.revision else FIRST_PARTITION
