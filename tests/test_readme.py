"""Every command of the README works, and so do the steps to production of OPERATING.md."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from afresh.deploy.servers.process import free_ports
from afresh.streams.settings import Settings
from tests.documents import ROOT, blocks, read
from tests.kafka.deployment import wait
from tests.sources import copy_sources

LINES = 150
"""Of the README at most: who has five minutes reads it to its end."""

(START,) = [block.text for block in blocks(read("OPERATING.md"), "sh") if block.section == "Start"]
ADDRESSES = "export AFRESH_KAFKA=127.0.0.1:9092 AFRESH_REDIS=redis://127.0.0.1:6379/0"


def variables(tmp_path: Path) -> dict[str, str]:
    """Return an environment where the command ``afresh`` is the one under test."""
    port, embed_port = free_ports(2)
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "AFRESH_METRICS_PORT": str(port),
        "AFRESH_EMBED_METRICS_PORT": str(embed_port),
        "AFRESH_DATA_DIR": str(tmp_path / "data"),
    }


def test_the_readme_has_the_commands_that_are_proven_here() -> None:
    assert [block.text for block in blocks(read("README.md"), "sh")] == ["make run\n", "make test\n"]
    assert START.startswith(ADDRESSES)


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(read("README.md").splitlines()) <= LINES


def test_make_test_is_what_ci_runs() -> None:
    assert "exec make test" in (ROOT / ".ci" / "run").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert "\ntest: lint\n\t.venv/bin/python -m pytest" in makefile
    assert "\nlint: .venv/installed\n\t.venv/bin/ruff check ." in makefile


def run_block(document: str, section: str, folder: Path, **values: str) -> str:
    """Run the commands of a section as a person types them, with some more variables; return what they print."""
    (block,) = [each.text for each in blocks(read(document), "sh") if each.section == section]
    # Options of the make and the pytest that run this test are not those of a person.
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTEST"))
    }
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env=own | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"} | values,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    return ended.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_commands_set_up_a_checkout_and_run_unit_tests() -> None:
    """A few of the tests: the others run beside this one."""
    assert " passed in " in run_block("CONTRIBUTING.md", "Set up", ROOT, ARGS="tests/models/lists")


@pytest.mark.slow
def test_the_installation_finds_all_that_it_needs(tmp_path: Path) -> None:
    """Pip is asked to the end, and writes nothing: everything that the constraints name is here already."""
    source = copy_sources(tmp_path / "a copy")
    offline = {"PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    assert "Would install afresh-" in run_block("OPERATING.md", "Install", source, **offline)


@pytest.mark.servers
@pytest.mark.timeout(600)
def test_make_run_plays_real_events_and_exits_with_0(tmp_path: Path) -> None:
    summary = tmp_path / "a summary.json"
    ended = subprocess.run(
        ["make", "run", f"ARGS=--events 1500 --summary '{summary}'"],
        cwd=ROOT,
        env=os.environ | {"AFRESH_ENCODER": "none", "AFRESH_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    figures = json.loads(summary.read_text())
    assert figures["events"] == 1500
    assert figures["dlq"] == 0
    assert figures["items"] == 1682
    assert figures["hit_rate_10"] > figures["popularity_hit_rate_10"] > 0


@pytest.mark.timeout(300)
def test_the_steps_to_production_give_a_list(settings: Settings, tmp_path: Path) -> None:
    production = START.replace(
        ADDRESSES,
        f"export AFRESH_KAFKA={settings.kafka} AFRESH_REDIS={settings.redis.get_secret_value()} "
        f"AFRESH_NAMESPACE={settings.namespace}",
    )
    script = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", production],
        cwd=ROOT,
        env=variables(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines = []
    redis = Redis.from_url(settings.redis.get_secret_value())
    try:
        assert script.stdout is not None
        for line in script.stdout:
            lines.append(line)
            if "rank" in line:
                break
        said = "".join(lines)
        assert "rank" in said, said
        # Recommend refreshes the list once the worker has learned from the other users' events.
        wait(
            lambda: first_item(redis, settings) in {"moon", "solaris"}, "a user who likes space to see space"
        )
    finally:
        redis.close()
        os.killpg(script.pid, signal.SIGTERM)
        script.wait(30)


def first_item(redis: Redis, settings: Settings) -> str:
    """First item of the list of the user of OPERATING.md."""
    found: Any = redis.get(f"{settings.namespace}:recommendations:web:ann")
    # Empty as long as the first events are faster than the items.
    return "".join(item["id"] for item in json.loads(found)["items"][:1])
