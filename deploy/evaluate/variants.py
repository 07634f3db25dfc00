"""Variants: the recommender with all scorers, or without some of them, side by side over the same rows."""

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
    """An interaction that took an item, its user just before it, and whether it is an example to learn from."""

    interaction: Interaction
    recipient: Recipient
    learned: bool


class Variant:
    """Serves lists without some scorers, and learns its own weights from what the users took.

    All features of the scorers left out are 0. The candidates and all rows are those of the whole recommender.

    Parameters
    ----------
    lister
        Makes the lists.
    known
        Function that returns what the Catalogue knows of an item, by the item's key.
    without
        Names of the scorers left out.

    Attributes
    ----------
    seconds
        CPU time spent on this variant alone.
    judges
        The judge of each partition, which also holds the partition's weights.
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
        """Make the lists, and let the fusion learn from what the users took.

        Parameters
        ----------
        asked
            The items that users took.
        scored
            The scored candidates of each user's list just before.
        nobody
            The scored candidates of the popular lists; None leaves these lists as they are.
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
        """Return the scores that this variant uses, with the weights of a partition."""
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
    """Return the partition whose weights make a user's list.

    Unknown users get the popular lists, and the worker of the first partition makes those.
    """
    return recipient.partition if recipient.row.revision else FIRST_PARTITION
