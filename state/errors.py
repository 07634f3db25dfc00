"""The root of all errors that a person can mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class AfreshError(Exception):
    """Something is wrong outside the program; the message is one sentence that says what to do.

    The command line prints it without a traceback and exits with status 2, and so does a worker that ends for it.
    Errors of ours that do not derive from it are signals between parts of the program, and reach nobody.
    """


@contextmanager
def mendable(kind: type[Exception]) -> Iterator[None]:
    """Make an AfreshError of errors whose message is such a sentence already.

    The models raise ValueErrors, since they know nothing of ours.
    """
    try:
        yield
    except kind as error:
        raise AfreshError(str(error)) from error
