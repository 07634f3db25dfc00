import asyncio
import random
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    InvalidTopicError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
)
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner import DefaultPartitioner

from afresh.state.errors import AfreshError, StartAgainError
from afresh.streams.kafka import sender
from afresh.streams.kafka.limits import BatchLimits
from afresh.streams.kafka.rights import NotAllowedError, Right
from afresh.streams.kafka.sender import (
    GroupSender,
    Outgoing,
    OutgoingRecord,
    Sender,
    partition_of,
)
from tests.streams.making import FakeProducer


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "RETRY_SECONDS", (0.0,))


def outgoing_of(*numbers: int, partitions: int = 1, size: int = 8) -> Outgoing:
    outgoing = Outgoing(partitions)
    for number in numbers:
        outgoing.add_keyed("t", b"%d" % number, (b"%d" % number).ljust(size))
    return outgoing


def numbers(values: list[bytes | None]) -> list[int]:
    return [int(value or b"") for value in values]


@given(st.binary(max_size=40), st.integers(1, 64))
def test_a_key_goes_to_the_partition_that_kafkas_own_clients_choose(key: bytes, partitions: int) -> None:
    everything = set(range(partitions))
    cluster = SimpleNamespace(
        topics=lambda: {"t"},
        partitions_for_topic=lambda _: everything,
        available_partitions_for_topic=lambda _: everything,
    )
    chosen = DefaultPartitioner().partition("t", None, key, None, None, cluster)
    assert partition_of(key, partitions) == chosen


async def test_records_of_a_partition_keep_their_order() -> None:
    producer = FakeProducer()
    await Sender(producer).send(outgoing_of(*range(100), partitions=3))
    sent = producer.values("t")
    assert sorted(number for values in sent.values() for number in numbers(values)) == list(range(100))
    for partition, values in sent.items():
        assert numbers(values) == [n for n in range(100) if partition_of(b"%d" % n, 3) == partition]


async def test_the_caller_can_choose_the_partition_of_a_record() -> None:
    outgoing, producer = Outgoing(4), FakeProducer()
    outgoing.add_to_partition("t", 3, OutgoingRecord(None, b"v", [("reason", b"time")]))
    await Sender(producer).send(outgoing)
    assert producer.batches == [("t", 3, [(None, b"v")])]
    assert producer.headers == [[("reason", b"time")]]


async def test_records_that_do_not_fit_into_one_batch_go_into_the_next() -> None:
    producer = FakeProducer()
    await Sender(producer).send(outgoing_of(*range(5), size=400_000))
    assert [numbers([value for _, value in batch]) for _, _, batch in producer.batches] == [
        [0, 1],
        [2, 3],
        [4],
    ]


@pytest.mark.parametrize("failure", [NotLeaderForPartitionError(), KafkaTimeoutError()])
async def test_order_is_kept_when_kafka_does_not_take_a_batch_at_once(failure: Exception) -> None:
    producer = FakeProducer(failure, failure, failure)
    await Sender(producer).send(outgoing_of(*range(5), size=400_000))
    assert numbers(producer.values("t")[0]) == list(range(5))
    assert producer.tried == 6


async def test_a_batch_is_sent_only_after_the_one_before_is_acknowledged() -> None:
    class Slow(FakeProducer):
        waiting = 0

        async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
            assert self.waiting == 0
            self.waiting += 1
            acknowledged = await super().send_batch(batch, topic, partition=partition)

            async def later() -> Any:
                await asyncio.sleep(0.001)
                self.waiting -= 1
                return await acknowledged

            return later()

    producer = Slow(*[NotLeaderForPartitionError() for _ in range(random.Random(1).randrange(1, 4))])
    await Sender(producer).send(outgoing_of(*range(6), size=400_000))
    assert numbers(producer.values("t")[0]) == list(range(6))


