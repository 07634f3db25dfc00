"""A deployment in one process: the rows, and the functions that the agents of a worker move them with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from msgspec.structs import replace

from afresh.deploy.evaluate.embeddings import Vectors
from afresh.deploy.evaluate.variants import TakenItem, Variant
from afresh.models import scorers
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.lists import UserList
from afresh.state.records import POSITIVE, Example, Interaction
from afresh.state.rows import content, users
from afresh.state.rows.behaviour import BehaviourRows
from afresh.state.rows.content import ContentRow
from afresh.state.rows.learning import learn
from afresh.state.rows.users import UserRow
from afresh.streams.kafka.sender import partition_of
from afresh.streams.messages import Item
from afresh.streams.serving.lister import Lister, Recipient
from afresh.streams.serving.policy import DEFAULT_POLICY, Policy
from afresh.streams.settings import Settings
from afresh.streams.stages.content import described

EVENTS_PER_ITEM = 20
"""What follows from all items' rows is derived anew after one event for so many items: a worker, too, does it the more
seldom the more items there are (``streams.workers.deriving``). Of up to so many items it is derived before every
event."""


class Engine:
    """All state of a deployment.

    Parameters
    ----------
    settings
        The deployment; no server is needed.
    size
        Items in a list.
    encoder
        Name and version of the encoder.
    policy
        What lists may hold, and how they are arranged.
    without
        For each variant of the recommender that serves lists, the scorers left out.

    Attributes
    ----------
    variants
        In this order.
    """

    def __init__(
        self,
        settings: Settings,
        size: int,
        encoder: tuple[str, str] = ("", ""),
        *,
        policy: Policy = DEFAULT_POLICY,
        without: Sequence[Collection[str]] = ((),),
    ) -> None:
        self.catalogue = Catalogue()
        self._partitions = settings.partitions
        self._encoder = encoder
        self._lister = Lister(self.catalogue, size, policy=policy)
        self.variants = [Variant(self._lister, self.catalogue.known, each) for each in without]
        self._unweighed = scorers.new_fusion()
        self._users: defaultdict[str, UserRow] = defaultdict(UserRow)
        self._content: dict[bytes, bytes] = {}
        self._behaviour: defaultdict[int, BehaviourRows] = defaultdict(lambda: BehaviourRows({}))
        self._offset = 0
        self._derive_at = 0.0

    def announce(self, items: Sequence[Item], vectors: Vectors) -> None:
        """Take in items as ``afresh.items`` brings them, each with the embedding of its text, if it has one."""
        changed: dict[bytes, bytes | None] = {}
        for item in items:
            key = item.id.encode()
            packed = self._content.get(key)
            row, _ = described(item, content.unpack(packed) if packed else ContentRow())
            vector = vectors.get(row.content)
            if vector is None:
                row = replace(row, embedding=b"", encoder="", encoder_version="")
            else:
                name, version = self._encoder
                row = replace(row, embedding=vector.tobytes(), encoder=name, encoder_version=version)
            changed[key] = self._content[key] = content.pack(row)
        self.catalogue.apply_content(changed)

    def knows(self, item: str) -> bool:
        """Whether an item has been announced."""
        return item.encode() in self._content

    def take_in(self, interactions: Sequence[Interaction]) -> list[Sequence[UserList]]:
        """Take in interactions, as a worker under load does that has them all before it.

        Users' rows are fresh at every one of them; the items, and the weights of the fusion, are as they were before
        the first.

        Returns
        -------
        For each interaction the lists of its user just before it, one of each variant; none if no item was taken.
        """
        self._derive()
        examples: defaultdict[int, list[Example]] = defaultdict(list)
        asked: list[TakenItem] = []
        places: list[int] = []
        for place, interaction in enumerate(interactions):
            row = self._users[interaction.user]
            before = self._recipient(interaction.user, row)
            partition = partition_of(interaction.user.encode(), self._partitions)
            example = users.fold(row, interaction, partition, self._offset)
            self._offset += 1
            if interaction.type in POSITIVE:
                places.append(place)
                asked.append(TakenItem(interaction, before, learned=example is not None))
            if example is not None:
                examples[partition_of(example.item.encode(), self._partitions)].append(example)
        lists: list[Sequence[UserList]] = [()] * len(interactions)
        for place, made in zip(places, self._make(asked), strict=True):
            lists[place] = made
        for partition, each in examples.items():
            self._learn(partition, each)
        return lists

    def _recipient(self, user: str, row: UserRow) -> Recipient:
        snapshot = users.unpack(users.pack(row))
        return Recipient(user, partition_of(user.encode(), self._partitions), snapshot, 0)

    def _make(self, asked: Sequence[TakenItem]) -> Iterator[Sequence[UserList]]:
        """Make the lists of all variants, and let them learn how they were received."""
        known = all(each.recipient.row.revision for each in asked)
        nobody = None if known else self._lister.for_nobody(self._unweighed)
        scored = [self._lister.candidates(each.recipient, self._unweighed) for each in asked]
        return zip(*(variant.receive(asked, scored, nobody) for variant in self.variants), strict=True)

    def _derive(self) -> None:
        """Derive what follows from all items' rows, if it is time."""
        if self._offset >= self._derive_at:
            self.catalogue.derive()
            self._derive_at = self._offset + len(self.catalogue) / EVENTS_PER_ITEM

    def _learn(self, partition: int, examples: Sequence[Example]) -> None:
        rows = self._behaviour[partition]
        self.catalogue.apply_behaviour(
            {rows.ids[number]: rows.packed(number) for number in learn(rows, examples)}
        )
