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
    assert rows.row("web:new") == UserRow()
    row = rows.row("web:ann")
    assert row is not None
    row.taken += 1
    assert rows.row("web:ann") is row
    assert rows.packed("web:ann") == users.pack(UserRow(taken=4))
    assert rows.size == len(PACKED)


def test_only_users_whose_name_hashes_to_the_partition_have_a_row_and_those_who_have_one_in_its_table() -> (
    None
):
    here, elsewhere = sorted(("web:ann", "web:cy"), key=lambda user: partition_of(user.encode(), 2))
    assert [partition_of(user.encode(), 2) for user in (here, elsewhere)] == [0, 1]
    rows = UserRows(Change(MemoryRows(), 2), 0, 2)
    assert rows.row(here) == UserRow()
    assert rows.row(elsewhere) is None
    assert UserRows(Change(MemoryRows({elsewhere.encode(): PACKED}), 2), 0, 2).row(elsewhere) == UserRow(
        taken=3
    )
