import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import ProducerFenced, TransactionalIdAuthorizationFailed
from faust.types import TP

from afresh.state.store.marks import CLAIM_KEY
from afresh.streams.kafka import fence as module
from afresh.streams.kafka.fence import Claims
from afresh.streams.kafka.sender import FencedError, OutgoingRecord
from tests.streams.making import FakeProducer

ONE, TWO, OTHER = TP("rows", 1), TP("rows", 2), TP("others", 1)


class Made:
    """Starts producers; the first ones fail."""

    def __init__(self, *failures: Exception, sends: tuple[Exception, ...] = ()) -> None:
        self.failures = list(failures)
        self.sends = sends
        self.ids: list[str | None] = []
        self.producers: list[Any] = []
        self.stopped: list[Any] = []
        self.ends: Counter[tuple[str, int]] = Counter()

    async def start(self, transactional_id: str | None) -> Any:
        self.ids.append(transactional_id)
        if self.failures:
            raise self.failures.pop(0)
        producer: Any = FakeProducer(*self.sends)
        producer.ends = self.ends
        producer._txn_manager = SimpleNamespace(transactional_id=transactional_id)
        self.producers.append(producer)
        return producer

    def claims(self, fenced: bool = True) -> Claims:
        return Claims("ours", self.start, self.stopped.append, fenced=fenced)


async def test_a_claim_writes_a_record_of_its_own_before_anything_else() -> None:
    made = Made()
    claims = made.claims()
    await claims.renew([ONE])
    await claims.sender("rows", 1).send_whole("rows", 1, [OutgoingRecord(b"a", b"1")])
    (producer,) = made.producers
    assert producer.batches == [("rows", 1, [(CLAIM_KEY, None)]), ("rows", 1, [(b"a", b"1")])]
    assert made.ids == ["ours-1"]
    assert producer._txn_manager.transactional_id is None, (
        "with its id it would refuse to send outside a transaction"
    )


async def test_after_a_rebalance_our_partitions_are_claimed_anew_and_others_are_given_up() -> None:
    made = Made()
    claims = made.claims()
    await claims.renew([ONE, TWO])
    before = list(made.producers)
    await claims.renew([TWO])
    assert made.stopped == before
    assert made.ids == ["ours-1", "ours-2", "ours-2"]
    claims.sender("rows", 2)
    with pytest.raises(FencedError, match="rows-1"):
        claims.sender("rows", 1)


async def test_tables_share_one_claim_of_a_partition_with_a_record_in_each_of_their_changelogs() -> None:
    made = Made()
    claims = made.claims()
    await claims.renew([ONE, OTHER, TWO])
    assert sorted(map(str, made.ids)) == ["ours-1", "ours-2"]
    claimed = sorted(batch for producer in made.producers for batch in producer.batches)
    assert claimed == [(topic, number, [(CLAIM_KEY, None)]) for topic, number in sorted([ONE, OTHER, TWO])]


async def test_a_claim_that_came_too_late_gives_no_right_to_write() -> None:
    claims = Made(sends=(ProducerFenced(),)).claims()
    await claims.renew([ONE, OTHER])
    for topic in ("rows", "others"):
        with pytest.raises(FencedError):
            claims.sender(topic, 1)


async def test_a_right_that_is_missing_reaches_whoever_claims() -> None:
    with pytest.raises(TransactionalIdAuthorizationFailed):
        await Made(TransactionalIdAuthorizationFailed()).claims().renew([ONE])


async def test_a_broker_without_epochs_gets_ordinary_producers_and_no_claims() -> None:
    made = Made()
    claims = made.claims(fenced=False)
    await claims.renew([ONE])
    await claims.sender("rows", 1).send_whole("rows", 1, [OutgoingRecord(b"a", b"1")])
    assert made.ids == [None]
    assert made.producers[0].batches == [("rows", 1, [(b"a", b"1")])]


EXPIRY = 600.0


