"""Versions of rows: what another version of this program wrote is read where it is known, and refused where not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import msgspec

from afresh.state.errors import AfreshError


class Versioned(Protocol):
    """A row that says which version its layout has."""

    @property
    def version(self) -> int:
        """Version of the layout."""


V = TypeVar("V", bound=Versioned)

ADVICE = "start the afresh that wrote it, or replay the events under another AFRESH_NAMESPACE; it was not written over"


class RowVersionError(AfreshError):
    """A row was written by a version of this program that this one does not know; says so, and what to do."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}: {ADVICE}.")


def unpack_known(
    decoder: msgspec.msgpack.Decoder[V], packed: bytes, what: str, known: int, oldest: int = 1
) -> V:
    """Unpack a row of a known version; fields that it lacks get their defaults, those that it has besides go.

    Parameters
    ----------
    decoder, packed
        Of the layout, and the row.
    what
        What the row is, for the error.
    known, oldest
        Newest and oldest version that is read.

    Raises
    ------
    RowVersionError
        When its version is none of them, or its layout another.
    """
    try:
        row = decoder.decode(packed)
    except msgspec.MsgspecError as error:
        raise RowVersionError(
            f"{what} has a layout that this program does not know ({error}); it knows {known}"
        ) from error
    require_known(row.version, what, known, oldest)
    return row


def require_known(version: int, what: str, known: int, oldest: int) -> None:
    """Return if a row's version is one that is read; for parameters and errors see ``unpack_known``."""
    if not oldest <= version <= known:
        raise RowVersionError(f"{what} has version {version}; this program knows {known}")


@contextmanager
def known_layout(what: str) -> Iterator[None]:
    """Make a RowVersionError of the ValueError that the models raise for bytes that are none of theirs.

    Parameters
    ----------
    what
        What the bytes are, for the error.
    """
    try:
        yield
    except ValueError as error:
        raise RowVersionError(f"{what} has a layout that this program does not know ({error})") from error