async def test_a_final_refusal_by_kafka_is_an_error_that_names_the_topic() -> None:
    producer = FakeProducer(InvalidTopicError("t"))
    with pytest.raises(AfreshError, match="Kafka refuses records for t: InvalidTopicError"):
        await Sender(producer).send(outgoing_of(1))
    assert producer.tried == 1


async def test_a_right_that_is_missing_is_that_to_write() -> None:
    producer = FakeProducer(TopicAuthorizationFailedError("t"))
    with pytest.raises(NotAllowedError) as refused:
        await Sender(producer).send(outgoing_of(1))
    assert refused.value.rights == (Right("Write", "topic", "t"),)
    assert producer.tried == 1


async def test_records_that_belong_together_are_one_batch() -> None:
    producer = FakeProducer()
    rows = [OutgoingRecord(b"%d" % number, b"row") for number in range(50)]
    await Sender(producer).send_whole("t", 2, rows)
    assert producer.batches == [("t", 2, [(row.key, row.value) for row in rows])]


async def test_records_that_do_not_fit_into_one_batch_are_not_sent_at_all() -> None:
    """Rows written without their marks would be counted again after the next start."""
    producer = FakeProducer()
    rows = [OutgoingRecord(b"%d" % number, bytes(400_000)) for number in range(3)]
    with pytest.raises(
        AfreshError, match=r"of 1,200,\d+ bytes for t cannot .* max.message.bytes .*1,048,588"
    ):
        await Sender(producer, BatchLimits({"t": 1_048_588})).send_whole("t", 0, rows)
    assert producer.tried == 0


async def test_rows_are_retried_as_one_batch() -> None:
    producer = FakeProducer(NotLeaderForPartitionError(), KafkaTimeoutError())
    await Sender(producer).send_whole("t", 0, [OutgoingRecord(b"a", b"1"), OutgoingRecord(b"", None)])
    assert producer.batches == [("t", 0, [(b"a", b"1"), (b"", None)])]


async def test_the_sender_returns_the_offset_that_kafka_gave_the_first_record() -> None:
    sender = Sender(FakeProducer())
    offsets = [await sender.send_whole("t", 0, [OutgoingRecord(b"a", b"1")] * count) for count in (3, 1, 2)]
    assert offsets == [0, 3, 4]


async def test_without_records_no_batch_is_sent() -> None:
    producer = FakeProducer()
    await Sender(producer).send(Outgoing(1))
    assert producer.tried == 0


def lots(*names: bytes, partitions: int) -> list[Outgoing]:
    """Make three records for each partition, from each of the named runs."""
    made = []
    for name in names:
        outgoing = Outgoing(partitions)
        for number in range(3):
            for partition in range(partitions):
                outgoing.add_to_partition("t", partition, OutgoingRecord(name, b"%d" % number))
        made.append(outgoing)
    return made


async def test_records_sent_at_the_same_time_leave_in_one_batch_per_partition() -> None:
    producer = FakeProducer()
    group = GroupSender(Sender(producer))
    await asyncio.gather(*map(group.send, lots(b"a", b"b", b"c", partitions=2)))
    assert [(topic, partition) for topic, partition, _ in producer.batches] == [("t", 0), ("t", 1)]
    for _, _, records in producer.batches:
        assert len(records) == 9
        for name in (b"a", b"b", b"c"):
            assert [value for key, value in records if key == name] == [b"0", b"1", b"2"]


async def test_records_that_come_while_a_group_is_sent_form_the_next_group() -> None:
    gate = asyncio.Event()

    class Gated(FakeProducer):
        async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
            await gate.wait()
            return await super().send_batch(batch, topic, partition=partition)

    producer = Gated()
    group = GroupSender(Sender(producer))
    sending = []
    for outgoing in lots(b"a", b"b", b"c", partitions=1):
        sending.append(asyncio.create_task(group.send(outgoing)))
        for _ in range(5):
            await asyncio.sleep(0)
    assert not any(each.done() for each in sending)
    gate.set()
    await asyncio.gather(*sending)
    assert [{key for key, _ in records} for _, _, records in producer.batches] == [{b"a"}, {b"b", b"c"}]


