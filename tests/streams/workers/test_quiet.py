import logging
from importlib import import_module
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from redis.exceptions import RedisError

from afresh.state.errors import AfreshError
from afresh.streams.kafka.sender import FencedError
from afresh.streams.serving.push import until_taken
from afresh.streams.workers import quiet
from afresh.streams.workers.quiet import OFTEN, OURS, SECONDS, Seldom

ELSEWHERE = "/site-packages/aiokafka/client.py"


def record(
    message: str,
    *arguments: object,
    name: str = "aiokafka",
    level: int = logging.ERROR,
    where: str = ELSEWHERE,
    error: BaseException | None = None,
) -> logging.LogRecord:
    raised: Any = (type(error), error, None) if error else None
    return logging.LogRecord(name, level, where, 0, message, arguments, raised)


def said(seldom: Seldom, told: logging.LogRecord) -> tuple[str, str] | None:
    """Return level and message of what is let through."""
    return (told.levelname, told.getMessage()) if seldom.filter(told) else None


def test_what_a_library_says_again_and_again_is_said_once_a_minute_with_its_count() -> None:
    now = [0.0]
    seldom, passed = Seldom(clock=lambda: now[0]), []
    for now[0] in (0.0, 1.0, SECONDS - 1, SECONDS, SECONDS + 1, 2 * SECONDS - 1, 4 * SECONDS):
        passed.append(said(seldom, record("no node %s", now[0])))
    assert passed == [
        ("INFO", "no node 0.0"),
        None,
        None,
        ("WARNING", "no node 60.0 (3 times in 60 s)"),
        None,
        None,
        ("INFO", "no node 240.0"),
    ]


def test_sentences_that_differ_in_numbers_alone_are_the_same() -> None:
    seldom = Seldom(clock=lambda: 0.0)
    assert said(seldom, record("<Task at 0x7f63> ran for 0.1 s"))
    assert not said(seldom, record("<Task at 0x81aa> ran for 12.7 s"))


def test_other_sentences_and_other_loggers_are_counted_apart() -> None:
    seldom = Seldom(clock=lambda: 0.0)
    assert said(seldom, record("no connection"))
    assert said(seldom, record("no leader"))
    assert said(seldom, record("no connection", name="aiokafka.conn"))


def test_an_error_that_passes_is_one_line_without_its_traceback() -> None:
    seldom, error = Seldom(clock=lambda: 0.0), KafkaConnectionError("gone")
    line = record("Task exception was never retrieved\nfuture: <Task>", name="asyncio", error=error)
    assert said(seldom, line) == (
        "INFO",
        "Task exception was never retrieved: KafkaConnectionError('gone')",
    )
    assert "Traceback" not in logging.Formatter().format(line)
    assert said(seldom, record("Heartbeat failed: %r", error)) == (
        "INFO",
        "Heartbeat failed: KafkaConnectionError('gone')",
    )


@pytest.mark.parametrize("error", [AfreshError("mend it"), FencedError("rows", 0), TimeoutError()])
def test_what_ends_the_process_with_a_sentence_of_ours_is_no_error_of_a_library(error: Exception) -> None:
    found = said(
        Seldom(), record("[^-App]: Crashed reason=%r", error, name="afresh.streams.kafka.app", error=error)
    )
    assert found == ("INFO", f"[^-App]: Crashed reason={error!r}")


@pytest.mark.parametrize("told", [record("Crashed: %r", KeyError(7)), record("oh", error=KeyError(7))])
def test_a_fault_of_a_program_stays_an_error_with_its_traceback_each_time(told: logging.LogRecord) -> None:
    seldom = Seldom()
    before = told.getMessage(), told.exc_info
    for _ in range(3):
        assert seldom.filter(told)
        assert (told.levelname, told.getMessage(), told.exc_info) == ("ERROR", *before)


def test_what_we_say_ourselves_stays_as_it_is_but_for_asking_kafka_again() -> None:
    seldom, ours = Seldom(clock=lambda: 0.0), f"{OURS}/streams/kafka/lag.py"
    for name, level in (
        ("afresh.streams.runs.runner", logging.WARNING),
        ("afresh.streams.kafka.incarnations", logging.ERROR),
    ):
        for _ in range(3):
            line = record("set it back at once", name=name, level=level, where=ours)
            assert said(seldom, line) == (logging.getLevelName(level), "set it back at once")
    again = [
        said(seldom, record("asked", name="afresh.streams.kafka.lag", level=logging.WARNING, where=ours))
        for _ in range(2)
    ]
    assert again == [("INFO", "asked"), None]


async def test_our_own_lines_are_known_by_where_they_are_written(caplog: pytest.LogCaptureFixture) -> None:
    answers = [RedisError("full")]

    async def write() -> int:
        for answer in answers:
            answers.clear()
            raise answer
        return 1

    caplog.set_level(logging.INFO)
    await until_taken(write)
    assert [each.levelname for each in caplog.records] == ["WARNING", "INFO"]
    assert all(each.pathname.startswith(OURS) for each in caplog.records)


def test_what_libraries_tell_of_themselves_is_for_debugging() -> None:
    started = record("[^Worker]: Starting...", name="faust.worker", level=logging.INFO)
    assert not Seldom().filter(started)
    assert all(Seldom(everything=True).filter(started) for _ in range(2))
    assert not Seldom(everything=True).filter(record("offsets:\n+---+", level=logging.INFO))


def test_what_was_kept_back_and_comes_no_more_is_told_with_the_next_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    seldom, ours = Seldom(clock=lambda: now[0]), f"{OURS}/streams/kafka/app.py"
    caplog.set_level(logging.INFO)
    for now[0] in (0.0, 1.0, 2.0):
        seldom.filter(record("no node %s", 7))
    for now[0] in (SECONDS, 2 * SECONDS, 4 * SECONDS):
        assert said(seldom, record("ready", level=logging.INFO, where=ours)) == ("INFO", "ready")
    assert caplog.messages == ["no node 7 (2 times more, until 118 s ago)"]


def test_no_line_floods_the_log_and_the_count_of_those_kept_back_is_told() -> None:
    now, ours = [0.0], f"{OURS}/streams/kafka/batches.py"
    seldom = Seldom(clock=lambda: now[0])

    def tell(number: int) -> tuple[str, str] | None:
        return said(seldom, record("batch %d", number, level=logging.WARNING, where=ours))

    found = [tell(number) for number in range(OFTEN + 5)]
    assert found == [("WARNING", f"batch {number}") for number in range(OFTEN)] + [None] * 5
    now[0] = SECONDS - 1
    assert tell(0) is None
    now[0] = SECONDS
    assert tell(1) == ("WARNING", "batch 1 (7 times in 60 s)")
    assert tell(2) == ("WARNING", "batch 2")


def test_the_loggers_that_wait_for_kafka_are_loggers_of_ours() -> None:
    assert all(import_module(name).logger.name == name for name in quiet.WAITING)
