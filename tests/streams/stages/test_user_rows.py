from __future__ import annotations

from afresh.state.rows import users
from afresh.state.rows.users import UserRow
from afresh.state.store.changes import Change
from afresh.state.store.rows import MemoryRows
from afresh.streams.kafka.sender import partition_of
from afresh.streams.stages.user_rows import UserRows

PACKED = users.pack(UserRow(taken=3))


def test_a_row_is_unpacked_once_and_changed_in_place() -> None:
    rows = UserRows(Change(MemoryRows({b"web:ann": PACKED}), 1), 0, 1)
    rows.row("web:ann").taken += 1
    rows.row("web:new").taken += 1
    assert (rows.row("web:ann").taken, rows.row("web:new").taken) == (4, 1)
    assert rows.size == len(PACKED)


def test_a_user_is_here_whose_row_was_asked_for_or_whose_name_hashes_to_the_partition() -> None:
    here, elsewhere = sorted(("web:ann", "web:cy"), key=lambda user: partition_of(user.encode(), 2))
    assert [partition_of(user.encode(), 2) for user in (here, elsewhere)] == [0, 1]
    rows = UserRows(Change(MemoryRows(), 2), 0, 2)
    assert (rows.is_here(here), rows.is_here(elsewhere)) == (True, False)
    rows.row(elsewhere)
    assert rows.is_here(elsewhere)
