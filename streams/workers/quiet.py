"""Log filter: what passes by itself is said seldom, and never as an error; nothing is said without bound.

While brokers restart one after the other, the libraries write hundreds of lines at level ERROR, many with tracebacks,
and mend everything by themselves. So nobody could be called for an ERROR. Whether a line of a library needs a person,
only we can tell, and we say it in a sentence of our own. What libraries tell of themselves in between (each of Faust's
services that starts or stops) is for who looks for a fault of theirs.
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

logger = logging.getLogger(__name__)

SECONDS = 60.0
"""What comes again within this time is said once in this time, as a WARNING with its count."""

OFTEN = 100
"""How often other sentences are said within this time: one for each partition that a worker has, but no flood."""

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
    """What was said, since when and how often; when it came last, how often it was kept back, and how it read then."""

    when: float
    said: int = 0
    seen: float = 0.0
    kept_back: int = 0
    words: str = ""


class Seldom(logging.Filter):
    """Lets through what passes by itself at first, as INFO, and then once in ``SECONDS``; whatever its arguments are.

    Any other sentence is let through ``OFTEN`` times in ``SECONDS``. How many were kept back is told with the next one,
    or, if none comes, with the next line of any kind.

    Parameters
    ----------
    everything
        Whether to let through what libraries say below the level WARNING.
    clock
        Clock, monotonic, in seconds.
    """

    def __init__(self, *, everything: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._everything = everything
        self._clock = clock
        self._said: dict[tuple[str, str], _Said] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log a record; changes one that passes by itself."""
        if _is_foreign(record) and record.levelno < logging.WARNING:
            # Faust prints the offsets of all partitions at each rebalance, a line for each.
            return self._everything and "\n" not in record.getMessage()
        now, passes = self._clock(), _passes(record)
        self._forget(now)
        what = record.name, _NUMBER.sub("#", _first_line(str(record.msg)))
        said, more = self._said.get(what, _Said(now)), ""
        if now - said.when >= SECONDS:
            if passes or said.kept_back:
                more = f" ({said.kept_back + 1} times in {now - said.when:.0f} s)"
            said = _Said(now)
        elif said.said >= (1 if passes else OFTEN):
            words, kept_back = _first_line(record.getMessage()), said.kept_back + 1
            self._said[what] = said._replace(seen=now, kept_back=kept_back, words=words)
            return False
        self._said[what] = said._replace(seen=now, said=said.said + 1)
        if passes:
            _say(record, logging.WARNING if more else logging.INFO, more)
        elif more:
            record.msg, record.args = record.getMessage() + more, ()
        return True

    def _forget(self, now: float) -> None:
        """Forget what has not come again for ``SECONDS``, and tell how much of it was kept back."""
        # A copy: other threads write to the log, too.
        for what, said in self._said.copy().items():
            since = now - said.seen
            if since >= SECONDS and self._said.pop(what, None) is not None and said.kept_back:
                logger.info("%s (%d times more, until %.0f s ago)", said.words, said.kept_back, since)


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
