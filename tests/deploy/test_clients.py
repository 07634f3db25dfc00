import time
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from kafka import TopicPartition

from afresh.deploy import clients
from afresh.state.errors import UnavailableError

PARTITION = TopicPartition("events", 0)


class FakeAdmin:
    """Answers as kafka-python does."""

    def __init__(self, offset: int, metadata: str) -> None:
        self.offset, self.metadata = offset, metadata

    def list_group_offsets(self, groups: dict[str, Any]) -> dict[str, Any]:
        committed = SimpleNamespace(offset=self.offset, metadata=self.metadata)
        return {group: dict.fromkeys(wanted, committed) for group, wanted in groups.items()}

    def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        return [{"name": name, "error_code": 0, "topic_id": str(UUID(int=9))} for name in names]

    def ask(self, question: Any) -> Any:
        return question(self)


def left(admin: Any) -> clients.Offsets:
    return clients.uncommitted(admin, "workers", [PARTITION], {PARTITION: 10})


@pytest.mark.parametrize(
    ("offset", "metadata", "waiting"),
    [(7, "9", 3), (7, "another client's", 3), (7, "8", 10), (11, "", 10), (10, "9", 0)],
)
def test_a_commit_of_a_topic_that_was_made_again_since_means_nothing(
    offset: int, metadata: str, waiting: int
) -> None:
    assert left(FakeAdmin(offset, metadata)) == {PARTITION: waiting}


def test_while_leaders_change_kafka_is_asked_again_for_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    other = TopicPartition("events", 1)
    answers: list[dict[TopicPartition, int]] = [{PARTITION: 3}, {PARTITION: 3, other: 4}]

    def ask(wanted: list[TopicPartition]) -> dict[TopicPartition, int]:
        # As kafka-python does it.
        found = answers.pop(0)
        return {each: found[each] for each in wanted}

    monkeypatch.setattr(time, "sleep", lambda _: None)
    consumer = SimpleNamespace(end_offsets=ask)
    assert clients.ends_of(consumer, [PARTITION, other]) == {PARTITION: 3, other: 4}
    monkeypatch.setattr(clients, "LEADER_SECONDS", 0.0)
    answers += 2 * [{PARTITION: 3}]
    with pytest.raises(UnavailableError, match="some partitions of events have no leader"):
        clients.begins_of(SimpleNamespace(beginning_offsets=ask), [PARTITION, other])


def test_partitions_are_read_one_after_the_other_from_their_beginnings_to_their_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = TopicPartition("events", 1)
    consumer: Any = SimpleNamespace(
        beginning_offsets=lambda _: {PARTITION: 2, other: 0}, end_offsets=lambda _: {PARTITION: 4, other: 1}
    )
    monkeypatch.setattr(
        clients,
        "read_records",
        lambda _, place, begin, end, seconds: ((place, each) for each in range(begin, end)),
    )
    read = list(clients.read_whole(consumer, [PARTITION, other]))
    assert read == [(PARTITION, 2), (PARTITION, 3), (other, 0)]