class Leases:
    """Makes leases that a test ends."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def __call__(self, expiry: float) -> Any:
        lease = SimpleNamespace(expiry=expiry, due=False, over=False)
        lease.is_due = lambda: lease.due
        lease.is_over = lambda: lease.over
        self.made.append(lease)
        return lease


@pytest.fixture
def leases(monkeypatch: pytest.MonkeyPatch) -> Leases:
    made = Leases()
    monkeypatch.setattr(module, "Lease", made)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    return made


async def kept(claims: Claims, ours: Callable[[], bool] = lambda: True) -> "asyncio.Task[None]":
    """Keep claims until nothing is left to do, and return the task, which goes on."""
    task = asyncio.create_task(claims.keep(ours))
    await asyncio.sleep(0.02)
    return task


async def test_a_claim_that_is_due_is_renewed_while_nothing_else_is_under_way(leases: Leases) -> None:
    made = Made()
    claims = made.claims()
    claims.expiry_seconds = EXPIRY
    await claims.renew([ONE, OTHER, TWO])
    for tp in (ONE, TWO):
        await claims.sender(*tp).send_whole(*tp, [OutgoingRecord(b"a", b"1"), OutgoingRecord(b"b", b"2")])
    old, other = made.producers
    leases.made[0].due = True
    task = await kept(claims)
    assert made.ids == ["ours-1", "ours-2", "ours-1"]
    new = made.producers[2]
    assert sorted(new.batches) == [("others", 1, [(CLAIM_KEY, None)]), ("rows", 1, [(CLAIM_KEY, None)])]
    assert made.stopped == [old]
    await claims.sender(*ONE).send_whole(*ONE, [OutgoingRecord(b"a", b"3")])
    assert new.batches[-1] == ("rows", 1, [(b"a", b"3")])
    assert [lease.expiry for lease in leases.made] == [EXPIRY] * 3
    leases.made[2].due = True
    await asyncio.sleep(0.02)
    assert made.stopped == [old, new]
    assert other.batches == [("rows", 2, [(CLAIM_KEY, None)]), ("rows", 2, [(b"a", b"1"), (b"b", b"2")])]
    task.cancel()


async def test_nothing_is_renewed_while_the_group_does_not_confirm_that_it_is_ours(leases: Leases) -> None:
    made = Made()
    claims = made.claims()
    await claims.renew([ONE])
    leases.made[0].due = True
    task = await kept(claims, lambda: False)
    assert made.ids == ["ours-1"]
    # The partition may also move while Kafka hands out the epoch. Its record would fence the new owner.
    answers: Iterator[bool] = iter([True])
    task.cancel()
    task = await kept(claims, lambda: next(answers, False))
    assert made.ids == ["ours-1"] * 2
    assert made.producers[1].batches == []
    assert made.stopped == [made.producers[1]]
    task.cancel()


async def test_a_rebalance_during_a_renewal_gives_up_the_renewed_claim(leases: Leases) -> None:
    made = Made()
    claims = made.claims()
    await claims.renew([ONE])
    leases.made[0].due = True
    blocked, start = asyncio.Event(), claims._start

    async def slow(transactional_id: str | None) -> Any:
        producer = await start(transactional_id)
        await blocked.wait()
        return producer

    claims._start = slow
    task = await kept(claims)
    claims._start = start
    await claims.renew([ONE])
    blocked.set()
    await asyncio.sleep(0.02)
    first, renewed, current = made.producers
    assert made.stopped == [first, renewed]
    assert renewed.batches == []
    await claims.sender(*ONE).send_whole(*ONE, [OutgoingRecord(b"a", b"1")])
    assert current.batches[-1] == ("rows", 1, [(b"a", b"1")])
    task.cancel()


async def test_a_partition_with_records_of_another_writer_ends_the_process(leases: Leases) -> None:
    made = Made()
    claims = made.claims()
    await claims.renew([ONE])
    made.ends[ONE] += 1
    leases.made[0].due = True
    with pytest.raises(ExceptionGroup) as ended:
        await claims.keep(lambda: True)
    assert ended.group_contains(FencedError, match="rows-1 has records of another writer")
    assert made.stopped == [made.producers[1]]


@pytest.mark.parametrize(
    ("expiry", "level", "said"),
    [
        (None, "INFO", "Kafka does not say when it forgets claims"),
        (4.0, "WARNING", "Kafka forgets claims after 4 s"),
        (EXPIRY * 100, "", ""),
    ],
)
def test_the_log_says_once_what_is_assumed_and_whether_kafka_forgets_too_soon(
    expiry: float | None, level: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    claims = Made().claims()
    claims.expiry_seconds = expiry
    claims.report_expiry()
    assert [each.levelname for each in caplog.records] == [level] * bool(level)
    assert said in caplog.text
