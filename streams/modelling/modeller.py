"""modeller: makes the model, where this process leads, and tells it to all workers.

Whoever owns the first partition leads. It claims the topic of the model, so that Kafka refuses what earlier leaders
still send. Then it revises the version that stands again and again, and derives a new one

* when many of the rows of items taken have changed since the last one, because revisions do not turn the directions of
  vectors;
* when nothing has changed for a while, because the version at rest is a function of the rows alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from faust.types import TP

from afresh.state.catalogue.copies import Alike
from afresh.state.model.model import Model, version_of
from afresh.state.model.told import Message, Whole
from afresh.streams import metrics
from afresh.streams.kafka.app import App
from afresh.streams.kafka.fence import Claims
from afresh.streams.kafka.sender import FencedError, OutgoingRecord
from afresh.streams.modelling.records import LED, record_of
from afresh.streams.settings import Settings
from afresh.streams.topics import FIRST_PARTITION, Topic

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

REST, OWN_REST = 4.0, 1.0
"""Rest after each revision or version, as a multiple of its CPU time. Beside lists each uses a fifth of a core at most,
in a process of its own half of one."""

SHORTEST_REST_SECONDS = 0.2

CHANGED_SHARE = 0.25
"""A version is derived once so many rows have changed since the last one was begun, as a share of the items that
somebody has taken, or wait to be told, as a share of all. Where a deployment has just begun few items are taken, and
what is usual there changes with every hundred events."""

QUIET_SECONDS = 1.0
"""A version is derived once nothing has changed for so long."""

LONGEST_SECONDS = 600.0
"""A version is derived at this age, however few rows have changed."""

BYTES_A_SECOND = 1e6
"""Longer messages are followed by a longer rest, so that the model never fills Kafka's disks."""

STAND_BY_SECONDS = 1.0
"""Time between two looks whether this process leads."""

LONGEST_STAND_BY_SECONDS = 30.0
"""Longest time for which a process stands by whose claim another one has taken, though it owns the first partition."""

RIVALRY = 3
"""After so many claims lost one after the other, another process must own the first partition of another group."""


