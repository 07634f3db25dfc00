"""judge: compares what users take with the lists served, and says what the fusion may learn from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from afresh.models.arrays import Indices, Integers
from afresh.models.fusion.weights import Weights, gradient
from afresh.state.catalogue.catalogue import Known
from afresh.state.judged.examples import BROKEN, JUDGED, TAUGHT, UNJUDGED, Collected
from afresh.state.judged.verdicts import LIST_LENGTH, RANKINGS
from afresh.state.keys import key_of
from afresh.state.records import Interaction
from afresh.streams.serving.served import ServedList, ServedLists


class Judge:
    """Judges the examples of a part of a run.

    Parameters
    ----------
    source
        Partition of the interactions.
    served
        Newest lists served.
    known
        Returns what the Catalogue knows about an item, given the item's key.
    weights
        The newest weights.

    Attributes
    ----------
    collected
        The judged examples.
    received
        When Kafka took the newest event of an example, in ms.
    """

    def __init__(
        self, source: int, served: ServedLists, known: Callable[[int], Known], weights: Weights
    ) -> None:
        self.collected = Collected(source)
        self.received = 0
        self._served = served
        self._known = known
        self._weights = weights

    def taken(self, interaction: Interaction, offset: int, user_took: int, *, unknown: bool = False) -> None:
        """Judge one example.

        Parameters
        ----------
        interaction
            Interaction by which the user took the item.
        offset
            Offset of the interaction.
        user_took
            Number of items that the user had taken before.
        unknown
            Whether nothing was known of the user before. The popular list is then the list served.
        """
        self.received = max(self.received, interaction.received)
        lists = self._served
        served = lists.nobody.get(interaction.domain) if unknown else lists.of(interaction.user)
        fields: dict[str, object] = {"received": interaction.received, "became": UNJUDGED}
        if served is not None:
            fields |= self._judged(served, interaction)
            fields["user_took"] = user_took
        self.collected.add(offset, interaction.domain, interaction.platform, fields)

    def _judged(self, served: ServedList, interaction: Interaction) -> dict[str, object]:
        key = key_of(interaction.item)
        item = self._known(key)
        place = _place(served.candidates, item.index)
        ranks = _ranks(served, place, _place(served.listed, item.index), _place(served.popular, item.index))
        fields: dict[str, object] = {
            "became": BROKEN if served.broken else JUDGED,
            "item": key,
            "made_with": served.made_with,
            "item_taken": item.examples,
            "ranks": np.minimum(ranks, LIST_LENGTH),
        }
        if place is not None and not served.broken:
            (weights,) = self._weights.in_contexts(served.situation[None])
            fields |= {
                "became": TAUGHT,
                "trust": item.trust,
                "situation": served.situation,
                "gradient": gradient(weights, served.features(), place),
            }
        return fields


def _place(indices: Indices, index: int) -> int | None:
    found = np.flatnonzero(indices == index)
    return int(found[0]) if index >= 0 and len(found) else None


def _ranks(served: ServedList, place: int | None, listed: int | None, popular: int | None) -> Integers:
    """Return the rank of the item taken in each of ``RANKINGS``; ``LIST_LENGTH`` or more is a miss.

    The ranking of a single scorer orders the candidates by the scorer's first feature. A candidate with the same score
    as the item taken ranks before it.
    """
    ranks = np.full(len(RANKINGS), LIST_LENGTH)
    if place is not None:
        alone = served.logarithms
        ranks[2:] = np.count_nonzero(~(alone < alone[place]), axis=0) - 1
    if listed is not None:
        ranks[0] = listed
    if popular is not None:
        ranks[1] = popular
    return ranks
