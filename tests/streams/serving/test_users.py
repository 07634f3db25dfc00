from pathlib import Path

from afresh.streams.kafka.app import create_app
from afresh.streams.kafka.tables import RunTable
from afresh.streams.serving.users import TableUsers
from afresh.streams.settings import Settings


async def test_users_are_the_rows_of_a_table_except_the_partition_row(tmp_path: Path) -> None:
    app = create_app(Settings(_env_file=None, data_dir=tmp_path), "test")
    table = RunTable(app, name="users", changelog="test.users", partitions=2)
    users = TableUsers(table, lambda: {1})
    change = table.change(1)
    change.put_row(b"web:ann", b"row")
    change.apply(0)
    assert users.partitions() == {1}
    assert list(users.names(1)) == ["web:ann"]
    assert (users.row(1, "web:ann"), users.row(1, "web:bob")) == (b"row", None)