class Modeller:
    """Makes the model where this process leads.

    Parameters
    ----------
    model
        The model. Its rows are followed by somebody else.
    topic
        Topic of the model.
    claims
        Claims of the topic.
    leads
        Whether this process owns the first partition.
    caught_up
        Set once all rows are read.
    alike
        Returns what the version that stands tells of texts near each other.
    rest
        Rest after each revision or version, as a multiple of its CPU time.
    """

    def __init__(
        self,
        model: Model,
        topic: Topic,
        claims: Claims,
        leads: Callable[[], bool],
        caught_up: asyncio.Event,
        alike: Callable[[], Alike],
        rest: float = REST,
    ) -> None:
        self._model = model
        self._topic = topic.name
        self._claims = claims
        self._leads = leads
        self._caught_up = caught_up
        self._alike = alike
        self._rest_share = rest
        self._led = ""
        self._noted: Whole | None = None
        self._leading = False
        self._changed_at = 0.0
        self._seen = asyncio.Event()
        self._one = asyncio.Lock()

    def see(self, led: bytes) -> None:
        """See what a leader wrote first."""
        if led.decode() == self._led:
            self._seen.set()

    def note(self, message: Message) -> None:
        """Note which version stands, of those that others made.

        While this process leads, what it reads back is its own, and may be older than what stands.
        """
        if isinstance(message, Whole):
            self._noted = message
            if not self._leading:
                self._model.note(message)

    async def run(self) -> None:
        """Make the model whenever this process leads, forever.

        Raises
        ------
        ExceptionGroup
            Of an AfreshError, when Kafka refuses the model for good.
        """
        await self._caught_up.wait()
        lost = 0
        while True:
            if self._leads():
                try:
                    await self._lead()
                    lost = 0
                except* FencedError:
                    lost += 1
                    if lost == RIVALRY:
                        logger.warning(
                            "Another process makes the model, too, and both stand by by turns: AFRESH_MODEL must be "
                            "the same everywhere"
                        )
            # A group that ends with an error forgets that it was cancelled: the process would wait for this at its end.
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError
            await asyncio.sleep(min(STAND_BY_SECONDS * 2**lost, LONGEST_STAND_BY_SECONDS))

    async def _lead(self) -> None:
        await self._claims.renew([TP(self._topic, FIRST_PARTITION)])
        try:
            self._led = uuid.uuid4().hex
            self._seen.clear()
            await self._send(OutgoingRecord(LED, self._led.encode()))
            # If another one has led meanwhile, its record has replaced ours, and ours never comes.
            async with asyncio.timeout(LONGEST_STAND_BY_SECONDS):
                await self._seen.wait()
            if self._noted is not None:
                self._model.note(self._noted)
                self._model.recall(self._alike())
            self._leading = True
            logger.info("This process makes the model from now on")
            async with asyncio.TaskGroup() as work:
                loops = (self._derive_again(), self._revise_again(), self._claims.keep(self._leads))
                tasks = [work.create_task(each) for each in loops]
                while self._leads():  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(STAND_BY_SECONDS)
                for task in tasks:
                    task.cancel()
            logger.info("Another process makes the model from now on")
        except TimeoutError:
            logger.info("What this process wrote first has not come back; it claims the model anew")
        finally:
            self._leading = False
            self._model.stand_down()
            await self._claims.renew([])

    async def _revise_again(self) -> None:
        while True:
            rest = SHORTEST_REST_SECONDS
            if self._model.has_changes():
                self._changed_at = time.monotonic()
                rest = await self._revise()
            hurry = self._model.reads_texts() and not self._model.stands
            await asyncio.sleep(SHORTEST_REST_SECONDS if hurry else rest)

    async def _revise(self) -> float:
        """Revise the version that stands, and tell what is new; return how long to rest."""
        async with self._one:
            started = time.perf_counter()
            revised, worked = await _finished(self._model.revise, self._model.changes())
            metrics.STAGE_SECONDS.labels("revise").observe(time.perf_counter() - started)
            sent = await self._send(*(record_of(each, self._model.slot) for each in revised))
        return self._rest(worked, sent)

    async def _derive_again(self) -> None:
        while True:
            async with self._one:
                # Between two versions and two revisions: each is made from one encoder.
                self._model.change_over()
            rest = await self._derive() if self._is_due() else SHORTEST_REST_SECONDS
            await asyncio.sleep(rest)

    def _is_due(self) -> bool:
        model = self._model
        if not model.version:
            return True
        if not model.stands:
            # The version of an earlier leader knows the texts, and one that does not would be worse.
            return model.recalled or not model.reads_texts()
        if not model.is_outdated():
            return False
        quiet = time.monotonic() - self._changed_at >= QUIET_SECONDS and not model.reads_texts()
        old = time.time() - model.version / 1000 >= LONGEST_SECONDS
        many = len(model.rows.since) >= CHANGED_SHARE * model.rows.taken
        return quiet or old or many or model.untold >= CHANGED_SHARE * len(model.rows)

    async def _derive(self) -> float:
        """Derive a version, and tell it; return how long to rest."""
        async with self._one:
            snapshot = self._model.snapshot()
        version = max(int(time.time() * 1000), self._model.version + 1)
        started = time.perf_counter()
        stands, worked = await _finished(version_of, snapshot)
        metrics.STAGE_SECONDS.labels("derive").observe(time.perf_counter() - started)
        sent, slot = 0, 1 - self._model.slot
        for message in self._model.tell_version(version, snapshot.keys, stands):
            sent += await self._send(record_of(message, slot))
        async with self._one:
            sent += await self._send(record_of(self._model.install(version, stands), slot))
        return self._rest(worked, sent)

    def _rest(self, worked: float, sent: int) -> float:
        """Return how long to rest from work; to wait for Kafka was none."""
        return max(self._rest_share * worked, sent / BYTES_A_SECOND, SHORTEST_REST_SECONDS)

    async def _send(self, *records: OutgoingRecord) -> int:
        """Send records, one after the other; return their bytes."""
        claim = self._claims.sender(self._topic, FIRST_PARTITION)
        for record in records:
            await claim.send_whole(self._topic, FIRST_PARTITION, [record])
        return sum(record.size for record in records)


def claims_of(app: App, settings: Settings) -> Claims:
    """Return the claims of the topic of the model: of one name in all processes, so that each fences all others."""
    name = f"{settings.namespace}-model"
    return Claims(name, app.producers.start, app.producers.drop, app.limits, fenced=settings.idempotence)


async def _finished(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> tuple[T, float]:
    """Run work in a thread; return its result, and the CPU seconds of that thread.

    Even when cancelled, this waits for the end of the work: nobody else may begin before.
    """
    done = asyncio.ensure_future(asyncio.to_thread(lambda: _timed(work, *args, **kwargs)))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        raise


def _timed(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> tuple[T, float]:
    # Not the time on the wall: on a busy machine, a thread mostly waits for its turn, and that is no work to rest from.
    started = time.thread_time()
    return work(*args, **kwargs), time.thread_time() - started
