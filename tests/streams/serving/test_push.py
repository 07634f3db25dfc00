import pytest
from prometheus_client import REGISTRY
from redis.exceptions import ConnectionError as NoRedisError

from afresh.streams.serving import push


def retries() -> float:
    return REGISTRY.get_sample_value("afresh_redis_retries_total") or 0.0


async def test_a_write_is_retried_until_redis_takes_it_and_every_retry_is_logged(
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


async def test_an_error_that_is_not_from_redis_is_not_retried() -> None:
    async def write() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await push.until_taken(write)
