"""The model: keeps all item rows, derives versions from them, and revises the standing one in between.

Rows are taken in by the thread of the event loop, and so are new versions. ``derive`` and ``revise`` run in threads
beside it, one of each at a time. They read rows while the event loop goes on writing them, and may see one half
changed. That row then counts as changed again, and is revised again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from afresh.models.arrays import NONE, Floats, Halves, Indices, Keys, Places
from afresh.models.relations.near_texts import NearTexts
from afresh.models.relations.revising import AllRows, Changed, fold_in, revise_rows, revise_texts
from afresh.models.retrieval.asking import AKIN, LIKENESS_UNIT
from afresh.state.catalogue.copies import Alike
from afresh.state.encoders import Plan, choose
from afresh.state.model.derived import Snapshot, derive
from afresh.state.model.rows import ItemRows
from afresh.state.model.standing import Stands
from afresh.state.model.told import TOLD, Numbered, Revised, Told, Whole

N = TypeVar("N", bound=np.generic)

MESSAGE_BYTES = 400_000
"""Size of most messages."""

BESIDE_BYTES = 16_384
"""Most that a message holds besides keys and rows: the heads."""

TOLD_AT_ONCE = 1024
"""Most rows that a revision tells; those that moved most come first, and the others wait."""


TEXTS_AT_ONCE = 256
"""Texts that a revision compares with the others: half a second of work, for which what people did meanwhile waits."""


@dataclass(frozen=True)
class Changes:
    """What changed since the last revision.

    Attributes
    ----------
    rows
        All rows, as views.
    numbers, before, after
        Items whose behaviour rows changed, and these rows.
    vectors, texts
        Embeddings of all items, and the items whose embeddings came, changed or went.
    """

    rows: Snapshot
    numbers: Indices
    before: Changed
    after: Changed
    vectors: Halves
    texts: Places


class Model:
    """What follows from all item rows together.

    Parameters
    ----------
    near
        Keeps which texts are near each other.
    room
        Most bytes of a message.

    Attributes
    ----------
    rows
        The rows of all items.
    plan
        What is wanted of encoders; None if nobody has planned anything.
    encoder
        Version of the encoder that versions are made from; see ``state.model.told.Whole``.
    version
        The version that stands: the time at which it was begun, in ms; 0 before the first.
    slot
        Where the version that stands is kept; see ``state.model.told.Whole``.
    untold
        Number of rows that have moved enough to be told, and wait.
    recalled
        Whether it goes on with what an earlier process found of texts near each other.
    """

    def __init__(self, near: NearTexts | None = None, room: int = MESSAGE_BYTES) -> None:
        self._room = min(room, MESSAGE_BYTES) - BESIDE_BYTES
        self.rows = ItemRows()
        self.plan: Plan | None = None
        self.encoder = ""
        self._since = 0
        self.version = 0
        self.slot = 1
        self._near = near or NearTexts(at_once=TEXTS_AT_ONCE)
        self._stands: Stands | None = None
        self._sequence = 0
        self._numbered = 0
        self.untold = 0
        self.recalled = False
        self._texts_again: set[int] = set()
        self._texts_since: set[int] = set()

    @property
    def stands(self) -> bool:
        """Whether a version stands that can be revised."""
        return self._stands is not None

    def is_outdated(self) -> bool:
        """Whether rows have changed since the version that stands was derived."""
        return self._stands is None or self._stands.updates != self.rows.updates or self.reads_texts()

    def reads_texts(self) -> bool:
        """Whether there are texts that have not been compared with the others yet."""
        return bool(self.rows.embeddings.changed or self._near.waiting)

    def has_changes(self) -> bool:
        """Whether there is anything to revise."""
        return bool(self.rows.changed or self._texts_again or self.reads_texts() or self.untold)

    def note(self, whole: Whole) -> None:
        """Note a version that somebody told: if it is not ours, nothing of ours stands any more."""
        self.slot = whole.slot
        if whole.version != self.version:
            self.version, self.encoder, self._since = whole.version, whole.encoder, whole.since
            self.rows.embeddings.use(whole.encoder)
            self.stand_down()

    def take_plan(self, plan: Plan) -> None:
        """Take in what is wanted of encoders."""
        self.plan = plan

    def change_over(self) -> None:
        """Change over to the encoder that the plan and its coverage ask for, if it is another one than until now.

        What stands is not revised any more: which texts are near each other follows from the new encoder from now on,
        and workers go on with the old one until a version tells them.
        """
        chosen = choose(self.plan, self.rows.embeddings.coverage(), self.encoder)
        if chosen != self.encoder:
            self.encoder, self._since, self.recalled = chosen, 0, False
            self.rows.embeddings.use(chosen)
            self.stand_down()

    def stand_down(self) -> None:
        """Let nothing of ours stand any more: another process makes the model."""
        self._stands = None
        self.rows.forget_changes()
        self._texts_again, self._texts_since = set(), set()

    def recall(self, alike: Alike) -> None:
        """Go on with what an earlier process found of texts near each other, until all are compared anew.

        Few texts are compared in seconds, and it is better to wait for them.
        """
        items = len(self.rows)
        embedded = self.rows.embeddings.count_embedded(np.ones(items, np.bool_))
        if len(self._near.akin) or embedded < self._near.exact_below:
            return
        # One more, so that the number of NONE is NONE.
        numbers = np.append(self.rows.numbers_of(alike.keys), np.int32(NONE))
        known = np.flatnonzero(numbers[:-1] != NONE)
        akin, likeness = np.full((items, AKIN), NONE, np.int32), np.zeros((items, AKIN), np.float32)
        akin[numbers[known]] = numbers[alike.akin[known]]
        likeness[numbers[known]] = alike.likeness[known] * LIKENESS_UNIT
        likeness[akin == NONE] = 0
        self._near.recall(akin, likeness)
        self.recalled = True

    def snapshot(self) -> Snapshot:
        """Return all that a version is derived from; what changes from now on will be revised in that version."""
        self.rows.tracked, self.rows.since, self._texts_since = True, {}, set()
        items = len(self.rows)
        return self._all_rows(_longer(self._near.akin, items, NONE), _longer(self._near.likeness, items, 0))

    def tell_version(self, version: int, keys: Keys, stands: Stands) -> Iterator[Numbered | Told]:
        """Yield the messages that tell a version, all but the last."""
        size = max(1, self._room // keys.itemsize)
        for start in range(0, max(len(keys), 1), size):
            yield Numbered(version, start, keys[start : start + size].tobytes())
        size = max(1, self._room // TOLD.itemsize)
        for start in range(0, len(keys), size):
            numbers = np.arange(start, min(start + size, len(keys)))
            yield Told(version, start, stands.told(numbers).tobytes())

    def install(self, version: int, stands: Stands) -> Whole:
        """Let a version stand, and return the message that ends it; all others of it must have been told."""
        self.version, self.slot, self._stands = version, 1 - self.slot, stands
        self._sequence, self._numbered, self.untold = 0, len(stands["mass"]), 0
        self.rows.changed, self.rows.since = self.rows.since, {}
        self._texts_again, self._texts_since = self._texts_since, set()
        self._since = self._since or version
        return Whole(version, self.slot, self._numbered, _packed(stands.heads), self.encoder, self._since)

    def changes(self) -> Changes:
        """Take what has changed since the last call."""
        items = len(self.rows)
        numbers, before, after = self.rows.take_changed()
        return Changes(
            self._all_rows(self._near.akin, self._near.likeness),
            numbers,
            before,
            after,
            self.rows.embeddings.matrix(items),
            self.rows.embeddings.take_changed(items),
        )

    def _all_rows(self, akin: Indices, likeness: Floats) -> Snapshot:
        of = self.rows
        return Snapshot(
            updates=of.updates,
            now_ms=of.now,
            akin=akin,
            likeness=likeness,
            **{
                name: of[name]
                for name in (
                    "keys",
                    "available",
                    "neighbours",
                    "weights",
                    "nexts",
                    "mass",
                    "counts",
                    "count_times",
                )
            },
        )

    def revise(self, changes: Changes) -> list[Revised]:
        """Revise the version that stands by what has changed, and return what is to be told.

        Before the first version, this only compares the texts.
        """
        texts = self._near.update(changes.rows.keys, changes.vectors, changes.texts)
        self._texts_since.update(texts.tolist())
        stands = self._stands
        if stands is None:
            return []
        stands.reach(len(changes.rows.keys))
        self._revise_texts(stands, changes, texts)
        revise_rows(
            *(changes.numbers, changes.before, changes.after),
            *(_rows_of(changes, stands), stands.standing()),
        )
        fold_in(np.flatnonzero(stands["moved"]).astype(np.int32), stands.standing(), stands.pull)
        heads = stands.heads
        stands.judge(changes.rows, changes.numbers)
        told, self.untold = stands.to_tell(TOLD_AT_ONCE)
        keys = changes.rows.keys[self._numbered :]
        if not (len(told) or len(keys)) and np.array_equal(heads, stands.heads):
            return []
        return list(self._tell(stands, keys, told))

    def _revise_texts(self, stands: Stands, changes: Changes, texts: Places) -> None:
        again = np.fromiter(self._texts_again, np.int32, len(self._texts_again))
        self._texts_again.clear()
        numbers = np.union1d(texts, again).astype(np.int32)
        before = stands["akin"][numbers], stands["likeness"][numbers]
        stands["akin"][numbers], stands["likeness"][numbers] = (
            self._near.akin[numbers],
            self._near.likeness[numbers],
        )
        revise_texts(numbers, *before, _rows_of(changes, stands), stands.standing())
        stands.tell_again(numbers)

    def _tell(self, stands: Stands, keys: Keys, told: Places) -> Iterator[Revised]:
        """Yield the messages that tell new items, and then rows, which may name any of them."""
        size = max(1, self._room // keys.itemsize)
        for start in range(0, len(keys), size):
            yield self._revised(stands, keys[start : start + size], told[:0])
        size = max(1, self._room // (TOLD.itemsize + told.itemsize))
        for start in range(0, max(len(told), 1), size):
            yield self._revised(stands, keys[:0], told[start : start + size])

    def _revised(self, stands: Stands, keys: Keys, told: Places) -> Revised:
        sequence, first = self._sequence, self._numbered
        self._sequence += 1
        self._numbered += len(keys)
        numbers = told.astype("<i4").tobytes()
        rows = stands.told(told).tobytes()
        heads = _packed(stands.heads)
        return Revised(self.version, sequence, first, keys.tobytes(), numbers, rows, heads, self.encoder)


def version_of(snapshot: Snapshot) -> Stands:
    """Derive a version from a snapshot."""
    return Stands(snapshot, derive(snapshot))


def _rows_of(changes: Changes, stands: Stands) -> AllRows:
    return AllRows(changes.rows.neighbours, changes.rows.weights, stands["akin"], stands["likeness"])


def _longer(array: npt.NDArray[N], length: int, fill: float) -> npt.NDArray[N]:
    """Return a copy with rows for items that came since."""
    longer = np.full((length, *array.shape[1:]), fill, array.dtype)
    longer[: len(array)] = array
    return longer


def _packed(heads: Indices) -> bytes:
    return np.ascontiguousarray(heads, "<i4").tobytes()
