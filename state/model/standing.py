"""What stands of the model: the arrays of the newest version, revised since, by number of the item."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from afresh.models.arrays import NONE, Floats, Indices, Places
from afresh.models.relations.relations import RANK
from afresh.models.relations.revising import Standing
from afresh.models.relations.trust import Usual
from afresh.models.retrieval.asking import AKIN, FOLLOWERS, LIKENESS_UNIT, RELATED
from afresh.models.retrieval.codes import coded
from afresh.state.catalogue.growing import Growing
from afresh.state.model.derived import Derived, Snapshot, heads_of, trust_of
from afresh.state.model.told import CODED, TOLD, ToldArray

MATERIAL, TENTH = 0.05, 9
"""A row is told anew once its relations have moved by this share of its tenth strongest."""

LEAST = np.float32(1e-6)
"""Strength that counts in place of a smaller one."""

BELIEVED_AGAIN = 0.02
"""A row is told anew when the trust in its item has changed by this."""


class Stands:
    """A version of the model.

    Parameters
    ----------
    snapshot, derived
        The rows that it was made from, and what was derived from them.

    Attributes
    ----------
    pull
        See ``models.relations.relations.pull_of``.
    usual
        See ``state.model.derived.Derived``.
    heads
        For each count the numbers of the available items with the largest values, shape (H, n).
    updates
        Number of updates of the rows that it was made from.
    """

    def __init__(self, snapshot: Snapshot, derived: Derived) -> None:
        self.pull = derived.relations.pull
        self.usual: Usual = derived.usual
        self.heads = derived.heads
        self.updates = snapshot.updates
        self._arrays = Growing(
            related=((RELATED,), np.int32, NONE),
            strengths=((RELATED,), np.float32, 0),
            followers=((FOLLOWERS,), np.int32, NONE),
            following=((FOLLOWERS,), np.float32, 0),
            vectors=((RANK,), np.float32, 0),
            mass=((), np.float32, 0),
            followed=((), np.float32, 0),
            preceded=((), np.float32, 0),
            derived=((), np.float32, 0),
            moved=((), np.float32, 0),
            akin=((AKIN,), np.int32, NONE),
            likeness=((AKIN,), np.float32, 0),
            trust=((), np.float32, 1),
        )
        self.reach(len(snapshot.keys))
        made = {**vars(derived.relations), **derived.transitions._asdict(), "trust": derived.trust}
        for name in Standing._fields:
            if name not in ("moved", "derived"):
                self._arrays[name][:] = made[name]
        for name in ("akin", "likeness"):
            self._arrays[name][:] = getattr(snapshot, name)
        self._arrays["derived"][:] = derived.relations.mass
        self._arrays["trust"][:] = derived.trust

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Return an array by its name, as a view of what is in use."""
        return self._arrays[name]

    def reach(self, items: int) -> None:
        """Make room for items that came since."""
        self._arrays.reach(items)

    def standing(self) -> Standing:
        """Return what is revised, as views."""
        return Standing(*(self._arrays[name] for name in Standing._fields))

    def judge(self, rows: Snapshot, numbers: Indices) -> None:
        """Judge anew how far the votes for items are believed whose counts have changed, and which items lead."""
        believed, trust = trust_of(rows.counts[numbers], self.usual), self._arrays["trust"]
        self.tell_again(numbers[np.abs(believed - trust[numbers]) > BELIEVED_AGAIN])
        trust[numbers] = believed
        among = np.union1d(self.heads, numbers).astype(np.int32)
        # Of equal counts, the one of the lower key leads, as in a version.
        among = among[np.argsort(rows.keys[among])]
        self.heads = heads_of(rows, trust, among[rows.available[among]])

    def tell_again(self, numbers: Indices | Places) -> None:
        """Let the rows of some items count as moved just enough to be told anew, behind those that moved more."""
        moved = self._arrays["moved"]
        moved[numbers] = np.maximum(moved[numbers], 2 * MATERIAL * self._tenths(numbers))

    def _tenths(self, numbers: Indices | Places) -> Floats:
        return np.asarray(np.maximum(self._arrays["strengths"][numbers, TENTH], LEAST))

    def to_tell(self, most: int) -> tuple[Places, int]:
        """Return the items that have moved enough to be told anew, at most some, and how many others there are.

        They are those that moved most.
        """
        # Few of a million items have moved at all.
        found = np.flatnonzero(self._arrays["moved"])
        shares = self._arrays["moved"][found] / self._tenths(found)
        enough = shares >= MATERIAL
        found, shares = found[enough], shares[enough]
        if len(found) <= most:
            return found, 0
        return found[np.argpartition(-shares, most)[:most]], len(found) - most

    def told(self, numbers: Places) -> ToldArray:
        """Return the rows of some items as they are told; from then on, they have not moved."""
        of = self._arrays
        rows = np.zeros(len(numbers), TOLD)
        for name in ("related", "followers", "akin", "mass", "trust"):
            rows[name] = of[name][numbers]
        for name, scales in CODED.items():
            rows[name], rows[scales] = coded(of[name][numbers])
        rows["likeness"] = np.rint(of["likeness"][numbers] / LIKENESS_UNIT)
        of["moved"][numbers] = 0
        return rows
