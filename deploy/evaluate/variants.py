"""Variants: the recommender with all scorers, or without some of them, side by side over the same rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from afresh.models import scorers
from afresh.models.fusion.features import FEATURES_PER_SCORER
from afresh.models.fusion.weights import Weights
from afresh.state.catalogue.catalogue import Known
from afresh.state.judged import kept
from afresh.state.judged.weighing import Weighing
from afresh.state.lists import UserList
from afresh.state.records import Interaction
from afresh.state.store.marks import UNKNOWN
from afresh.streams.serving.arrange import Scored
from afresh.streams.serving.judge import Judge
from afresh.streams.serving.lister import Lister, Recipient
from afresh.streams.serving.recommend import SERVED_BYTES
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
    weighing
        Learns the weights from the items taken.
    """

    def __init__(self, lister: Lister, known: Callable[[int], Known], without: Collection[str] = ()) -> None:
        self.seconds = 0.0
        self._lister = lister
        self._known = known
        silent = [name in without for name in scorers.NAMES]
        self._silent = np.repeat(silent, FEATURES_PER_SCORER)
        self._served = ServedLists(SERVED_BYTES)
        self.weighing = Weighing(kept.unpack(b""))

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
        learned = self.weighing.kept.fusion.weights()
        if nobody is not None:
            self._served.remember_popular(self._lister.serve_nobody(self._seen(nobody, learned)))
        made = [
            self._lister.serve(each.recipient, self._seen(those, learned))
            for each, those in zip(asked, scored, strict=True)
        ]
        self._learn(asked, [served for _, served in made], learned)
        self.seconds += time.process_time() - started
        return [made_list for made_list, _ in made]

    def _seen(self, scored: Scored, learned: Weights) -> Scored:
        """Return the scores that this variant uses, with its weights."""
        features = np.where(self._silent, np.float32(0), scored.features)
        return replace(scored, features=features, learned=learned)

    def _learn(self, asked: Sequence[TakenItem], served: Sequence[ServedList], learned: Weights) -> None:
        """Judge the lists, and learn from the examples, in the order of the log."""
        for each, made in zip(asked, served, strict=True):
            interaction, row = each.interaction, each.recipient.row
            if row.revision:
                self._served.remember(interaction.user, made)
            if each.learned:
                judge = Judge(each.recipient.partition, self._served, self._known, learned)
                judge.taken(interaction, 0, row.taken, unknown=not row.revision)
                for record in judge.collected.together(UNKNOWN):
                    self.weighing.take(record)
