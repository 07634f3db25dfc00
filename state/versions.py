"""Versions of rows: rows of a known version are read, even if another program wrote them; all others are refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import msgspec

from afresh.state.errors import AfreshError


class Versioned(Protocol):
    """A row that knows the version of its layout."""

    @property
    def version(self) -> int:
        """Version of the layout."""


V = TypeVar("V", bound=Versioned)

ADVICE = "start the afresh that wrote it, or replay the events under another AFRESH_NAMESPACE; the row is unchanged"


class RowVersionError(AfreshError):
    """Another version of this program wrote the row, and this one does not know it; the message says what to do."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}: {ADVICE}.")


def unpack_known(
    decoder: msgspec.msgpack.Decoder[V], packed: bytes, what: str, known: int, oldest: int = 1
) -> V:
    """Unpack a row of a known version. Missing fields get their defaults; fields that are not known are dropped.

    Parameters
    ----------
    decoder, packed
        Decoder of the layout, and the packed row.
    what
        Name of the row in the error.
    known, oldest
        Newest and oldest version that is read.

    Raises
    ------
    RowVersionError
        The version is not between these, or the layout is not known.
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
    """Check that a row's version is one that is read; for parameters and errors see ``unpack_known``."""
    if not oldest <= version <= known:
        raise RowVersionError(f"{what} has version {version}; this program knows {known}")


@contextmanager
def known_layout(what: str) -> Iterator[None]:
    """Turn the ValueError that the models raise for unknown bytes into a RowVersionError.

    Parameters
    ----------
    what
        Name of the bytes in the error.
    """
    try:
        yield
    except ValueError as error:
        raise RowVersionError(f"{what} has a layout that this program does not know ({error})") from error
