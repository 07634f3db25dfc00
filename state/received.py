"""The window of event ids received: an event that a producer sends twice is taken in once.

The newest W ids are kept in pages of a fixed size, page n at key n mod (W / page), so that the rows are the same
whatever the lengths of the runs in which events came, and each run writes only the pages that it filled.
"""

from __future__ import annotations

import numpy as np

from state.rows import Readable
from state.tables import Change

PAGE = 256
"""Event keys in a page; uint64, so 2 KiB."""

_COUNT = "<u8"


class ReceivedWindow:
    """The newest event keys of one partition.

    Parameters
    ----------
    rows
        The partition's rows as recovered.
    size
        Keys to remember, in whole pages.
    """

    def __init__(self, rows: Readable, size: int) -> None:
        self._pages = max(1, -(-size // PAGE)) if size else 0
        self._count = 0
        self._page: dict[int, list[int]] = {}
        for key, packed in rows.items():
            if key:
                numbers = np.frombuffer(packed, _COUNT).tolist()
                self._page[int.from_bytes(key, "little")] = numbers[1:]
                self._count = max(self._count, numbers[0] * PAGE + len(numbers) - 1)
        self._known = {key for page in self._page.values() for key in page}

    def add(self, key: int) -> bool:
        """Remember an event's key; return False if it is there already."""
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
    def count(self) -> int:
        """Keys ever added."""
        return self._count

    def write(self, change: Change, since: int) -> None:
        """Write the pages that changed since the count was ``since``."""
        if self._count == since:
            return
        last = (self._count - 1) // PAGE
        first = max(since // PAGE, last - self._pages + 1)
        for number in range(first, last + 1):
            slot = number % self._pages
            page = np.array([number, *self._page[slot]], _COUNT)
            change.put(slot.to_bytes(4, "little"), page.tobytes())
