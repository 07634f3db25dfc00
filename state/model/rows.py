"""The rows of all items, as arrays: what the model is derived from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from afresh.models.arrays import NONE, Floats, Halves, Indices, Keys
from afresh.models.layout import HALF_LIVES_MS, NEIGHBOURS
from afresh.models.relations.revising import Changed
from afresh.state.catalogue.embeddings import WholeEmbeddings
from afresh.state.catalogue.growing import Growing
from afresh.state.catalogue.numbering import Numbering
from afresh.state.keys import NO_KEY, keys_of
from afresh.state.rows import behaviour, content
from afresh.state.store.marks import PARTITION_ROW_KEY

Latest = Mapping[bytes, bytes | None]


class Before(NamedTuple):
    """What a row said of its neighbours before it changed; see ``ItemRows``."""

    neighbours: Indices
    weights: Floats
    nexts: Halves
    mass: np.float32


class ItemRows:
    """The rows of N items. Each item has a number that it keeps for the life of the process.

    Attributes
    ----------
    now
        Newest time of an event, in ms.
    updates
        Number of updates taken in.
    taken
        Number of items that somebody has taken.
    embeddings
        Embeddings of the items' texts.
    tracked
        Whether what rows said before they changed is kept. Only a process that makes the model needs it, and it takes
        as much as the rows themselves.
    changed, since
        What each row said that has changed since two moments, by number.
    """

    def __init__(self) -> None:
        self.now = 0
        self.updates = 0
        self.taken = 0
        self.embeddings = WholeEmbeddings()
        self._numbering = Numbering()
        self.tracked = False
        self.changed: dict[int, Before] = {}
        self.since: dict[int, Before] = {}
        self._arrays = Growing(
            available=((), np.bool_, False),
            neighbour_keys=((NEIGHBOURS,), np.uint64, 0),
            neighbours=((NEIGHBOURS,), np.int32, NONE),
            weights=((NEIGHBOURS,), np.float32, 0),
            nexts=((NEIGHBOURS,), np.float16, 0),
            mass=((), np.float32, 0),
            counts=((len(HALF_LIVES_MS),), np.float32, 0),
            count_times=((), np.int64, 0),
        )

    def __len__(self) -> int:
        return len(self._numbering)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Return an array by its name, as a view of what is in use."""
        return self._numbering.keys if name == "keys" else self._arrays[name]

    def take_changed(self) -> tuple[Indices, Changed, Changed]:
        """Return the numbers of the rows in ``changed``, and what they said and say, and forget them there."""
        changed, self.changed = self.changed, {}
        numbers, kept = np.fromiter(changed, np.int32, len(changed)), changed.values()
        after = [self._arrays[name][numbers] for name in Before._fields]
        before = [
            np.array([row[place] for row in kept], array.dtype).reshape(array.shape)
            for place, array in enumerate(after)
        ]
        return numbers, _changed(before), _changed(after)

    def numbers_of(self, keys: Keys) -> Indices:
        """Return the numbers of items by key; ``NONE`` where no row names the item."""
        return self._numbering.numbers_of(keys)

    def forget_changes(self) -> None:
        """Track no changes any more."""
        self.tracked, self.changed, self.since = False, {}, {}

    def apply_behaviour(self, latest: Latest) -> None:
        """Take in the newest behaviour rows, by item id."""
        changed = {key: row for key, row in latest.items() if row is not None and key != PARTITION_ROW_KEY}
        if not changed:
            return
        packed = behaviour.unpack(changed.values())
        numbers = self.place(keys_of(key.decode() for key in changed))
        self._keep_before(numbers)
        self._relate(numbers, packed["pairs"])
        self.taken += int(np.count_nonzero(self._arrays["counts"][numbers, 0] == 0))
        for name, field in (("mass", "mass"), ("counts", "counts"), ("count_times", "time")):
            self._arrays[name][numbers] = packed[field]
        self.now = max(self.now, int(packed["time"].max()))
        self.updates += 1

    def _keep_before(self, numbers: Indices) -> None:
        if not self.tracked:
            return
        of = [self._arrays[name] for name in Before._fields]
        for number in numbers.tolist():
            if number not in self.changed or number not in self.since:
                before = Before(*(array[number].copy() for array in of))
                self.changed.setdefault(number, before)
                self.since.setdefault(number, before)

    def _relate(self, numbers: Indices, pairs: npt.NDArray[np.void]) -> None:
        """Take in the neighbours of some items."""
        arrays, keys = self._arrays, pairs["key"]
        new = keys != arrays["neighbour_keys"][numbers]
        named = new & (keys != NO_KEY)
        placed = self.place(keys[named])
        after = arrays["neighbours"][numbers]
        after[new] = NONE
        after[named] = placed
        arrays["neighbour_keys"][numbers] = keys
        arrays["neighbours"][numbers] = after
        arrays["weights"][numbers] = pairs["weight"]
        arrays["nexts"][numbers] = pairs["next"]

    def apply_content(self, latest: Latest) -> None:
        """Take in the newest content rows, by item id; None or a deleted item's row makes an item unavailable."""
        rows, gone = content.unpack_items(latest)
        withdrawn = self.numbers_of(keys_of(gone))
        # An item that was deleted before anybody took it needs no number.
        withdrawn = withdrawn[withdrawn != NONE]
        self._arrays["available"][withdrawn] = False
        self.embeddings.drop(withdrawn)
        numbers = self.place(keys_of(rows))
        self._arrays["available"][numbers] = [row.available for row in rows.values()]
        self.embeddings.keep(numbers, [row.all_of(content.TEXT) for row in rows.values()])
        self.updates += 1

    def place(self, keys: Keys) -> Indices:
        """Return the numbers of items; an item that no row has named yet gets a new one."""
        numbers = self._numbering.place(keys)
        self._arrays.reach(len(self._numbering))
        return numbers


def _changed(arrays: Sequence[npt.NDArray[Any]]) -> Changed:
    """Return rows as the compiled code reads them: it knows no halves."""
    neighbours, weights, nexts, mass = arrays
    return Changed(neighbours, weights, nexts.astype(np.float32), mass)
