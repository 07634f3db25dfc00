"""A modeller without Kafka: what it sends goes to a log, which a follower reads back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest
from faust.types import TP

from afresh.models.arrays import NONE
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.errors import AfreshError
from afresh.state.keys import key_of
from afresh.state.model.model import Model, version_of
from afresh.state.model.told import Whole
from afresh.state.rows import content
from afresh.state.rows.content import Vector
from afresh.streams.kafka.ending import first_of
from afresh.streams.kafka.sender import FencedError, OutgoingRecord
from afresh.streams.modelling import modeller as module
from afresh.streams.modelling.modeller import Modeller
from afresh.streams.modelling.records import LED, all_of, applied
from afresh.streams.topics import Topic
from tests.streams.making import count, describe

TOPIC = Topic("test.model", 1, 1)


class FakeClaims:
    """Claims and the log behind them; ``refused`` is what sending raises."""

    def __init__(self) -> None:
        self.log: list[OutgoingRecord] = []
        self.claimed: list[list[TP]] = []
        self.refused: Exception | None = None
        self.deliver: Callable[[OutgoingRecord], None] = lambda record: None

    async def renew(self, partitions: Collection[TP]) -> None:
        self.claimed.append(list(partitions))

    async def keep(self, _: Callable[[], bool]) -> None:
        await asyncio.Event().wait()

    def sender(self, _: str, __: int) -> FakeClaims:
        return self

    async def send_whole(self, _: str, __: int, records: Sequence[OutgoingRecord]) -> int:
        if self.refused is not None:
            raise self.refused
        self.log += records
        for record in records:
            self.deliver(record)
        return 0


class Deployment:
    """A modeller, and a worker that follows what it tells."""

    def __init__(self) -> None:
        self.model, self.catalogue, self.claims = Model(), Catalogue(), FakeClaims()
        self.leads, self.caught_up = True, asyncio.Event()
        self.modeller = Modeller(
            self.model,
            TOPIC,
            self.claims,  # type: ignore[arg-type]
            lambda: self.leads,
            self.caught_up,
            lambda: self.catalogue.alike,
        )
        apply = applied(all_of([self.catalogue.take, self.modeller.note]), self.modeller.see)
        self.claims.deliver = lambda record: apply({record.key or b"": record.value})

    def apply_behaviour(self, latest: Any) -> None:
        self.model.rows.apply_behaviour(latest)
        self.catalogue.apply_behaviour(latest)

    def apply_content(self, latest: Any) -> None:
        self.model.rows.apply_content(latest)
        self.catalogue.apply_content(latest)

    def related(self, item: str) -> list[str]:
        index = self.catalogue.indices_of(np.array([key_of(item)], np.uint64))[0]
        return [self.catalogue.ids[other] for other in self.catalogue.items().related[index] if other != NONE]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        self.caught_up.set()
        task = asyncio.create_task(self.modeller.run())
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, AfreshError, ExceptionGroup):
                await task


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _in_short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUIET_SECONDS", "STAND_BY_SECONDS", "SHORTEST_REST_SECONDS"):
        monkeypatch.setattr(module, name, 0.02)


async def test_a_version_is_told_and_what_changes_then_is_revised_and_at_rest_derived_anew() -> None:
    deployment = Deployment()
    describe(deployment, "a", "b", "c")
    async with deployment.running():
        await until(lambda: deployment.catalogue.model)
        first = deployment.catalogue.model
        count(deployment, {"a": 5.0, "b": 5.0}, {"a": {"b": 5.0}, "b": {"a": 5.0}})
        await until(lambda: deployment.related("a") == ["b"])
        await until(lambda: deployment.catalogue.model > first and not deployment.model.is_outdated())
    slots = [record.key for record in deployment.claims.log if (record.key or b"").startswith(b"numbered")]
    assert {b"numbered/0/0", b"numbered/1/0"} <= set(slots)


async def test_nothing_is_sent_before_all_rows_are_read_or_while_another_leads() -> None:
    deployment = Deployment()
    deployment.leads = False
    async with deployment.running():
        await asyncio.sleep(0.1)
        assert not deployment.claims.claimed
        deployment.leads = True
        await until(lambda: deployment.catalogue.model)
        deployment.leads = False
        await until(lambda: deployment.claims.claimed[-1] == [])


async def test_nothing_is_derived_before_what_was_told_earlier_has_been_read() -> None:
    deployment = Deployment()
    deliver, held = deployment.claims.deliver, list[OutgoingRecord]()
    deployment.claims.deliver = held.append
    async with deployment.running():
        await until(lambda: held)
        await asyncio.sleep(0.1)
        assert [record.key for record in held] == [LED]
        deployment.claims.deliver = deliver
        deliver(held[0])
        await until(lambda: deployment.catalogue.model)


async def test_one_whose_claim_is_taken_stands_by_and_claims_again(caplog: pytest.LogCaptureFixture) -> None:
    deployment = Deployment()
    deployment.claims.refused = FencedError("test.model", 0)
    async with deployment.running():
        await until(lambda: "Another process makes the model, too" in caplog.text)
        assert len(deployment.claims.claimed) >= 3
        deployment.claims.refused = None
        await until(lambda: deployment.catalogue.model)


async def test_what_kafka_refuses_for_good_ends_the_process() -> None:
    deployment = Deployment()
    deployment.claims.refused = AfreshError("no right to write")
    async with deployment.running() as task:
        with pytest.raises((AfreshError, ExceptionGroup)) as raised:
            await asyncio.wait_for(task, 10)
    assert str(first_of(raised.value)) == "no right to write"


async def test_one_whose_first_record_never_comes_back_claims_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_STAND_BY_SECONDS", 0.05)
    deployment = Deployment()
    deliver, held = deployment.claims.deliver, list[OutgoingRecord]()
    deployment.claims.deliver = held.append
    async with deployment.running():
        await until(lambda: len([each for each in deployment.claims.claimed if each]) > 1)
        deployment.claims.deliver = deliver
        await until(lambda: deployment.catalogue.model)


async def test_a_leader_that_reads_back_an_older_version_of_its_own_lets_the_newer_one_stand() -> None:
    deployment = Deployment()
    describe(deployment, "a", "b")
    async with deployment.running():
        await until(lambda: deployment.model.stands)
        standing = deployment.model.version
        deployment.modeller.note(Whole(standing - 1, 1 - deployment.model.slot, 0, b""))
        assert (deployment.model.version, deployment.model.stands) == (standing, True)


async def test_one_that_leads_again_goes_by_the_version_that_was_told_last() -> None:
    deployment = Deployment()
    describe(deployment, "a", "b")
    async with deployment.running():
        await until(lambda: deployment.model.stands)
        deployment.leads = False
        await until(lambda: not deployment.model.stands)
        deployment.modeller.note(Whole(10**15, 1, 0, b""))
        deployment.leads = True
        await until(lambda: deployment.model.stands)
        assert deployment.model.version == 10**15 + 1
        assert deployment.model.slot == 0


async def test_a_process_that_leads_no_more_tracks_no_changes() -> None:
    deployment = Deployment()
    describe(deployment, "a", "b")
    async with deployment.running():
        await until(lambda: deployment.model.stands)
        assert deployment.model.rows.tracked
        deployment.leads = False
        await until(lambda: not deployment.model.stands)
        assert not deployment.model.rows.tracked


async def test_without_changes_nothing_more_is_told() -> None:
    deployment = Deployment()
    describe(deployment, "a", "b")
    async with deployment.running():
        await until(lambda: deployment.catalogue.model and not deployment.model.is_outdated())
        told = len(deployment.claims.log)
        await asyncio.sleep(0.3)
        assert len(deployment.claims.log) == told


async def test_one_that_is_cancelled_while_its_claim_is_lost_ends() -> None:
    deployment = Deployment()
    describe(deployment, "a", "b")
    deployment.caught_up.set()
    task = asyncio.create_task(deployment.modeller.run())
    await until(lambda: deployment.model.stands)

    async def lose(_: Callable[[], bool]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise FencedError("test.model", 0)

    deployment.leads = False
    await until(lambda: not deployment.model.stands)
    deployment.claims.keep = lose  # type: ignore[method-assign]
    deployment.leads = True
    await until(lambda: deployment.model.stands)
    task.cancel()
    _, late = await asyncio.wait([task], timeout=5)
    assert not late


async def test_work_is_rested_from_by_its_cpu_time_and_not_by_its_waiting() -> None:
    _, waited = await module._finished(time.sleep, 0.3)
    assert waited < 0.1
    _, worked = await module._finished(lambda: sum(range(3_000_000)))
    assert worked > 0.005


async def test_who_recalls_what_stood_derives_a_version_before_it_has_compared_all_texts() -> None:
    deployment = Deployment()
    describe(deployment, "a", "b", content=1, vectors=[Vector(content.TEXT, "e", "1", 1, b"\0<" * 2)])
    model = deployment.model
    model.version = 7
    assert not deployment.modeller._is_due()
    model.recalled = True
    assert deployment.modeller._is_due()


@pytest.mark.parametrize(("taken", "again", "due"), [(0, 1, True), (8, 1, False), (8, 2, True)])
def test_a_version_is_due_once_a_quarter_of_what_people_take_has_changed(
    taken: int, again: int, due: bool
) -> None:
    deployment = Deployment()
    names = [f"i{number}" for number in range(100)]
    describe(deployment, *names, content=0)
    count(deployment, dict.fromkeys(names[:taken], 1.0))
    model = deployment.model
    model.install(int(1000 * time.time()), version_of(model.snapshot()))
    deployment.modeller._changed_at = time.monotonic()
    count(deployment, dict.fromkeys(names[:again], 2.0))
    assert deployment.modeller._is_due() == due
