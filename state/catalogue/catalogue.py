"""The Catalogue: a worker's copy of every item's rows, as arrays that scoring works on.

It follows the changelogs of behaviour and content (``streams.kafka.follow``) and is updated in place. Updates and
scoring share one thread and neither awaits in between, so that a list never sees half a row and nothing is locked.
What follows from all rows together (``state.catalogue.derived``) is derived from a snapshot, elsewhere, and then
installed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from afresh.models.arrays import NONE, Indices, Keys, Mask, Places, Reals
from afresh.models.layout import HALF_LIVES_MS, NEIGHBOURS
from afresh.models.learning import popularity
from afresh.models.relations import relations
from afresh.models.retrieval import asking
from afresh.state.catalogue.derived import Derived, Snapshot, derive
from afresh.state.catalogue.embeddings import Embeddings
from afresh.state.catalogue.growing import Growing
from afresh.state.keys import NO_KEY, key_of
from afresh.state.rows import behaviour, content
from afresh.state.rows.content import ContentRow
from afresh.state.store.marks import OWN_KEYS, PARTITION_ROW_KEY

Latest = Mapping[bytes, bytes | None]

TEXTS_AT_ONCE = 8192
"""Texts whose nearest are found at a time: on a large catalogue all of them would take minutes."""

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


class Known(NamedTuple):
    """What is known of an item.

    Attributes
    ----------
    row
        Its row, ``NONE`` if nobody has named it.
    examples
        How often it was taken.
    trust
        How far its votes are believed; see ``models.relations.trust``.
    """

    row: int
    examples: int
    trust: float


class Catalogue:
    """Every item that anybody has named, by a row number that it keeps for the life of the process.

    Attributes
    ----------
    ids
        Id of each row; empty for an item that so far only stood in the history of others.
    now
        Newest time of an event, in ms.
    version
        Counts what changes lists: updates of rows, and what was derived from all of them.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.now = 0
        self.version = 0
        self._updates = 0
        self._derived_updates = 0
        self._heads = np.zeros((len(HALF_LIVES_MS), 0), np.int32)
        self._views: asking.Items | None = None
        self._row: dict[int, int] = {}
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
        """Available items that have an embedding."""
        return self._embeddings.count_embedded(self.available)

    def rows_of(self, keys: Keys) -> Indices:
        """Rows of items by key, ``NONE`` where nobody has named the item; int32 of the same shape."""
        get = self._row.get
        rows = [get(key, NONE) for key in keys.ravel().tolist()]
        return np.array(rows, np.int32).reshape(keys.shape)

    def known(self, key: int) -> Known:
        """What is known of an item, by key."""
        row = self._row.get(key, NONE)
        if row == NONE:
            return Known(NONE, 0, 1.0)
        return Known(row, int(self._arrays["examples"][row]), float(self._arrays["trust"][row]))

    def rows_of_halves(self, halves: Iterable[int]) -> list[int]:
        """Rows of all items whose keys have one of these lower halves."""
        get = self._by_half.get
        return [row for half in halves for row in get(half, ())]

    def domains_of(self, rows: Indices) -> list[str]:
        """Names of the domains of some rows; empty where nobody has told it."""
        names = [*self._domains, ""]
        return [names[number] for number in self._arrays["domain"][rows].tolist()]

    def domains(self) -> dict[str, Places]:
        """Rows of the available items of each domain."""
        domain = np.where(self.available, self._arrays["domain"], NONE)
        return {name: np.flatnonzero(domain == number) for number, name in enumerate(self._domains)}

    def popularity(self) -> Reals:
        """Decayed counts as of ``now``, as far as they are believed, shape (N,)."""
        of, first = self._arrays, slice(0, 1)
        counts = popularity.decayed(of["counts"][:, first], of["count_times"], self.now, HALF_LIVES_MS[first])
        return np.asarray(counts[:, 0] * of["trust"])

    def items(self) -> asking.Items:
        """Everything that the scorers read, as views of the rows in use."""
        if self._views is None:
            self._views = self._views_now()
        return self._views

    def _views_now(self) -> asking.Items:
        of = self._arrays
        return asking.Items(
            available=of["available"],
            keys=of["keys"],
            domain=of["domain"],
            examples=of["examples"],
            counts=of["counts"],
            count_times=of["count_times"],
            embeddings=self._embeddings.matrix(len(self)),
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

    def snapshot(self) -> Snapshot:
        """Everything that the rest is derived from, as views of the rows in use."""
        changed, waiting = self._embeddings.take_changed(len(self), TEXTS_AT_ONCE)
        return Snapshot(
            updates=self._updates,
            now_ms=self.now,
            mass=self._arrays["own_mass"],
            embeddings=self._embeddings.matrix(len(self)),
            changed=changed,
            waiting=waiting,
            **{name: self._arrays[name] for name in _SNAPSHOT},
        )

    def install(self, derived: Derived) -> None:
        """Take in what was derived from a snapshot; items that came since wait for the next."""
        of, rows = self._arrays, slice(0, len(derived.akin))
        of["related"][rows] = derived.relations.related
        of["strengths"][rows] = derived.relations.strengths
        of["followers"][rows] = derived.followers
        of["following"][rows] = derived.following
        of["vectors"][rows] = derived.relations.vectors
        of["mass"][rows] = derived.relations.mass
        of["akin"][rows] = derived.akin
        of["likeness"][rows] = derived.likeness
        of["trust"][rows] = derived.trust
        self._heads = derived.heads
        self._derived_updates = derived.updates
        self._changed()

    def is_outdated(self) -> bool:
        """Whether rows have changed since what follows from all of them was derived."""
        return self._derived_updates != self._updates or self._embeddings.changed

    def derive(self) -> None:
        """Derive everything that follows from all rows, here and now."""
        while self.is_outdated():
            self.install(derive(self.snapshot()))

    def _place(self, key: int, name: str = "") -> int:
        """Row of an item; a new one if nobody has named it yet."""
        row = self._row.get(key)
        if row is None:
            row = self._row[key] = len(self.ids)
            self.ids.append(name)
            self._by_half[key & 0xFFFFFFFF].append(row)
            self._arrays.reach(len(self.ids))
            self._arrays["keys"][row] = key
        elif name and not self.ids[row]:
            self.ids[row] = name
        return row

    def _changed(self) -> None:
        self.version += 1
        self._views = None

    def _updated(self) -> None:
        self._changed()
        self._updates += 1

    def apply_behaviour(self, latest: Latest) -> None:
        """Take in behaviour rows, by item id."""
        changed = {key: row for key, row in latest.items() if row is not None and key != PARTITION_ROW_KEY}
        if not changed:
            return
        packed = behaviour.unpack(changed.values())
        names = [key.decode() for key in changed]
        rows = np.array([self._place(key_of(name), name) for name in names], np.int32)
        self._relate(rows, packed["pairs"])
        arrays = self._arrays
        arrays["own_mass"][rows] = packed["mass"]
        arrays["examples"][rows] = packed["examples"]
        arrays["counts"][rows] = packed["counts"]
        arrays["count_times"][rows] = packed["time"]
        self.now = max(self.now, int(packed["time"].max()))
        self._updated()

    def _relate(self, rows: Indices, pairs: npt.NDArray[np.void]) -> None:
        """Take in the neighbours of some rows."""
        keys = pairs["key"]
        new = keys != self._arrays["neighbour_keys"][rows]
        wanted = keys[new]
        placed = self.rows_of(wanted)
        for each in np.flatnonzero((placed == NONE) & (wanted != NO_KEY)):
            placed[each] = self._place(int(wanted[each]))
        arrays = self._arrays
        after = arrays["neighbours"][rows]
        after[new] = placed
        arrays["neighbour_keys"][rows] = keys
        arrays["neighbours"][rows] = after
        arrays["weights"][rows] = pairs["weight"]
        arrays["nexts"][rows] = pairs["next"]

    def apply_content(self, latest: Latest) -> None:
        """Take in content rows, by item id; None makes an item unavailable."""
        for key, packed in latest.items():
            if key in OWN_KEYS:
                continue
            name = key.decode()
            row = self._place(key_of(name), name)
            if packed is None:
                self._arrays["available"][row] = False
                self._embeddings.drop(row)
            else:
                self._describe(row, content.unpack(packed))
        self._updated()

    def _describe(self, row: int, described: ContentRow) -> None:
        if described.domain not in self._domains:
            self._domains.append(described.domain)
        self._arrays["available"][row] = described.available
        self._arrays["domain"][row] = self._domains.index(described.domain)
        if described.embedding:
            encoder = (described.encoder, described.encoder_version)
            self._embeddings.put_vector(row, encoder, np.frombuffer(described.embedding, "<f2"))
        else:
            self._embeddings.drop(row)
