"""Whole demos, each a process with real servers; only the workers and the data are stand-ins."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from redis import Redis

from afresh.deploy.servers import local_kafka, local_redis
from tests.deploy.demo.fake_demo import CATALOGUE, EVENTS, USERS

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[3]
FAKE_DEMO = Path(__file__).with_name("fake_demo.py")


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Make a folder for temporary files, with a space in its name."""
    temporary = tmp_path / "a folder"
    temporary.mkdir()
    return temporary


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run a broker and a Redis as others would, and yield the variables that name them."""
    folder = tmp_path_factory.mktemp("servers")
    with local_kafka(folder / "kafka") as kafka, local_redis(folder / "redis") as redis:
        variables = {"AFRESH_KAFKA": kafka.address, "AFRESH_REDIS": redis.address, "AFRESH_PARTITIONS": "1"}
        yield variables | ({"AFRESH_IDEMPOTENCE": "false"} if kafka.embedded else {})


@contextmanager
def demo(temporary: Path, *options: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Start a demo whose temporary files lie in ``temporary``; kill it at the end if it still runs."""
    own: Mapping[str, str] = {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AFRESH_")}
    command = [sys.executable, str(FAKE_DEMO), *options]
    with subprocess.Popen(
        command,
        env={**inherited, **own, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """Read lines up to the line that holds ``words``."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"{words!r} is not in: {lines}")


def left_over(temporary: Path) -> list[str]:
    """List the files in ``temporary``, and the processes that work in it."""
    running = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cwd").readlink().is_relative_to(temporary):
                running.append((folder / "cmdline").read_text())
        except OSError:
            continue
    return [*map(str, temporary.iterdir()), *running]


def test_a_demo_prints_its_figures_as_plain_lines_and_writes_them_to_the_file(
    temporary: Path, tmp_path: Path
) -> None:
    summary, picture = tmp_path / "figures.json", tmp_path / "panel.svg"
    with demo(temporary, "--summary", str(summary), "--picture", str(picture)) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    figures = json.loads(summary.read_text())
    assert figures.keys() >= {
        *("events", "dlq", "users", "items", "embedded", "hit_rate_10", "popularity_hit_rate_10"),
        *("events_per_second", "latency_p50_seconds", "latency_p99_seconds"),
    }
    assert (figures["events"], figures["dlq"]) == (EVENTS, 0)
    assert (figures["users"], figures["items"], figures["embedded"]) == (USERS, CATALOGUE, CATALOGUE)
    assert 0 < figures["latency_p50_seconds"] <= figures["latency_p99_seconds"]
    assert f"{EVENTS} of {EVENTS} events" in out
    assert "Film f" in out
    assert "\x1b" not in out
    assert "Film f" in picture.read_text().replace("&#160;", " ")
    assert left_over(temporary) == []


def test_the_open_loop_catches_up_and_judges_nothing(
    temporary: Path, tmp_path: Path, servers: dict[str, str]
) -> None:
    summary = tmp_path / "figures.json"
    with demo(temporary, "--open-loop", "--events", "100", "--summary", str(summary), **servers) as process:
        _, err = process.communicate()
    assert process.returncode == 0, err
    figures = json.loads(summary.read_text())
    assert (figures["events"], figures["late"]) == (100, 0)
    assert figures["hit_rate_10"] is None
    assert figures["latency_p50_seconds"] is None


@pytest.mark.parametrize(
    ("number", "own", "status"), [(signal.SIGINT, False, 130), (signal.SIGTERM, True, 143)]
)
def test_a_signal_in_the_middle_stops_everything(
    temporary: Path, servers: dict[str, str], number: signal.Signals, own: bool, status: int
) -> None:
    with demo(temporary, "--speed", "5", **({} if own else servers)) as process:
        read_until(process, "Running")
        assert len(left_over(temporary)) > 1
        process.send_signal(number)
        process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode == status
    assert "Traceback" not in err
    assert left_over(temporary) == []


def test_a_worker_that_dies_ends_the_demo_with_the_reason_from_its_log(
    temporary: Path, servers: dict[str, str]
) -> None:
    with demo(temporary, **servers, FAKE_DEMO_CRASH="50") as process:
        _, err = process.communicate()
    assert process.returncode == 1
    assert "afresh worker ended by itself" in err
    assert "the fake worker was told to crash" in err
    assert "Traceback" not in err
    assert left_over(temporary) == []


def test_a_kept_deployment_serves_until_interrupted_and_leaves_given_servers_clean(
    temporary: Path, servers: dict[str, str]
) -> None:
    with Redis.from_url(servers["AFRESH_REDIS"]) as redis:
        with demo(temporary, "--keep", "--events", "60", **servers) as process:
            command = re.search(r"redis-cli -u \S+ GET (\S+)", "".join(read_until(process, "redis-cli")))
            assert command
            assert json.loads(str(redis.get(command[1]), "utf-8"))["items"]
            process.send_signal(signal.SIGINT)
            _, err = process.communicate()
        assert process.returncode == 0, err
        assert redis.dbsize() == 0
    admin = KafkaAdminClient(bootstrap_servers=servers["AFRESH_KAFKA"])
    assert [name for name in admin.list_topics() if name.startswith("afresh")] == []
    admin.close()
