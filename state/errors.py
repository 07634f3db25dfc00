"""Errors that a person can mend."""

from __future__ import annotations


class AfreshError(Exception):
    """Something is wrong outside the program; the message is one sentence that says what to do.

    The command line prints it without a traceback and exits with status 2.
    """
