import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, OffsetOutOfRangeError, TopicAuthorizationFailedError

from afresh.state.errors import StartAgainError
from afresh.state.store.marks import CLAIM_KEY
from afresh.streams.kafka import follow
from afresh.streams.kafka.follow import (
    LONGEST_REST_SECONDS,
    REST,
    SHORTEST_REST_SECONDS,
    Follower,
    Latest,
)
from afresh.streams.kafka.rights import NotAllowedError, Right
from afresh.streams.kafka.sender import partition_of
from afresh.streams.settings import Settings

ROWS, LINKS = "test.rows", "test.links"


class FakeConsumer:
    """A consumer with prepared polls; after the last one it ends the follower."""

    def __init__(self, ends: dict[tuple[str, int], int], *polls: Any) -> None:
        self.ends = {TopicPartition(*tp): end for tp, end in ends.items()}
        self.polls = list(polls)
        self.positions: dict[Any, int] = {}
        self.assigned: list[Any] = []
        self.rewound: list[Any] = []

    def assign(self, partitions: list[Any]) -> None:
        self.assigned = partitions

    async def seek_to_beginning(self, *partitions: Any) -> None:
        self.rewound = list(partitions)

    async def end_offsets(self, partitions: list[Any]) -> dict[Any, int]:
        return {tp: self.ends.get(tp, 0) for tp in partitions}

    async def position(self, tp: Any) -> int:
        return self.positions.get(tp, 0)

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[Any, list[Any]]:
        if not self.polls:
            raise asyncio.CancelledError
        poll = self.polls.pop(0)
        if isinstance(poll, Exception):
            raise poll
        fetched: dict[Any, list[Any]] = {}
        for topic, partition, offset, key, value in poll:
            tp = TopicPartition(topic, partition)
            fetched.setdefault(tp, []).append(SimpleNamespace(partition=tp.partition, key=key, value=value))
            self.positions[tp] = offset + 1
        return fetched


class Followed:
    def __init__(self) -> None:
        self.applied: list[tuple[str, Latest, bool]] = []
        settings = Settings(_env_file=None, partitions=2)
        self.follower = Follower(settings, {ROWS: self.note(ROWS), LINKS: self.note(LINKS)})

    def note(self, topic: str) -> Any:
        return lambda latest: self.applied.append((topic, latest, self.follower.caught_up.is_set()))

    async def run(self, consumer: Any) -> None:
        with pytest.raises(asyncio.CancelledError):
            await self.follower._follow(consumer)


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> Followed:
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(follow, "SHORTEST_REST_SECONDS", 0.0)
    return Followed()


async def test_all_partitions_of_all_topics_are_read_from_the_beginning(followed: Followed) -> None:
    consumer = FakeConsumer({})
    await followed.run(consumer)
    assert {(tp.topic, tp.partition) for tp in consumer.assigned} == {
        (ROWS, 0),
        (ROWS, 1),
        (LINKS, 0),
        (LINKS, 1),
    }
    assert consumer.rewound == consumer.assigned


async def test_only_the_newest_value_of_each_key_in_a_poll_is_applied(followed: Followed) -> None:
    poll = [
        (ROWS, 0, 0, b"a", b"1"),
        (ROWS, 0, 1, b"b", b"1"),
        (ROWS, 0, 2, b"a", b"2"),
        (ROWS, 0, 3, b"b", None),
        (ROWS, 1, 0, b"c", b"1"),
        (LINKS, 1, 0, b"a", b"9"),
    ]
    await followed.run(FakeConsumer({}, poll))
    assert [(topic, latest) for topic, latest, _ in followed.applied] == [
        (ROWS, {b"a": b"2", b"b": None, b"c": b"1"}),
        (LINKS, {b"a": b"9"}),
    ]


async def test_the_newest_values_of_a_poll_keep_the_order_of_their_records(followed: Followed) -> None:
    """As in a compacted log; what ends a version of the model comes behind its rows."""
    keys = [b"rows", b"end", b"others", b"rows", b"end"]
    await followed.run(FakeConsumer({}, [(ROWS, 0, n, key, b"%d" % n) for n, key in enumerate(keys)]))
    assert [list(latest.items()) for _, latest, _ in followed.applied] == [
        [(b"others", b"2"), (b"rows", b"3"), (b"end", b"4")]
    ]


