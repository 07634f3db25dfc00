"""The Catalogue: a worker's copy of all items' rows, as arrays for scoring.

It follows the changelogs of behaviour and content (``streams.kafka.follow``) and is updated in place, by the thread of
the event loop. Lists are scored in other threads meanwhile. So that a list never sees half an update, whoever changes
the Catalogue and whoever reads it in another thread holds ``Catalogue.still``: updates wait until a batch of lists is
scored, and lists are of one moment, whose version is their stamp.
What is derived from all rows together (``state.catalogue.derived``) is computed elsewhere, from a snapshot, and then
installed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from afresh.models.arrays import NONE, Indices, Keys, Mask, Places, Reals
from afresh.models.layout import HALF_LIVES_MS, NEIGHBOURS
from afresh.models.learning import popularity
from afresh.models.relations import relations
from afresh.models.retrieval import asking
from afresh.state.catalogue.derived import CatalogueSnapshot, Derived, derive
from afresh.state.catalogue.embeddings import Embeddings
from afresh.state.catalogue.growing import Growing
from afresh.state.keys import NO_KEY, key_of
from afresh.state.rows import behaviour, content
from afresh.state.rows.content import ContentRow
from afresh.state.store.marks import OWN_KEYS, PARTITION_ROW_KEY

Latest = Mapping[bytes, bytes | None]

TEXTS_AT_ONCE = 8192
"""Number of texts whose nearest texts are found at a time. On a large catalogue all at once would take minutes."""

_SNAPSHOT = (
    "keys",
    "available",
    "neighbours",
    "weights",
    "nexts",
    "counts",
    "count_times",
    "akin",
    "likeness",
)


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
        Counter of everything that changes lists: updates of rows, and installs of what was derived.
    still
        Held while the Catalogue changes, and while it must not change. It lets all in by turns.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.now = 0
        self.version = 0
        self.still = asyncio.Lock()
        self._updates = 0
        self._derived_updates = 0
        self._heads = np.zeros((len(HALF_LIVES_MS), 0), np.int32)
        self._views: asking.Items | None = None
        self._index: dict[int, int] = {}
        self._by_half: defaultdict[int, list[int]] = defaultdict(list)
        self._domains: list[str] = []
        self._embeddings = Embeddings()
        self._arrays = Growing(
            available=((), np.bool_, False),
            domain=((), np.int32, NONE),
            keys=((), np.uint64, 0),
            neighbour_keys=((NEIGHBOURS,), np.uint64, 0),
            neighbours=((NEIGHBOURS,), np.int32, NONE),
            weights=((NEIGHBOURS,), np.float32, 0),
            nexts=((NEIGHBOURS,), np.float16, 0),
            own_mass=((), np.float32, 0),
            examples=((), np.uint32, 0),
            counts=((len(HALF_LIVES_MS),), np.float32, 0),
            count_times=((), np.int64, 0),
            related=((asking.RELATED,), np.int32, NONE),
            strengths=((asking.RELATED,), np.float32, 0),
            followers=((asking.FOLLOWERS,), np.int32, NONE),
            following=((asking.FOLLOWERS,), np.float32, 0),
            vectors=((relations.RANK,), np.float32, 0),
            mass=((), np.float32, 0),
            akin=((asking.AKIN,), np.int32, NONE),
            likeness=((asking.AKIN,), np.float32, 0),
            trust=((), np.float32, 1),
        )

    def __len__(self) -> int:
        return len(self.ids)

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
        return Known(index, int(self._arrays["examples"][index]), float(self._arrays["trust"][index]))

    def indices_of_halves(self, halves: Iterable[int]) -> list[int]:
        """Return the indices of all items whose keys have one of these lower halves."""
        get = self._by_half.get
        return [index for half in halves for index in get(half, ())]

    def domains_of(self, indices: Indices) -> list[str]:
        """Return the names of the domains of items; empty for an item without a known domain."""
        names = [*self._domains, ""]
        return [names[number] for number in self._arrays["domain"][indices].tolist()]

    def domains(self) -> dict[str, Places]:
        """Return the indices of the available items of each domain."""
        domain = np.where(self.available, self._arrays["domain"], NONE)
        return {name: np.flatnonzero(domain == number) for number, name in enumerate(self._domains)}

    def popularity(self) -> Reals:
        """Return the popular counts as of ``now``, multiplied by the trust in the votes, shape (N,)."""
        of, first = self._arrays, slice(0, 1)
        counts = popularity.decayed(of["counts"][:, first], of["count_times"], self.now, HALF_LIVES_MS[first])
        return np.asarray(counts[:, 0] * of["trust"])

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
            related=of["related"],
            strengths=of["strengths"],
            followers=of["followers"],
            following=of["following"],
            vectors=of["vectors"],
            mass=of["mass"],
            akin=of["akin"],
            likeness=of["likeness"],
            heads=self._heads,
            trust=of["trust"],
        )

    def snapshot(self) -> CatalogueSnapshot:
        """Return everything that the rest is derived from, as views of the arrays in use."""
        changed, waiting = self._embeddings.take_changed(len(self), TEXTS_AT_ONCE)
        return CatalogueSnapshot(
            updates=self._updates,
            now_ms=self.now,
            mass=self._arrays["own_mass"],
            embeddings=self._embeddings.matrix(len(self)),
            changed=changed,
            waiting=waiting,
            **{name: self._arrays[name] for name in _SNAPSHOT},
        )

    def install(self, derived: Derived) -> None:
        """Take in what was derived from a snapshot; items that came since then wait for the next one."""
        of, indices = self._arrays, slice(0, len(derived.akin))
        of["related"][indices] = derived.relations.related
        of["strengths"][indices] = derived.relations.strengths
        of["followers"][indices] = derived.followers
        of["following"][indices] = derived.following
        of["vectors"][indices] = derived.relations.vectors
        of["mass"][indices] = derived.relations.mass
        of["akin"][indices] = derived.akin
        of["likeness"][indices] = derived.likeness
        of["trust"][indices] = derived.trust
        self._heads = derived.heads
        self._derived_updates = derived.updates
        self._changed()

    def is_outdated(self) -> bool:
        """Return whether rows have changed since the last snapshot whose results are installed."""
        return self._derived_updates != self._updates or self._embeddings.changed

    def derive(self) -> None:
        """Derive everything from all rows and install it, here and now."""
        while self.is_outdated():
            self.install(derive(self.snapshot()))

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

    def _updated(self) -> None:
        self._changed()
        self._updates += 1

    def apply_behaviour(self, latest: Latest) -> None:
        """Take in the newest behaviour rows, by item id."""
        changed = {key: row for key, row in latest.items() if row is not None and key != PARTITION_ROW_KEY}
        if not changed:
            return
        packed = behaviour.unpack(changed.values())
        names = [key.decode() for key in changed]
        indices = np.array([self._place(key_of(name), name) for name in names], np.int32)
        self._relate(indices, packed["pairs"])
        arrays = self._arrays
        arrays["own_mass"][indices] = packed["mass"]
        arrays["examples"][indices] = packed["examples"]
        arrays["counts"][indices] = packed["counts"]
        arrays["count_times"][indices] = packed["time"]
        self.now = max(self.now, int(packed["time"].max()))
        self._updated()

    def _relate(self, indices: Indices, pairs: npt.NDArray[np.void]) -> None:
        """Take in the neighbours of some items."""
        keys = pairs["key"]
        new = keys != self._arrays["neighbour_keys"][indices]
        wanted = keys[new]
        placed = self.indices_of(wanted)
        for each in np.flatnonzero((placed == NONE) & (wanted != NO_KEY)):
            placed[each] = self._place(int(wanted[each]))
        arrays = self._arrays
        after = arrays["neighbours"][indices]
        after[new] = placed
        arrays["neighbour_keys"][indices] = keys
        arrays["neighbours"][indices] = after
        arrays["weights"][indices] = pairs["weight"]
        arrays["nexts"][indices] = pairs["next"]

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
        self._updated()

    def _withdraw(self, name: str) -> None:
        index = self._index.get(key_of(name))
        # An item that was deleted before anybody took it needs no index.
        if index is not None:
            self._arrays["available"][index] = False
            self._embeddings.drop(index)

    def _describe(self, index: int, described: ContentRow) -> None:
        if described.domain not in self._domains:
            self._domains.append(described.domain)
        self._arrays["available"][index] = described.available
        self._arrays["domain"][index] = self._domains.index(described.domain)
        text = described.newest(content.TEXT)
        if text is None:
            self._embeddings.drop(index)
        else:
            encoder = (text.encoder, text.encoder_version)
            self._embeddings.put_vector(index, encoder, np.frombuffer(text.vector, "<f2"))
