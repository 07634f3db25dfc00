"""Tables in RocksDB over genuine Kafka: a restart reads only new records, and the rows equal the changelogs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from afresh.deploy.demo.scrape import Page
from afresh.deploy.servers.process import ServerProcess
from afresh.state.store.rocks import RocksStore
from afresh.streams.settings import Settings
from tests.kafka.deployment import TABLES, Deployment, deployment, recovered, wait, written

USERS = 40


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(settings.model_copy(update={"state": "rocksdb"}), tmp_path) as each:
        yield each


def learned(*pages: Page) -> int:
    """Count the examples that these workers have learned from."""
    return sum(page.read().total("afresh_stage_records_total", stage="learn") for page in pages)


def claims(made: Deployment) -> int:
    """Count the claims of a worker that holds all partitions: one record in each changelog partition."""
    return len(TABLES) * made.settings.partitions


def of_changelogs(made: Deployment) -> dict[str, dict[tuple[int, bytes], bytes]]:
    """Read the newest row of each key, as tables in memory would hold them."""
    tables = {}
    for table in TABLES:
        newest = {
            (each.partition, each.key): each.value for each in made.records(getattr(made.topics, table))
        }
        tables[table] = {key: row for key, row in newest.items() if row is not None}
    return tables


def of_files(made: Deployment, process: ServerProcess) -> dict[str, dict[tuple[int, bytes], bytes]]:
    store = RocksStore(made.data_dir(process) / made.settings.namespace / "rows", TABLES)
    tables = {
        table: {
            (partition, key): row
            for partition in range(made.settings.partitions)
            for key, row in store.partitions(table)[partition].items()
        }
        for table in TABLES
    }
    store.close()
    return tables


def stop(process: ServerProcess) -> None:
    running = process._process
    assert running is not None
    running.send_signal(signal.SIGTERM)
    assert running.wait(20) == 0


def test_after_a_kill_only_the_tail_is_read_and_the_rows_equal_the_changelogs(
    made: Deployment,
) -> None:
    process = made.process()
    with made.running(process) as page:
        made.item("i1", text="a film")
        made.load(2000, USERS)
        wait(lambda: learned(page) >= 2000, "all events to be learned from")
        assert recovered(page) == claims(made)
        process.kill()
        before = written(made)
        process.start()
        page = made.ready(process)
        # At the kill, Kafka had a batch of each table's partitions that the disk did not have.
        assert recovered(page) < before / 10
        made.load(500, USERS)
        wait(lambda: learned(page) >= 500, "what came later to be learned from")
        stop(process)
    assert of_files(made, process) == of_changelogs(made)


def test_damaged_files_are_rebuilt_from_the_changelogs(made: Deployment) -> None:
    process = made.process()
    with made.running(process) as page:
        made.load(1000, USERS)
        wait(lambda: learned(page) >= 1000, "all events to be learned from")
        process.kill()
        (file,) = made.data_dir(process).glob("*/rows/CURRENT")
        file.write_bytes(b"nonsense")
        before = written(made)
        process.start()
        page = made.ready(process)
        assert recovered(page) == before + claims(made)
        assert "deleted, to be rebuilt from the changelogs" in process.log.read_text()
        stop(process)
    assert of_files(made, process) == of_changelogs(made)


def test_a_partition_that_comes_back_is_read_from_where_its_files_end(
    made: Deployment,
) -> None:
    first, second = made.process(), made.process()
    with made.running(first) as page:
        made.load(1000, USERS)
        wait(lambda: learned(page) >= 1000, "all events to be learned from")
        with made.running(second) as other:
            wait(lambda: page.ready() and other.ready(), "both to be ready")
            before = recovered(page)
            made.load(600, USERS)
            wait(lambda: learned(page, other) >= 1600, "what came later to be learned from")
            elsewhere = written(made)
            second.kill()
            wait(lambda: recovered(page) > before, "the partitions to come back")
            wait(page.ready, "the partitions to be recovered")
            assert 0 < recovered(page) - before < elsewhere / 2
            stop(first)
    assert of_files(made, first) == of_changelogs(made)
