from __future__ import annotations

import gzip
import importlib
import json
import math
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from afresh.deploy.cli import app
from afresh.deploy.evaluate import embeddings
from afresh.deploy.servers.kafka import REPOSITORY
from afresh.state.rows.content import text_for_encoder
from tests.deploy.evaluate.making import catalogue, event, shop, write
from tests.deploy.evaluate.test_embeddings import FakeEncoder


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("AFRESH_ENCODER", "none")


def evaluate(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["evaluate", *arguments])


@pytest.fixture
def log(tmp_path: Path) -> list[str]:
    """Return the options that name the events and items of a shop."""
    events = write(tmp_path / "events.jsonl", shop())
    return ["--events", events, "--items", write(tmp_path / "items.jsonl", catalogue())]


def figures(file: Path) -> Any:
    return json.loads(file.read_text())


def recomputed(lists: Iterator[dict[str, Any]], k: int = 10) -> dict[str, float]:
    """Compute the figures from the lists alone, by their definitions."""
    hits, gains, reciprocals, by_user = [], [], [], defaultdict(list)
    for line in lists:
        place = 0
        if line["item"] in line["items"]:
            place = line["items"].index(line["item"]) + 1
            own = line["scores"][place - 1]
            place += sum(score == own for score in line["scores"][place:])
        hit = 0 < place <= k
        hits.append(hit)
        gains.append(1 / math.log2(1 + place) if hit else 0.0)
        reciprocals.append(1 / place if hit else 0.0)
        by_user[line["user"]].append(hit)
    return {
        "hr": sum(hits) / len(hits),
        "ndcg": sum(gains) / len(gains),
        "mrr": sum(reciprocals) / len(reciprocals),
        "hr by user": sum(sum(own) / len(own) for own in by_user.values()) / len(by_user),
    }


