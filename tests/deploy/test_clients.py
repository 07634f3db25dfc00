from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from kafka import TopicPartition

from afresh.deploy import clients

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
