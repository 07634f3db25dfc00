import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError, KafkaTimeoutError

from afresh.state.errors import AfreshError, StartAgainError, UnavailableError
from afresh.state.store.rows import DamagedError
from afresh.streams.kafka.ending import meaning_of, status_of
from afresh.streams.kafka.sender import FencedError

PASSING = [
    StartAgainError("start again"),
    UnavailableError("start again"),
    DamagedError("start again"),
    FencedError("rows", 1),
    KafkaConnectionError(),
    KafkaTimeoutError(),
]


@pytest.mark.parametrize("reason", PASSING, ids=repr)
def test_what_may_pass_by_itself_has_a_sentence_and_its_status(reason: BaseException) -> None:
    assert "start" in str(meaning_of(reason)).lower()
    assert status_of(reason, told=False) == 75


@pytest.mark.parametrize("reason", [None, *PASSING], ids=repr)
def test_a_process_that_was_told_to_stop_has_ended_in_order_whatever_would_have_passed(
    reason: BaseException | None,
) -> None:
    assert status_of(reason, told=True) == 0


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    ("reason", "status"),
    [(AfreshError("mend it"), 2), (KeyError(7), 1), (GroupAuthorizationFailedError(), 1)],
)
def test_what_does_not_pass_keeps_its_status(reason: BaseException, status: int, told: bool) -> None:
    assert status_of(reason, told=told) == status


def test_a_process_that_ends_without_a_reason_although_nobody_told_it_to_is_at_fault() -> None:
    assert status_of(None, told=False) == 1
