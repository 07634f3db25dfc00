from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.subscription_state import Assignment
from faust.types import TP

from afresh.streams.kafka.fetcher import RunConsumerThread
from afresh.streams.kafka.polls import SHORT_SECONDS, poll_long
from tests.streams.kafka.conftest import FETCH_MAX_WAIT_SECONDS

ONE, TWO = TP("test.events", 0), TP("test.events", 1)
LONG, SHORT = FETCH_MAX_WAIT_SECONDS * 1000, SHORT_SECONDS * 1000


@pytest.fixture
def fetcher(started_thread: RunConsumerThread, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Fetcher of a client whose partitions have one broker."""
    found = started_thread._ensure_consumer()._fetcher
    monkeypatch.setattr(found._client.cluster, "leader_for_partition", lambda _: 1)
    return found


def asked(fetcher: Any) -> list[tuple[float, set[int]]]:
    """Return what the fetcher asks for next: the longest wait of each fetch, and its partitions."""
    assignment = Assignment({ONE, TWO})
    for tp in (ONE, TWO):
        assignment.state_value(tp).seek(7)
    fetches, *_ = fetcher._get_actions_per_node(assignment)
    return [
        (request._max_wait_ms, {partition for _, asked in request.topics for partition, *_ in asked})
        for _, request in fetches
    ]


async def test_a_fetch_that_leaves_out_a_partition_is_short_and_all_others_long(fetcher: Any) -> None:
    assert asked(fetcher) == [(LONG, {0, 1})]
    fetcher._records[ONE] = SimpleNamespace(calculate_backoff=lambda: 0)
    assert asked(fetcher) == [(SHORT, {1})]
    del fetcher._records[ONE]
    assert asked(fetcher) == [(LONG, {0, 1})]


async def test_fetches_are_short_while_a_rebalance_puts_positions_back(
    fetcher: Any, started_thread: RunConsumerThread
) -> None:
    started_thread.app.rebalancing = True
    assert asked(fetcher) == [(SHORT, {0, 1})]
    started_thread.app.rebalancing = False
    assert asked(fetcher) == [(LONG, {0, 1})]


async def test_what_nobody_reads_makes_no_fetch_short(
    fetcher: Any, started_thread: RunConsumerThread
) -> None:
    fetcher._records[ONE] = SimpleNamespace(calculate_backoff=lambda: 0)
    started_thread.consumer.pause_partitions({ONE})
    assert asked(fetcher) == [(LONG, {1})]
    started_thread.consumer.resume_partitions({ONE})
    assert asked(fetcher) == [(SHORT, {1})]


def test_no_fetch_is_longer_than_the_setting() -> None:
    waits: list[int] = []
    client: Any = SimpleNamespace(_fetcher=SimpleNamespace(_records={}))
    client._fetcher._get_actions_per_node = lambda _: waits.append(client._fetcher._fetch_max_wait_ms)
    poll_long(client, SHORT_SECONDS / 2)
    for unread in ({}, {ONE: "record"}):
        client._fetcher._records = unread
        client._fetcher._get_actions_per_node(None)
    assert waits == [SHORT / 2] * 2