async def test_a_batch_that_nothing_can_unpack_has_no_key_and_is_left_out(followed: Followed) -> None:
    await followed.run(FakeConsumer({}, [(LINKS, 0, 0, None, b"whole batch"), (LINKS, 0, 1, b"a", b"1")]))
    assert [latest for _, latest, _ in followed.applied] == [{b"a": b"1"}]


async def test_a_deletion_outside_the_partition_of_its_key_is_left_out(followed: Followed) -> None:
    """A row that 0.1.0 left there has moved, and may have been read already where it belongs."""
    home = partition_of(b"a", 2)
    poll = [
        (ROWS, home, 0, b"a", b"1"),
        (ROWS, 1 - home, 0, b"a", None),
        (ROWS, 1 - home, 1, CLAIM_KEY, None),
    ]
    await followed.run(FakeConsumer({}, poll))
    assert [latest for _, latest, _ in followed.applied] == [{b"a": b"1", CLAIM_KEY: None}]


async def test_a_follower_has_caught_up_once_everything_from_before_its_start_is_applied(
    followed: Followed,
) -> None:
    consumer = FakeConsumer(
        {(ROWS, 0): 2, (LINKS, 1): 5},
        [(ROWS, 0, 0, b"a", b"1")],
        [(ROWS, 0, 1, b"b", b"1")],
        [(LINKS, 1, 4, b"a", b"1")],
        [(ROWS, 0, 2, b"late", b"1")],
    )
    await followed.run(consumer)
    assert [caught_up for _, _, caught_up in followed.applied] == [False, False, False, True]


async def test_empty_topics_are_caught_up_at_once(followed: Followed) -> None:
    await followed.run(FakeConsumer({}))
    assert followed.follower.caught_up.is_set()


async def test_a_follower_waits_for_kafka_and_goes_on(followed: Followed) -> None:
    consumer = FakeConsumer({(ROWS, 0): 1}, KafkaConnectionError(), [(ROWS, 0, 0, b"a", b"1")])
    await followed.run(consumer)
    assert [latest for _, latest, _ in followed.applied] == [{b"a": b"1"}]


async def test_a_followed_topic_that_was_made_again_ends_the_process_to_be_started_again(
    followed: Followed,
) -> None:
    """aiokafka would go on at its beginning, and keep what was deleted."""
    consumer: Any = FakeConsumer({}, OffsetOutOfRangeError({TopicPartition(ROWS, 0): 5}))
    with pytest.raises(StartAgainError, match="start it again"):
        await followed.follower._follow(consumer)


async def test_rows_are_applied_in_portions_so_that_other_tasks_get_a_turn(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "APPLIED_AT_ONCE", 2)
    turns: list[int] = []

    async def other() -> None:
        while True:
            turns.append(len(followed.applied))
            await asyncio.sleep(0)

    others = asyncio.create_task(other())
    await followed.run(FakeConsumer({}, [(ROWS, 0, n, b"%d" % n, b"row") for n in range(5)]))
    others.cancel()
    portions = [list(latest) for _, latest, _ in followed.applied]
    assert portions == [[b"0", b"1"], [b"2", b"3"], [b"4"]]
    assert {1, 2} <= set(turns)


@pytest.mark.parametrize(
    ("worked", "rest"),
    [(0.0, SHORTEST_REST_SECONDS), (0.1, REST * 0.1), (10.0, LONGEST_REST_SECONDS)],
)
async def test_a_follower_that_has_caught_up_rests_in_proportion_to_its_work_within_bounds(
    monkeypatch: pytest.MonkeyPatch, worked: float, rest: float
) -> None:
    rests: list[float] = []
    clock = [0.0]

    async def sleep(seconds: float) -> None:
        if seconds:
            rests.append(seconds)

    def work(_: Latest) -> None:
        clock[0] += worked

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(follow, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    follower = Follower(Settings(_env_file=None, partitions=2), {ROWS: work})
    polls = [[(ROWS, 0, offset, b"a", b"row")] for offset in range(3)]
    consumer: Any = FakeConsumer({(ROWS, 0): 2}, *polls)
    with pytest.raises(asyncio.CancelledError):
        await follower._follow(consumer)
    assert rests == [pytest.approx(rest)]


async def test_a_followed_topic_that_our_user_may_not_read_ends_the_process(followed: Followed) -> None:
    with pytest.raises(NotAllowedError) as refused:
        await followed.follower._follow(FakeConsumer({}, TopicAuthorizationFailedError(ROWS)))
    assert refused.value.rights == (Right("Read", "topic", ROWS),)
