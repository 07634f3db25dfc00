import logging

from afresh.streams.workers.quiet import SECONDS, Seldom


def record(name: str, message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "", 0, message, arguments, None)


def test_the_same_message_is_let_through_once_in_a_while() -> None:
    now = [0.0]
    seldom = Seldom("aiokafka", lambda: now[0])
    passed = []
    for now[0] in (0.0, 1.0, SECONDS - 1, SECONDS, SECONDS + 1):
        passed.append(seldom.filter(record("aiokafka.conn", "no connection to %s", now[0])))
    assert passed == [True, False, False, True, False]


def test_other_messages_and_other_loggers_are_let_through() -> None:
    seldom = Seldom("aiokafka", lambda: 0.0)
    assert seldom.filter(record("aiokafka", "no connection"))
    assert seldom.filter(record("aiokafka", "no leader"))
    assert seldom.filter(record("aiokafka.conn", "no connection"))
    assert all(seldom.filter(record("afresh.streams.runs.runner", "cannot go on")) for _ in range(3))
