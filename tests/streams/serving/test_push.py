import pytest
from prometheus_client import REGISTRY
from redis.exceptions import ConnectionError as NoRedisError
from redis.exceptions import MovedError, ReadOnlyError, ResponseError

from afresh.streams.serving import push


def retries() -> float:
    return REGISTRY.get_sample_value("afresh_redis_retries_total") or 0.0


async def test_a_write_is_retried_until_redis_takes_it_and_every_retry_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(push, "RETRY_SECONDS", (0.0,))
    failures: list[Exception] = [NoRedisError("down"), ConnectionResetError(), TimeoutError()]

    async def write() -> int:
        if failures:
            raise failures.pop()
        return 7

    before = retries()
    assert await push.until_taken(write) == 7
    assert retries() == before + 3


async def test_a_reason_is_logged_once_and_again_when_it_changes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(push, "RETRY_SECONDS", (0.0,))
    caplog.set_level("INFO")
    failures: list[Exception] = [NoRedisError("Connection refused.")] * 20 + [TimeoutError()]

    async def write() -> int:
        if failures:
            raise failures.pop()
        return 7

    await push.until_taken(write)
    assert [record.getMessage() for record in caplog.records] == [
        "Redis takes no lists: it is silent; tried 1 times, and trying on",
        "Redis takes no lists: Connection refused; tried 2 times, and trying on",
        "Redis takes lists again, after 21 failures",
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MovedError("1234 127.0.0.1:7001"), "it is a node of Redis Cluster, which is not supported"),
        (ReadOnlyError("You can't write. script: 57ff, on @user_script:14."), "You can't write"),
        (
            NoRedisError("No master found for 'x' : <redis.Redis(<a(b=1)>)> - ConnectionError('no')"),
            "No master found for 'x' : ConnectionError('no')",
        ),
        (ReadOnlyError("You can't write. script: on @user_script:14."), "You can't write"),
        (
            ResponseError("Error running script (call to f_57): @user_script:14: -READONLY You can't write."),
            "-READONLY You can't write",
        ),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
)
def test_a_reason_is_a_few_words(error: Exception, words: str) -> None:
    assert push.reason(error) == words


async def test_an_error_that_is_not_from_redis_is_not_retried() -> None:
    async def write() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await push.until_taken(write)
