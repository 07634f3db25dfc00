"""`afresh status`, `afresh top` and `afresh rollback` on the genuine Kafka, run as a person runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from afresh.deploy.demo.workers import variables
from afresh.deploy.servers.kafka import REPOSITORY
from afresh.state.judged.kept import JUDGE_ROW_VERSION, JudgeRow
from afresh.state.model.told import Message, decoder
from afresh.state.store.marks import PARTITION_ROW_KEY, PARTITION_ROW_VERSION, PartitionRow
from afresh.state.versions import ADVICE
from afresh.streams.settings import Settings
from tests.kafka.deployment import Deployment, deployment, wait


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(settings, tmp_path) as each:
        yield each


def run(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "afresh.deploy.cli", *arguments],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / ".src")} | variables(settings),
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def watching(settings: Settings, user: str) -> Iterator[Callable[..., list[str]]]:
    """Run `afresh top`; yield a function that reads lines until all of some words have come."""
    process = subprocess.Popen(
        [sys.executable, "-m", "afresh.deploy.cli", "top", user],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / ".src")} | variables(settings),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")

    def told(*words: str) -> list[str]:
        found: list[str] = []
        while not all(any(each in line for line in found) for each in words):
            found.append(next(lines))
        return found

    try:
        yield told
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def look(made: Deployment) -> dict[str, Any]:
    done = run(made.settings, "status", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_status_and_top_show_a_deployment_and_every_partition_obeys_a_rollback(made: Deployment) -> None:
    for number in range(5):
        made.item(f"i{number}")
    with made.running(made.process()), watching(made.settings, "web:ann") as told:
        for number in range(4):
            made.event("ann", f"i{number}")
        made.answer("ann", made.event("bob", "i1") and made.event("ann", "i4"))
        events = [line for line in told("view i4 ", "takes in event-6") if line.startswith("event ")]
        assert [line.split()[4] for line in events] == ["i0", "i1", "i2", "i3", "i4"]
        made.send(made.topics.events, "web:ann", b"{broken")
        settled = wait(lambda: _settled(look(made)), "the backlog to be worked off")
        assert settled["judged"]["examples"] == 6
        assert settled["judged"]["judged"]["all"] + settled["judged"]["unjudged"] == 6
        assert (settled["dead_letters"], settled["lists"]) == (1, 2)
        (worker,) = settled["workers"]
        assert worker["partitions"] == list(range(made.settings.partitions))
        assert settled["judged"]["rollbacks"] == 0
        model = wait(lambda: _with_items(look(made)), "a version of the model with all items")
        assert model["version"] in {whole.version for whole in versions(made)}
        assert 0 <= model["age_seconds"] < 60
        assert (model["made_by"], model["workers"]) == ("inline", [])

        done = run(made.settings, "rollback")
        assert done.returncode == 0, done.stderr
        assert done.stdout == "the weights go back; look at: afresh status\n"
        back = wait(lambda: _went_back(look(made)), "the weights to go back")
        assert back["judged"]["last"][1] == "command"
        assert "by the command" in run(made.settings, "status").stdout


def test_status_tells_which_model_worker_makes_the_model_and_says_if_there_is_none(
    settings: Settings, tmp_path: Path
) -> None:
    with deployment(settings.model_copy(update={"model": "worker"}), tmp_path) as made:
        assert look(made)["model"] | {"age_seconds": 0} == {
            "version": 0, "items": 0, "age_seconds": 0, "made_by": "worker", "workers": []
        }  # fmt: skip
        assert "start one with afresh model-worker" in run(made.settings, "status").stdout
        both = made.process("model-worker"), made.process("model-worker")
        with made.running(both[0]), made.running(both[1]):
            model = wait(lambda: _with_version(look(made)), "a version of the model")
            assert len(model["workers"]) == 2
            assert sum(0 in each["partitions"] for each in model["workers"]) == 1
            shown = run(made.settings, "status").stdout
            assert "makes the model" in shown


def _with_version(found: dict[str, Any]) -> dict[str, Any] | None:
    model: dict[str, Any] = found["model"]
    return model if model["version"] and len(model["workers"]) == 2 else None


def _with_items(found: dict[str, Any]) -> dict[str, Any] | None:
    model: dict[str, Any] = found["model"]
    return model if model["items"] == 5 else None


def versions(made: Deployment) -> list[Message]:
    """Return the ends of all versions that were told."""
    return [
        decoder.decode(record.value) for record in made.records(made.topics.model) if record.key == b"whole"
    ]


def _settled(found: dict[str, Any]) -> dict[str, Any] | None:
    return found if not any(found["waiting"].values()) and found["dead_letters"] else None


def _went_back(found: dict[str, Any]) -> dict[str, Any] | None:
    return found if found["judged"]["rollbacks"] == 1 else None


@pytest.mark.parametrize("whose", ["A partition's row", "What the judge kept"])
def test_a_row_of_a_newer_program_gives_one_sentence(made: Deployment, whose: str) -> None:
    judged = JudgeRow(version=JUDGE_ROW_VERSION + (whose == "What the judge kept"))
    row = PartitionRow(
        version=PARTITION_ROW_VERSION + (whose == "A partition's row"),
        agent_state=msgspec.msgpack.encode(judged),
    )
    known = PARTITION_ROW_VERSION if whose == "A partition's row" else JUDGE_ROW_VERSION
    weights = made.topics.weights.name
    made.producer.send(weights, msgspec.msgpack.encode(row), PARTITION_ROW_KEY, partition=0).get(timeout=60)
    done = run(made.settings, "status")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"afresh: {whose} has version {known + 1}; this program knows {known}: {ADVICE}.\n"


def test_an_unreachable_broker_gives_a_sentence(settings: Settings) -> None:
    nobody = settings.model_copy(update={"kafka": "127.0.0.1:9", "start_timeout_seconds": 1.0})
    for command in ("status", "rollback"):
        done = run(nobody, command)
        assert done.returncode == 75
        assert "Kafka at 127.0.0.1:9 did not answer" in done.stderr
