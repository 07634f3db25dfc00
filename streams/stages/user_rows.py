"""User rows of one partition, as a part of ``profile`` sees them."""

from __future__ import annotations

from afresh.state.rows import users
from afresh.state.rows.users import UserRow
from afresh.state.store.changes import Change
from afresh.streams.kafka.sender import partition_of


class UserRows:
    """Rows that are unpacked when they are first asked for, and changed in place.

    Not part of ``ProfilePart``: what obeys moves asks here, and a part that something in it points back to would stay
    in memory, with all that it sends, until Python looks for cycles.

    Parameters
    ----------
    change
        The packed rows.
    partition
        Partition of the rows.
    partitions
        Number of partitions.

    Attributes
    ----------
    size
        Bytes of the packed rows asked for.
    """

    def __init__(self, change: Change, partition: int, partitions: int) -> None:
        self.size = 0
        self._change = change
        self._partition = partition
        self._partitions = partitions
        self._rows: dict[str, UserRow] = {}

    def row(self, user: str) -> UserRow | None:
        """Return the row of a user, an empty one if there is none; None if it belongs into another partition."""
        row = self._rows.get(user)
        if row is None:
            key = user.encode()
            packed = self._change.get(key)
            if packed is None and partition_of(key, self._partitions) != self._partition:
                return None
            self.size += len(packed) if packed else 0
            row = self._rows[user] = users.unpack(packed)
        return row

    def packed(self, user: str) -> bytes:
        """Pack a row that was asked for."""
        return users.pack(self._rows[user])
