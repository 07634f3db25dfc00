from typing import Any

import pytest
from redis.exceptions import ConnectionError as NoRedisError
from redis.exceptions import OutOfMemoryError

from afresh.streams.serving import probe as module
from afresh.streams.serving.probe import Probe


class Store:
    failure: Exception | None = None

    async def probe(self) -> None:
        if self.failure:
            raise self.failure


def probe_of(store: Any) -> Probe:
    return Probe(store)


async def test_redis_is_said_to_take_lists_only_after_it_took_one() -> None:
    probe = probe_of(Store())
    assert probe.refusal() == "Redis has not answered yet"
    await probe.ask()
    assert probe.refusal() == ""


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (OutOfMemoryError("command not allowed. script: 57ff, on @user_script:14."), "command not allowed"),
        (NoRedisError("Connection closed by server."), "Connection closed by server"),
        (TimeoutError(), "it is silent"),
    ],
)
async def test_the_reason_is_said_until_redis_takes_a_list_again(failure: Exception, words: str) -> None:
    store = Store()
    probe = probe_of(store)
    store.failure = failure
    await probe.ask()
    assert probe.refusal() == f"Redis takes no lists: {words}"
    store.failure = None
    await probe.ask()
    assert probe.refusal() == ""


async def test_a_write_of_long_ago_says_nothing_about_now(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = probe_of(Store())
    await probe.ask()
    monkeypatch.setattr(module, "PATIENCE_SECONDS", -1.0)
    assert probe.refusal().startswith("Redis has not been asked for")