async def test_an_error_reaches_all_callers_of_a_group_and_the_next_group_is_sent() -> None:
    producer = FakeProducer(TopicAuthorizationFailedError("t"))
    group = GroupSender(Sender(producer))
    first, second, later = lots(b"a", b"b", b"c", partitions=1)
    outcomes = await asyncio.gather(group.send(first), group.send(second), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [NotAllowedError, NotAllowedError]
    assert producer.batches == []
    await group.send(later)
    assert {key for key, _ in producer.batches[0][2]} == {b"c"}


async def test_a_cancelled_caller_does_not_disturb_the_rest_of_its_group() -> None:
    producer = FakeProducer()
    group = GroupSender(Sender(producer))
    first, second = (asyncio.create_task(group.send(each)) for each in lots(b"a", b"b", partitions=1))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert {key for key, _ in producer.batches[0][2]} == {b"a", b"b"}


async def test_an_empty_send_does_not_wait() -> None:
    producer = FakeProducer()
    await GroupSender(Sender(producer)).send(Outgoing(1))
    assert producer.tried == 0


@pytest.mark.parametrize("limit", [200_000, 3_000_000])
async def test_batches_are_filled_up_to_what_their_topic_takes_and_no_further_than_a_megabyte(
    limit: int,
) -> None:
    producer, limits = FakeProducer(), BatchLimits({"t": limit})
    await Sender(producer, limits).send(outgoing_of(*range(30), size=70_000))
    counts = [len(records) for _, _, records in producer.batches]
    assert counts[0] == limits.filled("t") // 70_050
    assert numbers(producer.values("t")[0]) == list(range(30))


@pytest.mark.parametrize(("size", "fits"), [(199_000, True), (201_000, False)])
async def test_a_single_record_may_be_as_large_as_its_topic_takes(size: int, fits: bool) -> None:
    producer = FakeProducer()
    sending = Sender(producer, BatchLimits({"t": 200_000})).send(outgoing_of(1, 2, size=size))
    if fits:
        await sending
        assert [len(records) for _, _, records in producer.batches] == [1, 1]
    else:
        with pytest.raises(AfreshError, match=r"201,\d+ bytes for t .*max.message.bytes.*200,000 bytes"):
            await sending
        assert producer.tried == 0


async def test_rows_with_their_marks_may_be_as_large_as_their_topic_takes() -> None:
    producer = FakeProducer()
    rows = [OutgoingRecord(b"%d" % number, bytes(400_000)) for number in range(4)]
    await Sender(producer, BatchLimits({"t": 1_700_000})).send_whole("t", 0, rows)
    assert [len(records) for _, _, records in producer.batches] == [4]


async def test_a_batch_that_kafka_refuses_for_its_size_is_an_error_with_both_numbers() -> None:
    producer = FakeProducer(MessageSizeTooLargeError())
    with pytest.raises(StartAgainError, match=r"of 1\d\d bytes for t .*max.message.bytes.* 200,000"):
        await Sender(producer, BatchLimits({"t": 200_000})).send(outgoing_of(1, size=90))
    assert producer.tried == 1


@given(st.binary(max_size=300), st.none() | st.binary(max_size=70_000), st.integers(0, 3))
def test_no_record_is_larger_in_a_batch_than_it_is_said_to_be(
    key: bytes, value: bytes | None, headers: int
) -> None:
    record = OutgoingRecord(key, value, [("reason", bytes(100))] * headers)
    batch = FakeProducer().create_batch()
    for _ in range(3):
        before = batch.size()
        batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
        assert batch.size() - before <= record.size


async def test_where_kafka_has_told_no_limit_it_decides_itself() -> None:
    """Without the right to ask, a large dead letter would be refused here, though its topic takes it."""
    producer = FakeProducer()
    await Sender(producer).send(outgoing_of(1, size=3_000_000))
    assert len(producer.batches) == 1
