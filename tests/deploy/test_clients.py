from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from kafka import TopicPartition
from kafka.errors import CoordinatorLoadInProgressError, GroupAuthorizationFailedError, KafkaError

from afresh.deploy import clients

PARTITION = TopicPartition("events", 0)


class FakeAdmin:
    """Fails ``times`` times, and then returns an offset."""

    def __init__(self, error: type[KafkaError], times: int) -> None:
        self.error, self.times, self.asked = error, times, 0
        self.offset, self.metadata = 7, ""

    def list_group_offsets(self, groups: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        if self.asked <= self.times:
            raise self.error
        committed = SimpleNamespace(offset=self.offset, metadata=self.metadata)
        return {group: dict.fromkeys(wanted, committed) for group, wanted in groups.items()}

    def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        return [{"name": name, "error_code": 0, "topic_id": str(UUID(int=9 << 64))} for name in names]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "COORDINATOR_POLL_SECONDS", 0.0)


def left(admin: Any) -> clients.Offsets:
    return clients.uncommitted(admin, "workers", [PARTITION], {PARTITION: 10})


@pytest.mark.parametrize(
    ("offset", "metadata", "waiting"),
    [(7, "9", 3), (7, "another client's", 3), (7, "8", 10), (11, "", 10), (10, "9", 0)],
)
def test_a_commit_of_a_topic_that_was_made_again_since_means_nothing(
    offset: int, metadata: str, waiting: int
) -> None:
    admin = FakeAdmin(CoordinatorLoadInProgressError, 0)
    admin.offset, admin.metadata = offset, metadata
    assert left(admin) == {PARTITION: waiting}


def test_a_coordinator_that_is_not_ready_yet_is_asked_again() -> None:
    admin = FakeAdmin(CoordinatorLoadInProgressError, 3)
    assert left(admin) == {PARTITION: 3}
    assert admin.asked == 4


def test_a_coordinator_that_is_never_ready_raises_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "COORDINATOR_SECONDS", 0.0)
    with pytest.raises(CoordinatorLoadInProgressError):
        left(FakeAdmin(CoordinatorLoadInProgressError, 1_000_000))


def test_a_refusal_is_not_retried() -> None:
    admin = FakeAdmin(GroupAuthorizationFailedError, 1)
    with pytest.raises(GroupAuthorizationFailedError):
        left(admin)
    assert admin.asked == 1
