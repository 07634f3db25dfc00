import re
from typing import Any

import pytest

from afresh.deploy.servers import Server
from afresh.state.errors import AfreshError, UnavailableError
from afresh.streams.settings import Settings
from afresh.streams.waiting import wait_for_kafka, wait_for_redis

NOBODY = "redis://127.0.0.1:1/0"


def settings_of(**values: Any) -> Settings:
    return Settings(_env_file=None, **({"start_timeout_seconds": 0.3} | values))


@pytest.mark.parametrize("fixture", ["kafka", "embedded_broker"])
def test_the_wait_ends_at_once_when_a_broker_answers(fixture: str, request: pytest.FixtureRequest) -> None:
    wait_for_kafka(settings_of(kafka=request.getfixturevalue(fixture).address, start_timeout_seconds=30))


def test_one_broker_of_several_is_enough(embedded_broker: Server) -> None:
    wait_for_kafka(settings_of(kafka=f"127.0.0.1:1,{embedded_broker.address}"))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-such-host.invalid:9092"])
def test_a_missing_broker_is_an_error_after_the_timeout(address: str) -> None:
    with pytest.raises(UnavailableError, match=rf"Kafka at {re.escape(address)} did not answer within 0.3 s"):
        wait_for_kafka(settings_of(kafka=address))


def test_the_error_for_an_address_without_a_port_names_the_variable() -> None:
    with pytest.raises(AfreshError, match="AFRESH_KAFKA must be host:port"):
        wait_for_kafka(settings_of(kafka="127.0.0.1:abc"))


def test_the_wait_ends_at_once_when_redis_answers(redis_server: Server) -> None:
    wait_for_redis(settings_of(redis=redis_server.address))


def test_a_missing_redis_is_an_error_after_the_timeout() -> None:
    with pytest.raises(
        UnavailableError, match=r"Redis does not answer \(.+\); start it, or set AFRESH_REDIS"
    ):
        wait_for_redis(settings_of(redis=NOBODY))


def test_redis_refuses_an_unknown_user_at_once(redis_server: Server) -> None:
    with pytest.raises(AfreshError, match="Redis refuses us") as raised:
        wait_for_redis(settings_of(redis=redis_server.address.replace("://", "://ann:hunter2@")))
    assert "hunter2" not in str(raised.value)
