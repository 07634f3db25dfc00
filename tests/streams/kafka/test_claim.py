import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError
from faust.types import TP

from afresh.state.store.marks import CLAIM_KEY
from afresh.streams.kafka import sender as sending
from afresh.streams.kafka.claim import Claim
from afresh.streams.kafka.sender import FencedError, OutgoingRecord, Sender
from tests.streams.making import FakeProducer

ROWS = TP("rows", 1)
RECORD = [OutgoingRecord(b"a", b"1")]
CLAIMED, SENT = ("rows", 1, [(CLAIM_KEY, None)]), ("rows", 1, [(b"a", b"1")])


class FakeLease:
    """A lease that a test ends."""

    over = False

    def is_over(self) -> bool:
        return self.over


def claim_of(producer: Any) -> tuple[Claim, Any]:
    lease: Any = FakeLease()
    return Claim(ROWS, Sender(producer), lease), lease


def later(producer: Any) -> Any:
    """Make a producer with the next epoch, which appends to the same log."""
    made = FakeProducer()
    made.ends = producer.ends
    return made


async def test_a_claim_whose_lease_is_over_sends_once_it_is_renewed() -> None:
    producer = FakeProducer()
    claim, lease = claim_of(producer)
    await claim.write()
    lease.over = True
    task = asyncio.create_task(claim.send_whole(*ROWS, RECORD))
    await asyncio.sleep(0.1)
    assert producer.batches == [CLAIMED]
    new = later(producer)
    _, lease = claim_of(new)
    await claim.renew(Sender(new), lease)
    assert await task == 1 + 1
    assert new.batches == [CLAIMED, SENT]
    assert producer.batches == [CLAIMED]


async def test_a_batch_that_kafka_does_not_take_until_the_lease_is_over_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "RETRY_SECONDS", (0.0,))
    producer = FakeProducer()
    claim, lease = claim_of(producer)
    await claim.write()
    producer.failures = [KafkaTimeoutError()]

    async def silent(_: float) -> None:
        lease.over = True

    monkeypatch.setattr(sending, "asyncio", SimpleNamespace(sleep=silent))
    with pytest.raises(FencedError, match="rows-1 was claimed too long ago"):
        await claim.send_whole(*ROWS, RECORD)
    assert producer.batches == [CLAIMED]


async def test_a_renewal_waits_for_the_batch_under_way_and_the_next_batch_for_the_renewal() -> None:
    producer = FakeProducer()
    claim, lease = claim_of(producer)
    await claim.write()
    new = later(producer)
    before, _, behind = await asyncio.gather(
        claim.send_whole(*ROWS, RECORD),
        claim.renew(Sender(new), lease),
        claim.send_whole(*ROWS, RECORD),
    )
    assert (before, behind) == (1, 3)
    assert producer.batches == [CLAIMED, SENT]
    assert new.batches == [CLAIMED, SENT]


async def test_a_renewal_behind_records_of_another_writer_fails() -> None:
    producer = FakeProducer()
    claim, lease = claim_of(producer)
    await claim.write()
    await claim.send_whole(*ROWS, RECORD)
    producer.ends[ROWS] += 1
    with pytest.raises(FencedError, match="rows-1 has records of another writer"):
        await claim.renew(Sender(later(producer)), lease)


async def test_an_offset_that_kafka_did_not_report_is_not_compared() -> None:
    producer = FakeProducer()
    claim, lease = claim_of(producer)
    await claim.write()
    producer.ends[ROWS] = -1
    await claim.send_whole(*ROWS, RECORD)
    producer.ends[ROWS] = 7
    await claim.renew(Sender(later(producer)), lease)


async def test_a_claim_that_was_given_up_sends_nothing_and_waits_for_nothing() -> None:
    producer = FakeProducer()
    claim, lease = claim_of(producer)
    lease.over = True
    task = asyncio.create_task(claim.send_whole(*ROWS, RECORD))
    await asyncio.sleep(0.01)
    claim.give_up()
    with pytest.raises(FencedError, match="rows-1 was claimed anew"):
        await task
    assert producer.batches == []
