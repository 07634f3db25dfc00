"""The rows of all items, as arrays: what the model is derived from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from afresh.models.arrays import NONE, Floats, Halves, Indices
from afresh.models.layout import HALF_LIVES_MS, NEIGHBOURS
from afresh.models.relations.revising import Changed
from afresh.state.catalogue.embeddings import WholeEmbeddings
from afresh.state.catalogue.growing import Growing
from afresh.state.keys import NO_KEY, key_of
from afresh.state.rows import behaviour, content
from afresh.state.store.marks import OWN_KEYS, PARTITION_ROW_KEY

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
        self.embeddings = WholeEmbeddings()
        self._number: dict[int, int] = {}
        self.tracked = False
        self.changed: dict[int, Before] = {}
        self.since: dict[int, Before] = {}
        self._arrays = Growing(
            keys=((), np.uint64, 0),
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
        return len(self._number)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Return an array by its name, as a view of what is in use."""
        return self._arrays[name]

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

    def forget_changes(self) -> None:
        """Track no changes any more."""
        self.tracked, self.changed, self.since = False, {}, {}

    def apply_behaviour(self, latest: Latest) -> None:
        """Take in the newest behaviour rows, by item id."""
        changed = {key: row for key, row in latest.items() if row is not None and key != PARTITION_ROW_KEY}
        if not changed:
            return
        packed = behaviour.unpack(changed.values())
        numbers = np.array([self._place(key_of(key.decode())) for key in changed], np.int32)
        self._keep_before(numbers)
        self._relate(numbers, packed["pairs"])
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
        wanted = [self._place(key) if key != NO_KEY else NONE for key in keys[new].tolist()]
        arrays = self._arrays
        after = arrays["neighbours"][numbers]
        after[new] = wanted
        arrays["neighbour_keys"][numbers] = keys
        arrays["neighbours"][numbers] = after
        arrays["weights"][numbers] = pairs["weight"]
        arrays["nexts"][numbers] = pairs["next"]

    def apply_content(self, latest: Latest) -> None:
        """Take in the newest content rows, by item id; None or a deleted item's row makes an item unavailable."""
        for key, packed in latest.items():
            if key in OWN_KEYS:
                continue
            row = None if packed is None else content.unpack(packed)
            item = key_of(key.decode())
            if row is None or row.deleted:
                self._withdraw(item)
                continue
            number = self._place(item)
            self._arrays["available"][number] = row.available
            self.embeddings.keep(number, row.newest(content.TEXT))
        self.updates += 1

    def _withdraw(self, item: int) -> None:
        number = self._number.get(item)
        # An item that was deleted before anybody took it needs no number.
        if number is not None:
            self._arrays["available"][number] = False
            self.embeddings.drop(number)

    def _place(self, key: int) -> int:
        """Return the number of an item; an item that no row has named yet gets a new one."""
        number = self._number.get(key)
        if number is None:
            number = self._number[key] = len(self._number)
            self._arrays.reach(number + 1)
            self._arrays["keys"][number] = key
        return number


def _changed(arrays: Sequence[npt.NDArray[Any]]) -> Changed:
    """Return rows as the compiled code reads them: it knows no halves."""
    neighbours, weights, nexts, mass = arrays
    return Changed(neighbours, weights, nexts.astype(np.float32), mass)
