"""The base class of all errors that a person can mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

MEND_STATUS = 2
"""Exit status of a process that a person must mend something for: started again as it is, it would end again."""

START_AGAIN_STATUS = 75
"""Exit status of a process whose problem may pass by itself: EX_TEMPFAIL of sysexits.h."""


class AfreshError(Exception):
    """Something is wrong outside the program; the message says what it is and what to do.

    The command line prints the message without a traceback and exits with ``status``. A worker that ends because of it
    does the same. Our errors that do not derive from this class are signals inside the program; no user sees them.

    Attributes
    ----------
    status
        Exit status of a process that ends because of the error.
    """

    status = MEND_STATUS


class StartAgainError(AfreshError):
    """Something has changed under a running process; started again, the process takes it into account."""

    status = START_AGAIN_STATUS


class UnavailableError(AfreshError):
    """A server does not answer, or not yet; started again later, the process may find it at work."""

    status = START_AGAIN_STATUS


@contextmanager
def mendable(kind: type[Exception]) -> Iterator[None]:
    """Turn errors of a kind, whose messages already say what to do, into an AfreshError.

    The models need this: they import nothing from ``state``, and so raise ValueError.
    """
    try:
        yield
    except kind as error:
        raise AfreshError(str(error)) from error
