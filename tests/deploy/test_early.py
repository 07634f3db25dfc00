"""A process, or a tool, that is told to stop before it has done anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from afresh.deploy.cli import app
from afresh.deploy.demo.workers import COMMAND
from afresh.deploy.early import SIGNALS, leaving_early
from afresh.deploy.servers.kafka import REPOSITORY


@contextmanager
def waiting(*command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that waits for a Kafka that never comes."""
    variables = {"AFRESH_KAFKA": "127.0.0.1:1", "AFRESH_START_TIMEOUT_SECONDS": "60"}
    process = subprocess.Popen(
        command,
        env=os.environ | variables | {"PYTHONPATH": str(REPOSITORY / ".src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def handles(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    caught = next(line.split()[1] for line in lines if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells when the process can be told")
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("command", ["worker", "embed-worker"])
def test_a_process_that_is_told_to_stop_before_kafka_answers_has_left_in_order(
    command: str, number: signal.Signals
) -> None:
    with waiting(*COMMAND, command) as process:
        while not handles(process.pid, signal.SIGTERM):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(30) == 0


def test_a_tool_that_is_interrupted_has_not_done_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("afresh.deploy.feeds.replay.feed_items", interrupted)
    assert CliRunner().invoke(app, ["items", "-"]).exit_code == 130


def test_afterwards_signals_do_what_they_did_before() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with leaving_early():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
