from typing import Any

import pytest
from kafka.errors import (
    CoordinatorLoadInProgressError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    UnknownBrokerIdError,
)

from afresh.streams.kafka import patient as module
from afresh.streams.kafka.patient import PatientAdmin
from afresh.streams.settings import Settings

SETTINGS = Settings(_env_file=None, start_timeout_seconds=20.0)


class FakeClient:
    """Fails until the third client is made; or, with ``always``, for ever."""

    made: list["FakeClient"]
    error: type[KafkaError] = KafkaConnectionError
    always = False

    def __init__(self, **_: Any) -> None:
        self.closed = False
        self.made.append(self)

    def list_groups(self) -> str:
        if len(self.made) < 3 or self.always:
            raise self.error
        return "groups"

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeClient]:
    class Fake(FakeClient):
        made: list[FakeClient] = []  # noqa: RUF012 - made anew for each test

    monkeypatch.setattr(module, "KafkaAdminClient", Fake)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    return Fake


def ask(admin: PatientAdmin) -> Any:
    return admin.ask(lambda client: client.list_groups())


@pytest.mark.parametrize(
    "error", [KafkaConnectionError, CoordinatorLoadInProgressError, UnknownBrokerIdError]
)
def test_kafka_is_asked_until_it_answers_by_a_new_client_each_time(
    fake: type[FakeClient], error: type[KafkaError]
) -> None:
    """A new client has forgotten where the coordinators were."""
    fake.error = error
    with PatientAdmin(SETTINGS) as admin:
        assert ask(admin) == ask(admin) == "groups"
        assert [client.closed for client in fake.made] == [True, True, False]
    assert [client.closed for client in fake.made] == [True, True, True]


def test_a_kafka_that_does_not_answer_in_time_is_an_error(fake: type[FakeClient]) -> None:
    fake.always = True
    with pytest.raises(KafkaConnectionError):
        ask(PatientAdmin(SETTINGS, patience_seconds=0.1))
    assert len(fake.made) > 3


def test_a_refusal_is_not_asked_again(fake: type[FakeClient]) -> None:
    fake.error = GroupAuthorizationFailedError
    with pytest.raises(GroupAuthorizationFailedError):
        ask(PatientAdmin(SETTINGS))
    assert len(fake.made) == 1


def test_what_may_stay_without_an_answer_is_asked_once(fake: type[FakeClient]) -> None:
    with pytest.raises(KafkaConnectionError):
        PatientAdmin(SETTINGS).ask_once(lambda client: client.list_groups())
    assert len(fake.made) == 1
