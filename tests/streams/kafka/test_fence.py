from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import ProducerFenced, TransactionalIdAuthorizationFailed
from faust.types import TP

from afresh.state.errors import AfreshError
from afresh.state.store.marks import CLAIM_KEY
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

    async def start(self, transactional_id: str | None) -> Any:
        self.ids.append(transactional_id)
        if self.failures:
            raise self.failures.pop(0)
        producer: Any = FakeProducer(*self.sends)
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
    assert claims.sender("rows", 1) is claims.sender("others", 1) is not claims.sender("rows", 2)
    claimed = sorted(batch for producer in made.producers for batch in producer.batches)
    assert claimed == [(topic, number, [(CLAIM_KEY, None)]) for topic, number in sorted([ONE, OTHER, TWO])]


async def test_a_claim_that_came_too_late_gives_no_right_to_write() -> None:
    claims = Made(sends=(ProducerFenced(),)).claims()
    await claims.renew([ONE, OTHER])
    for topic in ("rows", "others"):
        with pytest.raises(FencedError):
            claims.sender(topic, 1)


async def test_the_error_names_a_missing_right() -> None:
    with pytest.raises(AfreshError, match=r"'ours-1'.*Write and Describe on transactional ids"):
        await Made(TransactionalIdAuthorizationFailed()).claims().renew([ONE])


async def test_a_broker_without_epochs_gets_ordinary_producers_and_no_claims() -> None:
    made = Made()
    claims = made.claims(fenced=False)
    await claims.renew([ONE])
    await claims.sender("rows", 1).send_whole("rows", 1, [OutgoingRecord(b"a", b"1")])
    assert made.ids == [None]
    assert made.producers[0].batches == [("rows", 1, [(b"a", b"1")])]
