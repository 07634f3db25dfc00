from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from afresh.state.rows import behaviour, content, users
from afresh.state.rows.behaviour import BehaviourRows
from tests.benchmarks import recovery, rows
from tests.benchmarks.recovery_report import WAYS, Recovery, figures, recoveries, sizes

USERS, ITEMS = 3_000, 500
MEASURED = {
    way: Recovery(
        detection_seconds=9.0,
        fetch_seconds=seconds,
        apply_seconds=0.5,
        rest_seconds=0.5,
        cpu_seconds=7.0,
        records=12_000,
        first_seconds=20.0,
        peak_rss_bytes=2**30,
    )
    for way, seconds in zip(WAYS, (10.0, 5.0, 30.0, 0.0), strict=True)
}


def printed(table: Table) -> list[list[str]]:
    output = StringIO()
    Console(file=output, width=200).print(table)
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.getvalue().splitlines()]


def test_the_table_splits_the_time_and_compares_each_way_with_its_baseline() -> None:
    found = {row[0]: row[1:] for row in printed(recoveries(MEASURED)) if row}
    phases = ["9.0", "5.0", "0.5", "0.5", "7.0", "12,000", "20.0", "1,024 MiB"]
    assert found["RocksDB, started again"] == ["15.0", "0.75", *phases]
    assert found["memory, a second worker"][:2] == ["40.0", "1.00"]
    assert found["a standby on the second"][:2] == ["10.0", "0.25"]


def test_the_table_of_sizes_shows_the_bytes_in_kafka_and_in_memory() -> None:
    found = printed(sizes({"user": 900.0}, {"user": 1080.4}))
    assert [row for row in found if row] == [["user, packed", "900"], ["user, in memory", "1,080"]]


def test_the_figures_hold_everything_measured() -> None:
    found = figures({"user": 900.0}, {"user": 1080.4}, MEASURED)
    assert found["packed_bytes"] == {"user": 900.0}
    assert found["memory_bytes"] == {"user": 1080.4}
    assert found["recovery"]["memory, started again"] == {
        "total_seconds": 20.0,
        "detection_seconds": 9.0,
        "fetch_seconds": 10.0,
        "apply_seconds": 0.5,
        "rest_seconds": 0.5,
        "cpu_seconds": 7.0,
        "records": 12_000,
        "first_seconds": 20.0,
        "peak_rss_bytes": 2**30,
    }


def test_the_rows_can_be_read_like_rows_of_the_agents() -> None:
    name, packed = next(rows.user_rows(1, ITEMS))
    user = users.unpack(packed)
    assert (name, user.revision, len(users.history_of(user))) == (b"web:user-0", 50, 50)
    items = BehaviourRows(dict(rows.behaviour_rows(ITEMS, 1)))
    assert items.array["number"][: len(items)].tolist() == list(range(ITEMS))
    name, packed = list(rows.behaviour_rows(ITEMS, 1))[-1]
    assert items.packed(items.number[name]) == packed
    assert (behaviour.unpack([packed])["pairs"]["key"] != 0).sum() == 50
    (vector,) = content.unpack(next(rows.content_rows(1))[1]).vectors
    assert len(vector.vector) == 2 * 384


def test_a_way_without_its_baseline_has_no_ratio() -> None:
    disk = WAYS[1]
    assert [row[2] for row in printed(recoveries({disk: MEASURED[disk]})) if row] == ["-"]


@pytest.mark.usefixtures("kafka_installation")
def test_recovery_from_files_or_a_standby_reads_only_new_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "figures.json"
    disk, standby = WAYS[1], WAYS[3]
    monkeypatch.setattr(recovery, "WAYS", [disk, standby])
    # The shortest timeout that a broker allows, because a longer one only delays the test.
    monkeypatch.setenv("AFRESH_SESSION_TIMEOUT_SECONDS", "6")
    recovery.main(["--users", str(USERS), "--items", str(ITEMS), "--json", str(file)])
    found = json.loads(file.read_text())
    assert found["memory_bytes"]["user"] > found["packed_bytes"]["user"]
    assert set(found["recovery"]) == {disk.name, standby.name}
    for way in found["recovery"].values():
        # Few records: the claims of the partitions, and what was written while the worker lived.
        assert 0 < way["records"] < (USERS + 2 * ITEMS) / 10
        assert way["detection_seconds"] > 0
