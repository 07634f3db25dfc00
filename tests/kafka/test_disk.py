"""Full disks under real workers: a clear sentence, nothing lost, and everything goes on once there is space."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from afresh.deploy.demo.workers import COMMAND
from afresh.deploy.ledger import audit
from afresh.deploy.servers.process import ServerProcess, free_ports
from afresh.streams.settings import Settings
from tests.kafka.deployment import Deployment, deployment, ended

ROOM = 300_000
"""Largest file, in bytes: larger than a log is here, and smaller than the rows of the load."""


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(settings, tmp_path) as made:
        yield made


@pytest.fixture
def on_disk(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(settings.model_copy(update={"state": "rocksdb"}), tmp_path) as made:
        yield made


def fill_disk(process: ServerProcess) -> None:
    """Let no file of a process grow beyond ``ROOM``; this limit stands in for a full disk."""
    assert process.pid is not None
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (ROOM, ROOM))


def test_a_full_disk_ends_the_worker_with_a_sentence_and_every_event_counts_once_there_is_space(
    on_disk: Deployment,
) -> None:
    process = on_disk.process()
    with on_disk.running(process):
        fill_disk(process)
        on_disk.load(6000)
        status, said = ended(process)
        assert status == 2
        assert str(on_disk.data_dir(process)) in said
        assert "free some space or mend the disk, or set AFRESH_DATA_DIR, and start again" in said
        process.start()
        on_disk.ready(process)
        report = audit(on_disk.settings, wait_seconds=90.0)
        assert report.differences == []
        assert report.events.once == 6000


def test_a_worker_that_cannot_write_its_log_works_as_usual(made: Deployment) -> None:
    (port,) = free_ports(1)
    command = ["sh", "-c", 'exec "$@" >/dev/full 2>&1', "sh", *COMMAND, "worker"]
    process = ServerProcess("afresh worker", command, port=port, folder=made.folder)
    with made.running(process):
        made.load(600)
        report = audit(made.settings, wait_seconds=60.0)
        assert report.differences == []
        assert report.events.once == 600
    assert process.status == 0
