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
from afresh.state.judged.examples import JudgedExamples
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
        if nobody is not None:
            self._served.remember_popular(self._lister.serve_nobody(self._seen(nobody, self.weights())))
        made = [
            self._lister.serve(each.recipient, self._seen(those, self.weights(each.recipient)))
            for each, those in zip(asked, scored, strict=True)
        ]
        for each, (_, served) in zip(asked, made, strict=True):
            self._judge(each, served)
        self.seconds += time.process_time() - started
        return [made_list for made_list, _ in made]

    def _seen(self, scored: Scored, learned: Weights) -> Scored:
        """Return the scores that this variant uses, with its weights."""
        features = np.where(self._silent, np.float32(0), scored.features)
        return replace(scored, features=features, learned=learned)

    def weights(self, _recipient: Recipient | None = None) -> Weights:
        """Return the weights of now for a user's list, or for the popular lists."""
        return self.weighing.kept.fusion.weights()

    def _judge(self, asked: TakenItem, served: ServedList) -> None:
        """Judge a list, and learn from the example."""
        interaction, recipient = asked.interaction, asked.recipient
        unknown = not recipient.row.revision
        if not unknown:
            self._served.remember(interaction.user, served)
        if asked.learned:
            judge = Judge(recipient.partition, self._served, self._known, self.weights(recipient))
            judge.taken(interaction, 0, recipient.row.taken, unknown=unknown)
            for record in judge.collected.together(UNKNOWN):
                self.take(record)

    def take(self, record: JudgedExamples) -> None:
        """Learn from judged examples."""
        self.weighing.take(record)