@pytest.mark.parametrize("name", ["lists.jsonl", "lists.jsonl.gz"])
def test_anyone_can_recompute_the_figures_from_the_lists(log: list[str], tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    result = evaluate(*log, "--lists", str(file), "--json", str(tmp_path / "figures.json"))
    assert result.exit_code == 0, result.output
    text = gzip.decompress(file.read_bytes()) if name.endswith(".gz") else file.read_bytes()
    lists = [json.loads(line) for line in text.splitlines()]
    made = figures(tmp_path / "figures.json")
    ours = made["rankers"]["afresh"]["all"]
    again = recomputed(iter(lists))
    assert made["protocol"]["evaluated"] == len(lists) == 150
    assert [line["id"] for line in lists] == [f"e{number}" for number in range(150, 300)]
    assert all(line["item"] not in line["items"][20:] for line in lists)
    assert 0 < again["hr"] < 1
    for name_ in ("hr", "ndcg", "mrr"):
        assert ours[name_]["mean"] == pytest.approx(again[name_], abs=1e-6)
    assert ours["hr"]["by_user"]["mean"] == pytest.approx(again["hr by user"], abs=1e-6)


@pytest.mark.slow
def test_diversity_and_exploration_follow_the_options_and_are_reported(
    log: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "lists.jsonl"
    plain = evaluate(*log, "--lists", str(file), "--json", str(tmp_path / "figures.json"))
    assert plain.exit_code == 0, plain.output
    lists = [json.loads(line) for line in file.read_text().splitlines()]
    assert not any("propensities" in line for line in lists)
    for option, value in (("diversity", 0.7), ("exploration", 0.3)):
        result = evaluate(*log, f"--{option}", str(value), "--lists", str(file), "--json", "figures.json")
        assert result.exit_code == 0, result.output
        made = figures(tmp_path / "figures.json")
        changed = [json.loads(line) for line in file.read_text().splitlines()]
        assert made["protocol"][option] == value
        assert [line["items"] for line in changed] != [line["items"] for line in lists]
        ours = made["rankers"]["afresh"]["all"]
        assert ours["hr"]["mean"] == pytest.approx(recomputed(iter(changed))["hr"], abs=1e-6)
    for line in changed:
        assert len(line["propensities"]) == len(line["items"])
        assert all(0 < each <= 1 for each in line["propensities"])


def test_lists_leave_out_what_the_deployments_setting_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = write(tmp_path / "again.jsonl", [event(number, "ann", "i1") for number in range(8)])
    for rule, expected in (("taken", 0.0), ("bought", 1.0)):
        monkeypatch.setenv("AFRESH_LEAVE_OUT", json.dumps({"films": rule}))
        assert evaluate("--events", events, "--json", "figures.json").exit_code == 0
        made = figures(tmp_path / "figures.json")
        assert made["protocol"]["leave_out"] == {"films": rule}
        assert made["rankers"]["afresh"]["all"]["hr"]["mean"] == expected


def test_the_slices_of_a_group_add_up_to_all_events(log: list[str], tmp_path: Path) -> None:
    assert evaluate(*log, "--json", str(tmp_path / "figures.json")).exit_code == 0
    slices = figures(tmp_path / "figures.json")["rankers"]["afresh"]["slices"]
    for group in ("events of the user so far", "events of the item so far", "domain", "platform"):
        assert sum(each["events"] for each in slices[group].values()) == 150
    assert set(slices["domain"]) == {"films", "books"}
    assert set(slices["platform"]) == {"web", "app"}


def test_a_baseline_is_measured_before_the_same_events(log: list[str], tmp_path: Path) -> None:
    result = evaluate(*log, "--baselines", "popularity", "--json", str(tmp_path / "figures.json"))
    assert result.exit_code == 0, result.output
    rankers = figures(tmp_path / "figures.json")["rankers"]
    assert list(rankers) == ["afresh", "popularity"]
    counts = [
        {name: each["events"] for name, each in ranker["slices"]["events of the user so far"].items()}
        for ranker in rankers.values()
    ]
    assert counts[0] == counts[1]
    # Users keep to a quarter of the items, and popularity cannot know that.
    assert rankers["afresh"]["all"]["hr"]["mean"] > rankers["popularity"]["all"]["hr"]["mean"]
    assert "popularity" in result.stdout


READER = """
from afresh.deploy.evaluate.baselines.popularity import Popularity

TOLD = {}

class Reader(Popularity):
    def read(self, item, text):
        TOLD[item] = text.tolist()

def make(events):
    return Reader()
"""


def test_a_baseline_that_reads_gets_the_embeddings_of_the_texts(
    log: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_texts").mkdir()
    (tmp_path / "own_texts" / "reader.py").write_text(READER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("AFRESH_ENCODER", "minilm")
    monkeypatch.setattr(embeddings, "version_of", lambda name, options: "v1")
    monkeypatch.setattr(embeddings, "load", lambda name, options: FakeEncoder())
    result = evaluate(*log, "--baselines", "own_texts.reader")
    assert result.exit_code == 0, result.output
    told = importlib.import_module("own_texts.reader").TOLD
    read = {number: text_for_encoder(each["title"], "", {}) for number, each in enumerate(catalogue())}
    assert told == {number: [float(len(text)), 1.0] for number, text in read.items()}
    told.clear()
    assert evaluate(*log, "--no-text", "--baselines", "own_texts.reader").exit_code == 0
    assert told == {}


def test_bad_lines_are_counted_and_left_out(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    events = shop(100)
    write(file, [*events, events[0], event(101, "u", "i", type="dance"), event(102, "u", "i", time=5)])
    with file.open("ab") as lines:
        lines.write(b"{nonsense\n\xff\xfe\n")
    result = evaluate("--events", str(file), "--json", str(tmp_path / "figures.json"))
    assert result.exit_code == 0, result.output
    made = figures(tmp_path / "figures.json")["input"]
    assert made["events"] == 100
    assert made["duplicates"] == 1
    assert made["refused"] == {"invalid": 1, "time": 1, "malformed": 2}
    assert "1 duplicates left out, and 1 invalid, 2 malformed, 1 time" in result.stdout


def test_input_that_cannot_be_evaluated_ends_with_a_sentence(tmp_path: Path, log: list[str]) -> None:
    empty = write(tmp_path / "empty.jsonl", [])
    shown = write(tmp_path / "shown.jsonl", [event(1, "u", "i", type="impression")])
    wrong = write(tmp_path / "wrong.jsonl", [{"id": "x"}])
    for arguments, words in (
        (["--events", empty], "the log is empty"),
        (["--events", shown], "none is positive"),
        (["--events", wrong], "lines were refused (1 invalid)"),
        (["--events", "missing.jsonl"], "missing.jsonl: No such file or directory"),
        (["--data", "netflix"], "no set is called 'netflix'; choose one of ml-100k"),
        ([*log, "--lists", "missing/lists.jsonl"], "lists.jsonl cannot be written"),
        ([*log, "--json", str(tmp_path)], "cannot be written (Is a directory)"),
        ([*log, "--baselines", "guessing"], "there is no baseline 'guessing'"),
    ):
        result = evaluate(*arguments)
        assert (result.exit_code, words in result.stderr) == (2, True), result.output
        assert result.stderr.count("\n") == 1


def test_options_that_make_no_sense_are_refused(log: list[str]) -> None:
    for arguments, words in (
        ([*log, "--from", "1.2"], "1.2 is not in the range"),
        ([*log, "--from", "nan"], "nan is not in the range"),
        ([*log, "--k", "0"], "--k"),
        ([*log, "--data", "ml-100k"], "not both"),
        ([], "name a file of events"),
        (["--data", "ml-100k", "--items", "x"], "its own items"),
    ):
        result = evaluate(*arguments)
        assert (result.exit_code, words in result.stderr) == (2, True), result.output


def test_a_full_disk_ends_with_a_sentence(log: list[str]) -> None:
    result = evaluate(*log, "--lists", "/dev/full")
    assert result.exit_code == 2
    assert "/dev/full cannot be written (No space left on device)" in result.stderr


@pytest.mark.slow
def test_events_are_read_from_standard_input_too(tmp_path: Path) -> None:
    text = gzip.compress(Path(write(tmp_path / "events.jsonl", shop(60))).read_bytes())
    command = [sys.executable, "-m", "afresh.deploy.cli", "evaluate", "--events", "-", "--from", "0"]
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY / ".src")}
    done = subprocess.run(
        [*command, "--json", "figures.json"], input=text, env=variables, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert figures(tmp_path / "figures.json")["protocol"]["evaluated"] == 60


def test_without_text_the_items_are_still_known(log: list[str], tmp_path: Path) -> None:
    assert evaluate(*log, "--no-text", "--json", "figures.json").exit_code == 0
    made = figures(tmp_path / "figures.json")
    assert made["input"]["items_announced"] == 40
    assert made["rankers"]["afresh"]["variety"]["diversity"] is None


def test_lists_are_made_with_the_vectors_that_items_bring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = [[float(number % 4 == group) for group in range(4)] for number in range(40)]
    items = [item | {"vectors": {"group": group}} for item, group in zip(catalogue(), groups, strict=True)]
    log = [
        "--events",
        write(tmp_path / "e", shop(150)),
        "--items",
        write(tmp_path / "i", items),
        "--from",
        "0",
    ]
    found = {}
    for declared in ("{}", '{"group": 4}'):
        monkeypatch.setenv("AFRESH_ITEM_VECTORS", declared)
        assert evaluate(*log, "--no-text", "--json", "figures.json").exit_code == 0
        found[declared] = figures(tmp_path / "figures.json")["rankers"]["afresh"]["all"]["ndcg"]["mean"]
    assert found['{"group": 4}'] > found["{}"]
