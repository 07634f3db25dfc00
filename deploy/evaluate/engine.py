"""A deployment in one process: the rows, and the functions with which a worker's agents change them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from afresh.deploy.evaluate.embeddings import Vectors
from afresh.deploy.evaluate.people import KnownLink, LinkedUsers
from afresh.deploy.evaluate.variants import TakenItem, Variant
from afresh.models import scorers
from afresh.models.fusion.weights import Weights
from afresh.state.catalogue.alone import AloneCatalogue
from afresh.state.lists import UserList
from afresh.state.records import POSITIVE, Example, Interaction
from afresh.state.rows import content, users
from afresh.state.rows.behaviour import BehaviourRows
from afresh.state.rows.content import ContentRow, Vector
from afresh.state.rows.learning import learn
from afresh.state.rows.users import UserRow
from afresh.streams.kafka.sender import partition_of
from afresh.streams.messages import Item
from afresh.streams.serving.lister import Lister, Recipient
from afresh.streams.serving.policy import DEFAULT_POLICY, Policy
from afresh.streams.settings import Settings
from afresh.streams.stages.content import described

EVENTS_PER_ITEM = 20
"""The engine derives once per N / 20 events, where N is the number of items.

A worker, too, derives less often when there are more items (``streams.workers.deriving``). With up to 20 items the
engine derives before every event."""


class Engine:
    """All state of a deployment, held in memory.

    Parameters
    ----------
    settings
        Settings of the deployment; no server is needed.
    size
        Items in a list.
    encoder
        Name and version of the encoder.
    policy
        What lists may hold, and how they are arranged.
    without
        The scorers that each variant leaves out; one collection for each variant.

    Attributes
    ----------
    variants
        The variants of the recommender, in the order of ``without``.
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
        self.catalogue = AloneCatalogue(declared=settings.item_vectors)
        self._partitions = settings.partitions
        self._template = settings.text_template
        self._encoder = encoder
        self._lister = Lister(self.catalogue, size, policy=policy)
        self.variants = [Variant(self._lister, self.catalogue.known, each) for each in without]
        self._unweighed = Weights(scorers.prior())
        self._linked = LinkedUsers()
        self._content: dict[bytes, bytes] = {}
        self._behaviour: defaultdict[int, BehaviourRows] = defaultdict(lambda: BehaviourRows({}))
        self._offset = 0
        self._derive_at = 0.0

    def announce(self, items: Sequence[Item], vectors: Vectors) -> None:
        """Take in items as the topic ``afresh.items`` brings them, each with the embedding of its text, if any."""
        changed: dict[bytes, bytes | None] = {}
        for item in items:
            key = item.id.encode()
            packed = self._content.get(key)
            row, _ = described(item, content.unpack(packed) if packed else ContentRow(), self._template)
            vector = vectors.get(row.content)
            if vector is None:
                row = content.without_vectors(row, content.TEXT)
            else:
                made = Vector(content.TEXT, *self._encoder, row.content, vector.tobytes())
                row = content.with_vector(row, made)
            changed[key] = self._content[key] = content.pack(row)
        self.catalogue.apply_content(changed)

    def knows(self, item: str) -> bool:
        """Tell whether an item has been announced."""
        return item.encode() in self._content

    def link(self, links: Iterable[KnownLink]) -> None:
        """Take in links, as the stage of links and the owners of users' rows do."""
        self._linked.link(links)

    def take_in(self, interactions: Sequence[Interaction]) -> list[Sequence[UserList]]:
        """Take in interactions together, as a worker under load does.

        Each interaction sees its user's newest row. All of them see the items and the weights of the fusion as they
        were before the first interaction.

        Returns
        -------
        For each interaction, the lists of its user just before it, one for each variant. Empty if no item was taken.
        """
        self._derive()
        examples: defaultdict[int, list[Example]] = defaultdict(list)
        asked: list[TakenItem] = []
        positions: list[int] = []
        for position, told in enumerate(interactions):
            interaction = self._linked.given(told)
            row = self._linked.rows[interaction.user]
            before = self._recipient(interaction.user, row)
            partition = partition_of(interaction.user.encode(), self._partitions)
            example = users.fold(row, interaction, partition, self._offset)
            self._offset += 1
            if interaction.type in POSITIVE:
                positions.append(position)
                asked.append(TakenItem(interaction, before, learned=example is not None))
            if example is not None:
                examples[partition_of(example.item.encode(), self._partitions)].append(example)
        lists: list[Sequence[UserList]] = [()] * len(interactions)
        for position, made in zip(positions, self._make(asked), strict=True):
            lists[position] = made
        for partition, each in examples.items():
            self._learn(partition, each)
        return lists

    def _recipient(self, user: str, row: UserRow) -> Recipient:
        snapshot = users.unpack(users.pack(row))
        return Recipient(user, partition_of(user.encode(), self._partitions), snapshot, 0)

    def _make(self, asked: Sequence[TakenItem]) -> Iterator[Sequence[UserList]]:
        """Make the lists of all variants, and let each variant learn from what the users took."""
        known = all(each.recipient.row.revision for each in asked)
        nobody = None if known else self._lister.for_nobody(self._unweighed)
        scored = self._lister.candidates([each.recipient for each in asked], self._unweighed)
        return zip(*(variant.receive(asked, scored, nobody) for variant in self.variants), strict=True)

    def _derive(self) -> None:
        """Derive what follows from all item rows, if it is due."""
        if self._offset >= self._derive_at:
            self.catalogue.derive()
            self._derive_at = self._offset + len(self.catalogue) / EVENTS_PER_ITEM

    def _learn(self, partition: int, examples: Sequence[Example]) -> None:
        rows = self._behaviour[partition]
        self.catalogue.apply_behaviour(
            {rows.ids[number]: rows.packed(number) for number in learn(rows, examples)}
        )
