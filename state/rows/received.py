"""The window of received event ids, so that an event that a producer sends twice is taken in once.

The newest W ids are kept in pages of a fixed size. Page n is the row with key n mod (W / page size). So the rows do not
depend on the lengths of runs, and each run writes only the pages that it filled.
"""

from __future__ import annotations

import numpy as np

from afresh.state.store.changes import Change
from afresh.state.store.rows import Readable
from afresh.state.versions import RowVersionError, require_known

PAGE = 256
"""Number of event keys in a page: with uint64 a page has 2 KiB."""

PAGE_VERSION = 0
"""Version of the layout of a page. It is the highest byte of the first word; the other bytes are the page's number."""

_COUNT = "<u8"
_VERSION_SHIFT = 56


class ReceivedWindow:
    """The newest event keys of one partition.

    Parameters
    ----------
    rows
        The recovered rows of the partition.
    size
        Number of keys to remember, rounded up to whole pages; 0 to remember none.

    Raises
    ------
    RowVersionError
        A page has an unknown version or length.
    """

    def __init__(self, rows: Readable, size: int) -> None:
        self._pages = max(1, -(-size // PAGE)) if size else 0
        self._count = 0
        self._page: dict[int, list[int]] = {}
        for key, packed in rows.items():
            if key:
                numbers = _unpack(packed)
                self._page[int.from_bytes(key, "little")] = numbers[1:]
                self._count = max(self._count, numbers[0] * PAGE + len(numbers) - 1)
        self._known = {key for page in self._page.values() for key in page}

    def remember(self, key: int) -> bool:
        """Remember an event's key; return False if it is remembered already."""
        if not self._pages:
            return True
        if key in self._known:
            return False
        slot = (self._count // PAGE) % self._pages
        if self._count % PAGE == 0:
            self._known.difference_update(self._page.get(slot, ()))
            self._page[slot] = []
        self._page[slot].append(key)
        self._known.add(key)
        self._count += 1
        return True

    @property
    def remembered(self) -> int:
        """Number of keys ever remembered, with those that were forgotten since."""
        return self._count

    def write(self, change: Change, since: int) -> None:
        """Write the pages that changed since ``remembered`` was ``since``."""
        if self._count == since:
            return
        last = (self._count - 1) // PAGE
        first = max(since // PAGE, last - self._pages + 1)
        for number in range(first, last + 1):
            slot = number % self._pages
            page = np.array([number, *self._page[slot]], _COUNT)
            change.put_row(slot.to_bytes(4, "little"), page.tobytes())


def _unpack(packed: bytes) -> list[int]:
    """Unpack a page into its number and its keys."""
    if not packed or len(packed) % np.dtype(_COUNT).itemsize:
        raise RowVersionError("A page of event ids has a length that this program does not know")
    numbers: list[int] = np.frombuffer(packed, _COUNT).tolist()
    version = numbers[0] >> _VERSION_SHIFT
    require_known(version, "A page of event ids", known=PAGE_VERSION, oldest=PAGE_VERSION)
    return numbers
