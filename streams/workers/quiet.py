"""Log filter: what passes by itself is said seldom, and never as an error.

While brokers restart one after the other, the libraries write hundreds of lines at level ERROR, many with tracebacks,
and mend everything by themselves. So nobody could be called for an ERROR. Whether a line of a library needs a person,
only we can tell, and we say it in a sentence of our own.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import kafka.errors
from aiokafka.errors import ConsumerStoppedError, KafkaError
from redis.exceptions import RedisError

from afresh.state.errors import AfreshError
from afresh.streams.kafka.sender import FencedError

SECONDS = 60.0
"""What comes again within this time is said once in this time, as a WARNING with its count."""

OURS = str(Path(__file__).parents[2])
"""Where our own code is. Loggers do not tell: Faust's services write with those of our subclasses."""

WAITING = frozenset(
    f"afresh.streams.kafka.{name}"
    for name in ("follow", "incarnations", "inputs", "lag", "producers", "sender")
)
"""Our loggers whose warnings say that Kafka is asked again."""

PASSING = (
    AfreshError,
    FencedError,
    KafkaError,
    ConsumerStoppedError,
    kafka.errors.KafkaError,
    RedisError,
    OSError,
    asyncio.CancelledError,
)
"""Errors that pass by themselves, or end the process with a sentence of ours. All others are faults of a program."""

_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")
"""What differs between two sentences that say the same, where a library puts it into the sentence itself."""


class _Said(NamedTuple):
    when: float
    seen: float
    times: int


class Seldom(logging.Filter):
    """Lets through what passes by itself at first, as INFO, and then once in ``SECONDS``; whatever its arguments are.

    Parameters
    ----------
    clock
        Clock, monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, str], _Said] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log a record; changes one that passes by itself."""
        if _is_foreign(record) and record.levelno < logging.WARNING:
            # Faust prints the offsets of all partitions at each rebalance, a line for each.
            return "\n" not in record.getMessage()
        if not _passes(record):
            return True
        now, what = self._clock(), (record.name, _NUMBER.sub("#", _first_line(str(record.msg))))
        said = self._said.get(what)
        if said is None or now - said.seen >= SECONDS:
            # A copy: other threads write to the log, too.
            self._said = {key: each for key, each in self._said.copy().items() if now - each.seen < SECONDS}
            self._said[what] = _Said(now, now, 0)
            _say(record, logging.INFO)
            return True
        if now - said.when < SECONDS:
            self._said[what] = _Said(said.when, now, said.times + 1)
            return False
        self._said[what] = _Said(now, now, 0)
        _say(record, logging.WARNING, f" ({said.times + 1} times in {now - said.when:.0f} s)")
        return True


def _passes(record: logging.LogRecord) -> bool:
    """Whether a record tells of something that needs nobody now."""
    if _is_foreign(record):
        return all(isinstance(error, PASSING) for error in _errors(record))
    return record.levelno == logging.WARNING and record.name in WAITING


def _is_foreign(record: logging.LogRecord) -> bool:
    return not record.pathname.startswith(OURS)


def _errors(record: logging.LogRecord) -> Iterator[BaseException]:
    if record.exc_info and record.exc_info[1] is not None:
        yield record.exc_info[1]
    for argument in record.args if isinstance(record.args, tuple) else ():
        if isinstance(argument, BaseException):
            yield argument


def _say(record: logging.LogRecord, level: int, more: str = "") -> None:
    """Make a record one line of a level."""
    message = _first_line(record.getMessage())
    for error in _errors(record):
        if repr(error) not in message and (str(error) or repr(error)) not in message:
            message += f": {error!r}"
    said = {"msg": message + more, "args": (), "levelno": level, "levelname": logging.getLevelName(level)}
    vars(record).update(said | dict.fromkeys(("exc_info", "exc_text", "stack_info")))


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
