"""OPERATING.md says with which status each error ends a process; the code says the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

import kafka.errors
import pytest
import redis.exceptions
from aiokafka import errors as aiokafka
from pydantic_settings import SettingsError
from typer.testing import CliRunner

from afresh.deploy import errors
from afresh.deploy.cli import app
from afresh.deploy.servers.kafka import REPOSITORY
from afresh.state.errors import MEND_STATUS
from afresh.streams.kafka import ending
from afresh.streams.kafka.sender import FencedError
from tests.deploy.test_sentences import ours, refused_settings

PAGE = (REPOSITORY / "OPERATING.md").read_text(encoding="utf-8")
NAME = re.compile(r"`([\w.]+)`")

COMMANDS = {
    "ValidationError": refused_settings(),
    "SettingsError": SettingsError("no JSON"),
    "KafkaConnectionError": kafka.errors.KafkaConnectionError(),
    "KafkaTimeoutError": kafka.errors.KafkaTimeoutError(),
    "GroupAuthorizationFailedError": kafka.errors.GroupAuthorizationFailedError(),
    "redis.ConnectionError": redis.exceptions.ConnectionError(),
    "redis.TimeoutError": redis.exceptions.TimeoutError(),
    "redis.ReadOnlyError": redis.exceptions.ReadOnlyError(),
    "redis.AuthenticationError": redis.exceptions.AuthenticationError(),
}
"""Errors of others that end a command."""

WORKERS = {
    "FencedError": FencedError("rows", 1),
    "KafkaConnectionError": aiokafka.KafkaConnectionError(),
    "KafkaTimeoutError": aiokafka.KafkaTimeoutError(),
    "KeyError": KeyError("a fault"),
}
"""Errors that are none of a person, and end a worker."""


def table() -> Iterator[tuple[str, int]]:
    """Yield each error of the table with its status."""
    rows = PAGE.partition("| error | status | for example |\n|---|---|---|\n")[2].partition("\n\n")[0]
    for row in rows.splitlines():
        names, status, _ = row.strip("| ").split(" | ")
        yield from ((name, int(status)) for name in NAME.findall(names))


def test_the_table_has_every_error_with_its_status() -> None:
    told = dict(table())
    found = {kind.__name__: errors.status_of(kind("why")) for kind in ours() if issubclass(kind, Exception)}
    found |= {name: errors.status_of(error) for name, error in COMMANDS.items()}
    assert found.items() <= told.items()
    ends = {name: ending.status_of(error, told=False) for name, error in WORKERS.items()}
    assert ends.items() <= told.items()
    assert told.keys() == found.keys() | ends.keys()


@pytest.mark.parametrize("kind", ours())
def test_workers_and_commands_end_with_the_same_status(kind: type[Exception]) -> None:
    assert ending.status_of(kind("why"), told=False) == errors.status_of(kind("why"))


def test_systemd_is_told_to_leave_a_process_that_a_person_must_mend() -> None:
    assert f"Restart=on-failure\nRestartPreventExitStatus={MEND_STATUS}\n" in PAGE


@pytest.mark.parametrize("command", ["worker", "status", "ledger", "rollback"])
def test_a_kafka_that_is_away_is_what_may_pass_by_itself(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFRESH_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("AFRESH_START_TIMEOUT_SECONDS", "0.1")
    done = CliRunner().invoke(app, [command])
    assert (done.exit_code, done.stderr.count("\n")) == (75, 1), done.stderr
    assert "did not answer within 0.1 s" in done.stderr
