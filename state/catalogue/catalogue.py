"""The Catalogue: a worker's copy of what lists need of all items, as arrays for scoring.

It follows the changelogs of behaviour and content, and what the model tells (``streams.kafka.follow``). The thread of
the event loop updates it in place. Lists are scored in other threads meanwhile. So that a list never sees half an
update, whoever changes the Catalogue and whoever reads it in another thread holds ``Catalogue.still``: updates wait
until a batch of lists is scored, and lists are of one moment, whose version is their stamp.
What follows from all rows together is made elsewhere (``state.model``). A version of it counts once it is whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from afresh.models.arrays import NONE, Indices, Keys, Mask, Naturals, Reals
from afresh.models.layout import HALF_LIVES_MS
from afresh.models.learning import popularity
from afresh.models.retrieval import asking
from afresh.state.catalogue.brought import BroughtVectors
from afresh.state.catalogue.copies import Alike, Copies, ModelCopy
from afresh.state.catalogue.domains import Domains
from afresh.state.catalogue.embeddings import CodedEmbeddings, Encoder
from afresh.state.catalogue.growing import Growing
from afresh.state.catalogue.numbering import Numbering
from afresh.state.keys import keys_of
from afresh.state.model.told import Message, Whole
from afresh.state.rows import behaviour, content
from afresh.state.rows.content import ContentRow
from afresh.state.store.marks import PARTITION_ROW_KEY

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

    Parameters
    ----------
    declared
        Kinds of vectors that items bring and that lists read, with how many numbers each has; by default none.

    Attributes
    ----------
    ids
        Id of each item, by index; empty for an item that so far is only a neighbour in other items' rows.
    now
        Newest time of an event, in ms.
    version
        Counter of everything that changes lists.
    encoder, encoder_since
        Version of the encoder whose vectors lists are made from, as the model tells, and since when, in ms; empty for
        whichever has read most items.
    still
        Held while the Catalogue changes, and while it must not change. It lets all in by turns.
    """

    def __init__(self, declared: Mapping[str, int] | None = None) -> None:
        self.ids: list[str] = []
        self.now = 0
        self.version = 0
        self.encoder = ""
        self.encoder_since = 0
        self.still = asyncio.Lock()
        self._views: asking.Items | None = None
        self._numbering = Numbering()
        self._domains = Domains()
        self._embeddings = CodedEmbeddings()
        self._brought = BroughtVectors(declared or {})
        self._arrays = Growing(
            available=((), np.bool_, False),
            domain=((), np.int32, NONE),
            examples=((), np.uint32, 0),
            counts=((len(HALF_LIVES_MS),), np.float32, 0),
            count_times=((), np.int64, 0),
        )
        self._copies = Copies(self._place)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def model(self) -> int:
        """The version of the model that lists are made from; 0 while there is none."""
        return self._copy.version

    @property
    def _copy(self) -> ModelCopy:
        return self._copies.standing

    @property
    def available(self) -> Mask:
        """Whether a list may hold each item, shape (N,)."""
        return self._arrays["available"]

    @property
    def embedded(self) -> int:
        """Number of available items that have an embedding which lists are made from."""
        return self._embeddings.count_embedded(self.available)

    @property
    def read_by(self) -> Mapping[Encoder, int]:
        """Number of items that each encoder has read."""
        return self._embeddings.counts

    def indices_of(self, keys: Keys) -> Indices:
        """Return the indices of items by key, int32 of the same shape; ``NONE`` where no row names the item."""
        return self._numbering.numbers_of(keys)

    def known(self, key: int) -> Known:
        """Return what is known about an item, by key."""
        index = int(self._numbering.numbers_of(np.array([key], np.uint64))[0])
        if index == NONE:
            return Known(NONE, 0, 1.0)
        return Known(
            index, int(self._arrays["examples"][index]), float(self._copy.views(len(self))["trust"][index])
        )

    def indices_of_halves(self, halves: Naturals) -> Indices:
        """Return the indices of all items whose keys have one of these lower halves."""
        return self._numbering.numbers_of_halves(halves)

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
        brought, brought_scales = self._brought.codes(len(self))
        return asking.Items(
            available=of["available"],
            keys=self._numbering.keys,
            domain=of["domain"],
            examples=of["examples"],
            counts=of["counts"],
            count_times=of["count_times"],
            codes=codes,
            scales=scales,
            brought=brought,
            brought_scales=brought_scales,
            heads=self._copy.heads,
            **self._copy.views(len(self)),
        )

    def _place(self, keys: Keys) -> Indices:
        """Return the indices of items; an item that no row has named yet gets a new one."""
        indices = self._numbering.place(keys)
        self.ids += [""] * (len(self._numbering) - len(self.ids))
        self._arrays.reach(len(self.ids))
        return indices

    def _place_named(self, names: Sequence[str]) -> Indices:
        indices = self._place(keys_of(names))
        for index, name in zip(indices.tolist(), names, strict=True):
            self.ids[index] = name
        return indices

    def _changed(self) -> None:
        self.version += 1
        self._views = None

    def apply_behaviour(self, latest: Latest) -> None:
        """Take in the newest behaviour rows, by item id."""
        changed = {key: row for key, row in latest.items() if row is not None and key != PARTITION_ROW_KEY}
        if not changed:
            return
        packed = behaviour.unpack(changed.values())
        indices = self._place_named([key.decode() for key in changed])
        arrays = self._arrays
        arrays["examples"][indices] = packed["examples"]
        arrays["counts"][indices] = packed["counts"]
        arrays["count_times"][indices] = packed["time"]
        self.now = max(self.now, int(packed["time"].max()))
        self._domains.move(indices)
        self._changed()

    def apply_content(self, latest: Latest) -> None:
        """Take in the newest content rows, by item id; None or a deleted item's row makes an item unavailable."""
        rows, gone = content.unpack_items(latest)
        self._withdraw(gone)
        if rows:
            self._describe(self._place_named(list(rows)), list(rows.values()))
        self._changed()

    def _withdraw(self, names: Sequence[str]) -> None:
        indices = self.indices_of(keys_of(names))
        # An item that was deleted before anybody took it needs no index.
        indices = indices[indices != NONE]
        self._arrays["available"][indices] = False
        self._embeddings.drop(indices)
        self._brought.drop(indices)
        self._domains.move(indices)

    def _describe(self, indices: Indices, rows: Sequence[ContentRow]) -> None:
        self._arrays["available"][indices] = [row.available for row in rows]
        self._arrays["domain"][indices] = [self._domains.number(row.domain) for row in rows]
        self._embeddings.keep(indices, [row.all_of(content.TEXT) for row in rows])
        self._brought.keep(indices, [row.vectors for row in rows])
        self._domains.move(indices)

    def take(self, message: Message) -> None:
        """Take in what the model tells."""
        before = self._copy
        told = self._copies.take(message)
        if self._copy is not before and isinstance(message, Whole):
            self.encoder, self.encoder_since = message.encoder, message.since
            self._embeddings.use(message.encoder)
            self._domains.forget()
        elif told is not None:
            self._domains.move(told)
        else:
            return
        self._changed()

    @property
    def alike(self) -> Alike:
        """What the model that stands tells of texts that are near each other."""
        return self._copy.alike(self._numbering.keys)
