"""The event loops of a process are uvloop's, and closed connections look as they do on those of the standard library.

To write to a connection that the other side has closed a moment ago is no error on a loop of the standard library; the
next read tells. uvloop raises a RuntimeError, which no client of Kafka or Redis expects. When a broker was killed, it
ended the task with which aiokafka asks for the leaders of partitions: whatever was to be sent then waited for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import mode.loop

P = ParamSpec("P")
T = TypeVar("T")

Write = Callable[Concatenate[asyncio.StreamWriter, P], T]


def use_uvloop() -> None:
    """Let this process's event loops be uvloop's; an app that is made earlier keeps those of the standard library.

    A run of a stage takes some twenty turns of the loop until Kafka has acknowledged what it wrote.
    """
    mode.loop.use("uvloop")
    writer = asyncio.StreamWriter
    for name in ("write", "writelines", "write_eof"):
        setattr(writer, name, closed_is_reset(getattr(writer, name)))


def closed_is_reset(write: Write[P, T]) -> Write[P, T]:
    """Return a method of a stream's writer that raises an OSError, as clients expect, where the connection is closed.

    Raises
    ------
    ConnectionResetError
        By the method, when uvloop has closed the connection already.
    """

    @wraps(write)
    def checked(writer: asyncio.StreamWriter, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return write(writer, *args, **kwargs)
        except RuntimeError as error:
            if not writer.is_closing():
                raise
            raise ConnectionResetError("the other side has closed the connection") from error

    return checked
