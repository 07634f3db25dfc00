"""Says what the end of a process means to whoever starts it again."""

from __future__ import annotations

import logging

from aiokafka.errors import KafkaError, KafkaTimeoutError

from afresh.state.errors import (
    MEND_STATUS,
    START_AGAIN_STATUS,
    AfreshError,
    StartAgainError,
    UnavailableError,
)
from afresh.streams.kafka.sender import FencedError

FAULT_STATUS = 1
"""Exit status of a process that ends by a fault of the program, as Python has it; it may be started again."""


def first_of(failed: BaseException) -> BaseException:
    """Return the first error of a group of groups; of anything else, itself.

    Examples
    --------
    >>> first_of(ExceptionGroup("work", [ExceptionGroup("part", [ValueError("first")]), ValueError("second")]))
    ValueError('first')
    """
    return first_of(failed.exceptions[0]) if isinstance(failed, BaseExceptionGroup) else failed


def meaning_of(reason: BaseException | None) -> AfreshError | None:
    """Return a crash as a sentence with a status; None for a fault of the program, which needs its traceback."""
    match reason:
        case AfreshError():
            return reason
        case FencedError():
            return StartAgainError(
                f"Another process has written where this one must: {reason}; start this one again."
            )
        case KafkaError() if reason.retriable or isinstance(reason, KafkaTimeoutError):
            return UnavailableError(f"Kafka does not answer ({reason!r}); start again.")
    return None


def status_of(reason: BaseException | None, *, told: bool) -> int:
    """Return the exit status of a process.

    Parameters
    ----------
    reason
        What has ended the process, if anything has.
    told
        Whether it was told to stop.
    """
    meaning = meaning_of(reason)
    if told and (reason is None or (meaning is not None and meaning.status == START_AGAIN_STATUS)):
        # In order: what Kafka could not commit in time is read again, and what was counted is not counted twice.
        return 0
    return FAULT_STATUS if meaning is None else meaning.status


def log_meaning(logger: logging.Logger, meaning: AfreshError) -> None:
    """Log why a process ends: as an error if a person must mend it, as a warning if another start suffices."""
    logger.log(logging.ERROR if meaning.status == MEND_STATUS else logging.WARNING, "%s", meaning)
