"""Leaders die at each step of writing a version, over a log that Kafka compacts: nobody mixes two versions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from afresh.models.arrays import NONE, Indices, Keys
from afresh.models.layout import HALF_LIVES_MS
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.catalogue.copies import Alike, ModelCopy
from afresh.state.model import told
from afresh.state.model.model import BESIDE_BYTES, Model
from afresh.state.model.told import NAMING, TOLD, Message, Numbered, Revised, Told, Whole
from afresh.streams.kafka.follow import newest
from afresh.streams.kafka.sender import OutgoingRecord
from afresh.streams.modelling import modeller as module
from afresh.streams.modelling.modeller import Modeller
from afresh.streams.modelling.records import applied
from afresh.streams.topics import Topic
from tests.streams.making import count, describe, record

TOPIC = Topic("test.model", 1, 1)

ITEMS = [f"i{number}" for number in range(6)]

NEW = "new"
"""An item that comes after the first version."""

ROOM = BESIDE_BYTES + 4 * 8
"""Room of a message: four keys, or one row. A version takes many records."""

STEPS = 10
"""Records of a version of seven items: two with keys, seven with rows, and the last one."""

AHEAD_MS = 10**14
"""A time in some thousand years, by a clock that is wrong."""

Log = list[OutgoingRecord]

Rows = Mapping[int, bytes]
"""What is told of each item, by its key, with the keys of others for their numbers. The heads are those of key 0."""


class DiedError(Exception):
    """A leader died."""


class Leader:
    """One that makes the model, and dies after some records.

    Parameters
    ----------
    log
        What Kafka has of the topic. What is written goes there.
    items
        The items, in the order in which it has met them.
    """

    def __init__(self, log: Log, items: Sequence[str]) -> None:
        self._log, self._lives = log, 0
        self._model = Model(room=ROOM)
        claims: Any = self
        self._modeller = Modeller(self._model, TOPIC, claims, lambda: True, asyncio.Event(), self._alike)
        describe(self._model.rows, *items)
        applied(self._modeller.note, lambda _: None)(latest(log))

    def _alike(self) -> Alike:
        return ModelCopy(0).alike(self._model.rows["keys"])

    def sender(self, _: str, __: int) -> Leader:
        """Return what sends, as claims do."""
        return self

    async def send_whole(self, _: str, __: int, records: Sequence[OutgoingRecord]) -> int:
        """Write records, or die."""
        if not self._lives:
            raise DiedError
        self._lives -= 1
        self._log += records
        return 0

    def learn(self, *steps: int) -> None:
        """Learn what people did at some steps: each time, they took other items together."""
        for step in steps:
            one, other = ITEMS[step % 6], ITEMS[(3 * step + 1) % 6]
            third = NEW if step > 1 else ITEMS[5]
            pairs = {one: {other: 2.0 * step, third: 1.0}, other: {one: 3.0 * step}, third: {one: 9.0 * step}}
            count(self._model.rows, {item: float(step) for item in pairs}, pairs)

    def derive(self, clock_ms: int, lives: int = STEPS) -> None:
        """Derive and tell a version, by its own clock; die after some records."""
        self._lives = lives
        clock = SimpleNamespace(
            time=lambda: clock_ms / 1000, perf_counter=time.perf_counter, thread_time=time.thread_time
        )
        with patch.object(module, "time", clock):
            asyncio.run(self._modeller._derive())

    def revise(self, step: int) -> None:
        """Tell what people did at a step in revisions."""
        self.learn(step)
        self._lives = 10 * STEPS
        asyncio.run(self._modeller._revise())


@cache
def first_leader(doomed: int, start_ms: int) -> tuple[OutgoingRecord, ...]:
    """Return all that a leader wrote up to the end of a version, by its number."""
    log: Log = []
    leader = Leader(log, ITEMS)
    leader.learn(1)
    leader.derive(start_ms)
    leader.revise(2)
    leader.revise(3)
    for version in range(2, doomed):
        leader.derive(2000 * version)
        leader.revise(2 * version)
    leader.learn(2 * doomed)
    leader.derive(2000 * doomed)
    return tuple(log)


def next_leader(log: Log, doomed: int, clock_ms: int) -> Log:
    """Return what another leader writes, which goes on from a log: a version, and a revision."""
    after = list(log)
    leader = Leader(after, [NEW, *reversed(ITEMS)])
    leader.learn(*range(1, 2 * doomed + 2))
    leader.derive(clock_ms)
    leader.revise(2 * doomed + 2)
    return after[len(log) :]


def latest(log: Sequence[OutgoingRecord]) -> dict[bytes, bytes | None]:
    """Return the newest value of each key, in the order of their records, as Kafka keeps and followers read them."""
    return newest([record(each.value, each.key) for each in log], 1)


def compacted(log: Log, end: int) -> Log:
    """Return what Kafka has of a log after it has compacted what stands before an offset."""
    return [OutgoingRecord(key, value) for key, value in latest(log[:end]).items()] + log[end:]


class Reader:
    """A worker that follows the model."""

    def __init__(self) -> None:
        self._catalogue = Catalogue()
        describe(self._catalogue, ITEMS[3], NEW, *ITEMS)
        self._apply = applied(self._catalogue.take, lambda _: None)

    def read(self, *records: OutgoingRecord) -> Held:
        """Take in records that come in one poll, and return what lists are made from now."""
        self._apply(latest(records))
        items = self._catalogue.items()
        return self._catalogue.model, by_key(items.keys, lambda name: getattr(items, name), items.heads)


Held = tuple[int, Rows]
"""A version, and its rows."""


class Correct:
    """What was told, put together in the plainest way, by number.

    Attributes
    ----------
    stands
        The version that was told whole last, as it was revised since.
    stood
        All that stood so far.
    """

    def __init__(self, log: Log) -> None:
        self._keys: list[int] = []
        self._rows: dict[int, npt.NDArray[Any]] = {}
        self._coming: list[int] = []
        self._told: dict[int, npt.NDArray[Any]] = {}
        self.stands: Held = Reader().read()
        self.stood = [self.stands]
        for each in log:
            self.read(each)

    def read(self, outgoing: OutgoingRecord) -> Held:
        """Take in a record, and return what stands now."""
        self._take(told.decoder.decode(outgoing.value or b""))
        self.stood.append(self.stands)
        return self.stands

    def _take(self, message: Message) -> None:
        match message:
            case Numbered():
                self._coming = self._coming[: message.first] + np.frombuffer(message.keys, "<u8").tolist()
            case Told():
                self._told |= dict(enumerate(np.frombuffer(message.rows, TOLD), message.first))
            case Whole():
                self._keys, self._rows = self._coming, dict(self._told)
                self._stand(message)
            case Revised():
                self._keys = self._keys + np.frombuffer(message.keys, "<u8").tolist()
                numbers = np.frombuffer(message.numbers, "<i4").tolist()
                self._rows |= dict(zip(numbers, np.frombuffer(message.rows, TOLD), strict=True))
                self._stand(message)

    def _stand(self, message: Whole | Revised) -> None:
        rows = np.array([self._rows.get(number, UNTOLD[0]) for number in range(len(self._keys))], TOLD)
        heads = np.frombuffer(message.heads, "<i4").reshape(len(HALF_LIVES_MS), -1)
        self.stands = message.version, by_key(np.array(self._keys, np.uint64), rows.__getitem__, heads)


def untold() -> npt.NDArray[Any]:
    """Make a row of an item of which nothing was told."""
    row = np.zeros(1, TOLD)
    for name in NAMING:
        row[name] = NONE
    row["trust"] = 1
    return row


UNTOLD = untold()


def by_key(keys: Keys, of: Callable[[str], npt.NDArray[Any]], heads: Indices) -> Rows:
    """Return rows by key; those of which nothing was told are left out."""
    # NONE is the last index.
    keys_of = np.append(keys, np.uint64(0))
    rows = dict(zip(keys.tolist(), packed(keys_of, of), strict=True))
    (nothing,) = packed(keys_of, UNTOLD.__getitem__)
    return {key: row for key, row in rows.items() if row != nothing} | {0: keys_of[heads].tobytes()}


def packed(keys_of: Keys, of: Callable[[str], npt.NDArray[Any]]) -> list[bytes]:
    """Return rows as bytes, with the keys of other items for their numbers."""
    names = TOLD.names or ()
    columns = [keys_of[of(name)] if name in NAMING else of(name) for name in names]
    return [b"".join(value.tobytes() for value in row) for row in zip(*columns, strict=True)]


DOOMED = 2, 3
"""In which of its versions a leader dies: they are written into an empty slot, or over an older version."""

STARTS_MS = 1000, AHEAD_MS
"""When the first version was made. If clocks were ahead then, versions of different leaders may have one number."""


def died(doomed: int, start_ms: int, steps: int) -> Log:
    """Return the log after a leader has died that wrote some records of a version."""
    log = list(first_leader(doomed, start_ms))
    return log[: len(log) - STEPS + steps]


@cache
def went_on(doomed: int, start_ms: int, steps: int) -> tuple[Log, Log]:
    """Return the log after a leader has died, and what the next one writes."""
    log = died(doomed, start_ms, steps)
    return log, next_leader(log, doomed, 2000 * doomed + 1000)


@pytest.mark.parametrize("doomed", DOOMED)
@pytest.mark.parametrize("start_ms", STARTS_MS)
@pytest.mark.parametrize("steps", range(STEPS + 1))
def test_whoever_has_followed_a_leader_that_dies_at_any_step_holds_what_was_told_whole_last(
    doomed: int, start_ms: int, steps: int
) -> None:
    before, after = went_on(doomed, start_ms, steps)
    reader, correct = Reader(), Correct([])
    for each in [*before, *after]:
        assert reader.read(each) == correct.read(each)
    versions = [version for version, _ in correct.stood]
    assert versions == sorted(versions)
    assert versions[-1] > versions[len(before)] > 0
    for log, stands in (before, correct.stood[len(before)]), (before + after, correct.stands):
        late = Reader()
        assert [late.read(each) for each in compacted(log, len(log))][-1] == stands


@given(st.sampled_from(DOOMED), st.sampled_from(STARTS_MS), st.integers(0, STEPS), st.data())
@limits(deadline=None, max_examples=100)
def test_whoever_begins_to_read_after_any_death_and_any_compaction_holds_no_mixture_and_at_last_what_stands(
    doomed: int, start_ms: int, steps: int, data: st.DataObject
) -> None:
    before, after = went_on(doomed, start_ms, steps)
    whole = before + after
    at_death, correct = Correct(before), Correct(whole)
    for log, stands in (before, at_death.stands), (whole, correct.stands):
        left = compacted(log, data.draw(st.integers(0, len(log)), label="compacted"))
        polls = sorted(data.draw(st.sets(st.integers(1, len(left))), label="polls") | {len(left)})
        reader = Reader()
        for begin, end in zip([0, *polls], polls, strict=False):
            held = reader.read(*left[begin:end])
            assert held in correct.stood
        assert held == stands
