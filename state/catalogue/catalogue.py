"""The Catalogue: a worker's copy of what lists need of all items, as arrays for scoring.

It follows the changelogs of behaviour and content, and what the model tells (``streams.kafka.follow``). The thread of
the event loop updates it in place. Lists are scored in other threads meanwhile. So that a list never sees half an
update, whoever changes the Catalogue and whoever reads it in another thread holds ``Catalogue.still``: updates wait
until a batch of lists is scored, and lists are of one moment, whose version is their stamp.
What follows from all rows together is made elsewhere (``state.model``). A version of it counts once it is whole.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from afresh.models.arrays import NONE, Indices, Keys, Mask, Reals
from afresh.models.layout import HALF_LIVES_MS
from afresh.models.learning import popularity
from afresh.models.retrieval import asking
from afresh.state.catalogue.copies import ModelCopy
from afresh.state.catalogue.domains import Domains
from afresh.state.catalogue.embeddings import CodedEmbeddings
from afresh.state.catalogue.growing import Growing
from afresh.state.keys import key_of
from afresh.state.model.told import TOLD, Message, Numbered, Revised, Told, Whole
from afresh.state.rows import behaviour, content
from afresh.state.rows.content import ContentRow
from afresh.state.store.marks import OWN_KEYS, PARTITION_ROW_KEY

Latest = Mapping[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class Known:
    """What the Catalogue knows about an item.

    Attributes
    ----------
    index
        Index of the item, ``NONE`` if no row names it.
    examples
        How often the item was taken.
    trust
        Share of its votes that is believed; see ``models.relations.trust``.
    """

    index: int
    examples: int
    trust: float


class Catalogue:
    """All items that rows name. Each item has an index that it keeps for the life of the process.

    Attributes
    ----------
    ids
        Id of each item, by index; empty for an item that so far is only a neighbour in other items' rows.
    now
        Newest time of an event, in ms.
    version
        Counter of everything that changes lists.
    still
        Held while the Catalogue changes, and while it must not change. It lets all in by turns.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.now = 0
        self.version = 0
        self.still = asyncio.Lock()
        self._views: asking.Items | None = None
        self._index: dict[int, int] = {}
        self._by_half: defaultdict[int, list[int]] = defaultdict(list)
        self._domains = Domains()
        self._embeddings = CodedEmbeddings()
        self._arrays = Growing(
            available=((), np.bool_, False),
            domain=((), np.int32, NONE),
            keys=((), np.uint64, 0),
            examples=((), np.uint32, 0),
            counts=((len(HALF_LIVES_MS),), np.float32, 0),
            count_times=((), np.int64, 0),
        )
        self._copy = ModelCopy(0)
        self._coming = ModelCopy(0)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def model(self) -> int:
        """The version of the model that lists are made from; 0 while there is none."""
        return self._copy.version

    @property
    def available(self) -> Mask:
        """Whether a list may hold each item, shape (N,)."""
        return self._arrays["available"]

    @property
    def embedded(self) -> int:
        """Number of available items that have an embedding."""
        return self._embeddings.count_embedded(self.available)

    def indices_of(self, keys: Keys) -> Indices:
        """Return the indices of items by key, int32 of the same shape; ``NONE`` where no row names the item."""
        get = self._index.get
        indices = [get(key, NONE) for key in keys.ravel().tolist()]
        return np.array(indices, np.int32).reshape(keys.shape)

    def known(self, key: int) -> Known:
        """Return what is known about an item, by key."""
        index = self._index.get(key, NONE)
        if index == NONE:
            return Known(NONE, 0, 1.0)
        return Known(
            index, int(self._arrays["examples"][index]), float(self._copy.views(len(self))["trust"][index])
        )

    def indices_of_halves(self, halves: Iterable[int]) -> list[int]:
        """Return the indices of all items whose keys have one of these lower halves."""
        get = self._by_half.get
        return [index for half in halves for index in get(half, ())]

    def domains_of(self, indices: Indices) -> list[str]:
        """Return the names of the domains of items; empty for an item without a known domain."""
        names = [*self._domains.names, ""]
        return [names[number] for number in self._arrays["domain"][indices].tolist()]

    @property
    def domains(self) -> Domains:
        """The domains of the items, as of now."""
        self._domains.look(self.items())
        return self._domains

    def popularity(self, indices: Indices) -> Reals:
        """Return the popular counts of items as of ``now``, multiplied by the trust in their votes, shape (n,)."""
        items, first = self.items(), slice(0, 1)
        counts, times = items.counts[indices, first], items.count_times[indices]
        faded = popularity.decayed(counts, times, self.now, HALF_LIVES_MS[first])
        return np.asarray(faded[:, 0] * items.trust[indices])

    def items(self) -> asking.Items:
        """Return everything that the scorers read, as views of the arrays in use."""
        if self._views is None:
            self._views = self._views_now()
        return self._views

    def _views_now(self) -> asking.Items:
        of = self._arrays
        codes, scales = self._embeddings.codes(len(self))
        return asking.Items(
            available=of["available"],
            keys=of["keys"],
            domain=of["domain"],
            examples=of["examples"],
            counts=of["counts"],
            count_times=of["count_times"],
            codes=codes,
            scales=scales,
            heads=self._copy.heads,
            **self._copy.views(len(self)),
        )

    def _place(self, key: int, name: str = "") -> int:
        """Return the index of an item; an item that no row has named yet gets a new one."""
        index = self._index.get(key)
        if index is None:
            index = self._index[key] = len(self.ids)
            self.ids.append(name)
            self._by_half[key & 0xFFFFFFFF].append(index)
            self._arrays.reach(len(self.ids))
            self._arrays["keys"][index] = key
        elif name and not self.ids[index]:
            self.ids[index] = name
        return index

    def _changed(self) -> None:
        self.version += 1
        self._views = None

    def apply_behaviour(self, latest: Latest) -> None:
        """Take in the newest behaviour rows, by item id."""
        changed = {key: row for key, row in latest.items() if row is not None and key != PARTITION_ROW_KEY}
        if not changed:
            return
        packed = behaviour.unpack(changed.values())
        names = [key.decode() for key in changed]
        indices = np.array([self._place(key_of(name), name) for name in names], np.int32)
        arrays = self._arrays
        arrays["examples"][indices] = packed["examples"]
        arrays["counts"][indices] = packed["counts"]
        arrays["count_times"][indices] = packed["time"]
        self.now = max(self.now, int(packed["time"].max()))
        self._domains.move(indices)
        self._changed()

    def apply_content(self, latest: Latest) -> None:
        """Take in the newest content rows, by item id; None or a deleted item's row makes an item unavailable."""
        for key, packed in latest.items():
            if key in OWN_KEYS:
                continue
            row = None if packed is None else content.unpack(packed)
            name = key.decode()
            if row is None or row.deleted:
                self._withdraw(name)
            else:
                self._describe(self._place(key_of(name), name), row)
        self._changed()

    def _withdraw(self, name: str) -> None:
        index = self._index.get(key_of(name))
        # An item that was deleted before anybody took it needs no index.
        if index is not None:
            self._arrays["available"][index] = False
            self._embeddings.drop(index)
            self._domains.move(np.array([index], np.int32))

    def _describe(self, index: int, described: ContentRow) -> None:
        self._arrays["available"][index] = described.available
        self._arrays["domain"][index] = self._domains.number(described.domain)
        self._domains.move(np.array([index], np.int32))
        self._embeddings.keep(index, described.newest(content.TEXT))

    def take(self, message: Message) -> None:
        """Take in what the model tells."""
        match message:
            case Numbered():
                if message.version != self._coming.version:
                    self._coming = ModelCopy(message.version)
                self._number(self._coming, message)
            case Told():
                if message.version == self._coming.version:
                    rows = np.frombuffer(message.rows, TOLD)
                    self._coming.tell(
                        np.arange(message.first, message.first + len(rows), dtype=np.int32), rows
                    )
            case Whole():
                if message.version == self._coming.version and self._coming.is_whole(message.items):
                    self._copy, self._coming = self._coming, ModelCopy(0)
                    self._copy.lead(message.heads)
                    self._domains.forget()
                    self._changed()
            case Revised():
                if message.version == self._copy.version:
                    self._number(self._copy, message)
                    rows = np.frombuffer(message.rows, TOLD)
                    self._domains.move(self._copy.tell(np.frombuffer(message.numbers, "<i4"), rows))
                    self._copy.lead(message.heads)
                    self._changed()

    def _number(self, copy: ModelCopy, message: Numbered | Revised) -> None:
        keys = np.frombuffer(message.keys, "<u8").tolist()
        copy.number(message.first, np.array([self._place(key) for key in keys], np.int32))
