"""The recipes of CONTRIBUTING.md are true: each is followed to the letter, in a copy of the project.

``make unit`` follows the recipe of a scorer alone. The others start Python some times each, and are marked ``slow``.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from afresh.models.scorers import NAMES
from tests.documents import ROOT, blocks, read
from tests.sources import copy_sources

CONTRIBUTING = read("CONTRIBUTING.md")

SCORER, STAGE, ROW = "Add a scorer", "Add a stage with a table", "Change a stored row"
COMMAND, SETTING, METRIC = "Add a command", "Add a setting", "Add a metric"

ONE_OF_EACH = "topic or interaction_names or one_long_run"
"""Tests of the topics, and two that replay a log through all stages."""

PARTS = """
from afresh.models import scorers
from afresh.models.fusion.weights import Weights
from afresh.streams.serving.lister import Lister, Recipient
from tests.streams.making import catalogue_of, user_row

catalogue = catalogue_of("i1", "i2", "i3")
catalogue.derive()
((made, _),) = Lister(catalogue, 2).make([Recipient("web:ann", 0, user_row("i1"), 5)], Weights(scorers.prior()))
print(len(made.items), *scorers.NAMES)
"""
"""Makes a list, and prints its length and the names that stand in ``parts``."""


class Copy:
    """A copy of the project in which a recipe was followed.

    Attributes
    ----------
    folder
        Where it is.
    changed
        Files that the recipe made or changed.
    """

    def __init__(self, folder: Path, recipe: str) -> None:
        self.folder = copy_sources(folder)
        self.changed: list[str] = []
        for language, follow in (("python", self._make), ("diff", self._edit)):
            for block in blocks(CONTRIBUTING, language):
                if block.section == recipe:
                    follow(block.text)
        assert self.changed, f"{recipe} has no block of code"

    def _make(self, text: str) -> None:
        first, _, code = text.partition("\n")
        name = first.removeprefix("# ")
        assert not (self.folder / name).exists()
        (self.folder / name).write_text(code)
        self.changed.append(name)

    def _edit(self, text: str) -> None:
        for name, hunks in edits(text):
            path = self.folder / name
            code = path.read_text()
            for before, after in hunks:
                assert code.count("\n" + before) == 1, f"{name} has not once:\n{before}"
                code = code.replace("\n" + before, "\n" + after)
            path.write_text(code)
            self.changed.append(name)

    def run(self, *command: str) -> str:
        """Run Python in the copy, expect that all goes well, and return what it prints."""
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=self._variables(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def _variables(self) -> dict[str, str]:
        outer = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        path = os.pathsep.join([str(self.folder / ".src"), str(self.folder)])
        return outer | {"PYTHONPATH": path, "AFRESH_ENCODER": "none"}

    def pytest(self, *arguments: str) -> list[str]:
        """Run tests in the copy; return those that passed."""
        said = self.run("-m", "pytest", "-m", "not servers", "-rp", *arguments)
        return re.findall(r"^PASSED (\S+)", said, re.MULTILINE)

    def lint(self) -> None:
        """Check what was made or changed by the rules of the project."""
        names = [name for name in self.changed if name.endswith(".py")]
        self.run("-m", "ruff", "check", "--no-cache", *names)
        self.run("-m", "ruff", "format", "--no-cache", "--check", *names)


def edits(text: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Files of a diff, and what each has before and after, place by place."""
    for part in re.split(r"^\+\+\+ ", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        yield name, [sides(hunk) for hunk in re.split(r"^@@\n", body, flags=re.MULTILINE)]


def sides(hunk: str) -> tuple[str, str]:
    """What stands in a place before and after."""
    lines = hunk.splitlines(keepends=True)
    before, after = ("".join(line[1:] for line in lines if line[0] in f" {sign}") for sign in "-+")
    assert before, f"it is not said where this goes:\n{hunk}"
    return before, after


def follow(tmp_path: Path, recipe: str) -> Copy:
    copy = Copy(tmp_path / "a copy", recipe)
    copy.lint()
    return copy


@pytest.fixture(scope="module")
def with_a_scorer(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy with one more scorer, whose lists are compiled once for all tests."""
    return follow(tmp_path_factory.mktemp("scorer"), SCORER)


def test_a_new_scorer_keeps_to_the_contract_and_stands_in_parts(with_a_scorer: Copy) -> None:
    copy = with_a_scorer
    # Of the contract's tests only those of the new scorer: the others are what they are without it.
    passed = copy.pytest("tests/models/scorers", "tests/state/judged", "-k", "rising or not contract")
    contract = "tests/models/scorers/test_contract.py::test_every_scorer_keeps_to_the_contract"
    assert {f"{contract}[rising]", f"{contract}_in_any_case[rising]"} <= set(passed)
    assert len(passed) > 40
    assert copy.run("-c", PARTS).split() == ["2", *NAMES, "rising"]


@pytest.mark.slow
def test_lists_with_a_new_scorer_can_be_evaluated_as_the_recipe_says(with_a_scorer: Copy) -> None:
    copy = with_a_scorer
    (command,) = [
        block.text
        for block in blocks(CONTRIBUTING, "sh")
        if block.section == SCORER and "evaluate" in block.text
    ]
    program, *arguments = command.split()
    assert program == "afresh"
    copy.run("-m", "afresh.deploy.cli", *arguments, "--json", "figures.json")
    figures = json.loads((copy.folder / "figures.json").read_text())
    assert figures["rankers"]["afresh"]["all"]["hr"]["mean"] >= 0
    assert copy.run("-c", "from afresh.models.scorers import NAMES; print(NAMES[-1])") == "rising\n"


def code_of(text: str, name: str) -> str | None:
    """Code of a class at the top of a module."""
    (found,) = [each for each in ast.parse(text).body if isinstance(each, ast.ClassDef) and each.name == name]
    return ast.get_source_segment(text, found)


def test_the_stage_of_the_recipe_is_the_toy_that_is_run_with_crashes() -> None:
    toy = read("tests/streams/stages/toy.py")
    (block,) = [each for each in blocks(CONTRIBUTING, "python") if each.section == STAGE]
    for name in ("Tally", "TallyPart"):
        assert code_of(block.text, name) == code_of(toy, name)
    for line in ('        self.tallies = self._changelog("tallies")\n', "TOY = StageSpec("):
        assert line in toy
    diffs = "".join(each.text for each in blocks(CONTRIBUTING, "diff") if each.section == STAGE)
    assert '+        self.tallies = self._changelog("tallies")\n' in diffs
    row = re.search(r"TOY = (StageSpec\(.+\))", toy)
    assert row
    assert f"+    {row[1]},\n" in diffs


@pytest.mark.slow
def test_a_new_stage_is_a_row_that_a_worker_runs(tmp_path: Path) -> None:
    copy = follow(tmp_path, STAGE)
    assert len(copy.pytest("tests/streams/stages/test_assembly.py", "-k", "every_stage_names")) == 1
    assert (
        len(copy.pytest("tests/streams/test_topics.py", "tests/replay/test_replay.py", "-k", ONE_OF_EACH)) > 3
    )
    agents = (
        "from afresh.streams.settings import Settings; from afresh.streams.workers.stream import Worker; "
        "print(*(name.rpartition('.')[2] for name in Worker(Settings(_env_file=None)).app.agents))"
    )
    assert "tally" in copy.run("-c", agents).split()


@pytest.mark.slow
def test_a_row_with_one_more_field_is_written_and_rows_before_it_are_read(tmp_path: Path) -> None:
    copy = follow(tmp_path, ROW)
    tests = ("state/test_versions.py", "state/rows/test_content.py", "streams/stages/test_content.py")
    assert len(copy.pytest(*(f"tests/{name}" for name in tests))) > 30


@pytest.mark.slow
def test_a_new_command_has_its_help_and_does_what_it_says(tmp_path: Path) -> None:
    copy = follow(tmp_path, COMMAND)
    schemas = json.loads(copy.run("-m", "afresh.deploy.cli", "schema"))
    assert schemas == json.loads(read("streams/schema.json"))
    assert len(copy.pytest("tests/deploy/test_cli.py", "-k", "every_command_has_help")) > 10


@pytest.mark.slow
def test_a_new_setting_is_shown_and_stands_in_the_example_file(tmp_path: Path) -> None:
    copy = follow(tmp_path, SETTING)
    (command,) = [
        each.text for each in blocks(CONTRIBUTING, "sh") if each.section == SETTING and ".env" in each.text
    ]
    (copy.folder / ".venv" / "bin").mkdir(parents=True)
    # No link: through one, Python would not find the packages of its environment.
    python = copy.folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    subprocess.run(["sh", "-c", command], cwd=copy.folder, env=copy._variables(), check=True)
    assert "AFRESH_POPULAR_SIZE=20" in (copy.folder / ".env.example").read_text()
    assert len(copy.pytest("tests/streams/test_settings.py", "tests/deploy/test_settings_table.py")) > 10
    assert "AFRESH_POPULAR_SIZE" in copy.run("-m", "afresh.deploy.cli", "settings")


@pytest.mark.slow
def test_a_new_metric_is_counted_and_keeps_to_the_rules(tmp_path: Path) -> None:
    copy = follow(tmp_path, METRIC)
    copy.run("-m", "afresh.deploy.monitoring")
    tests = (
        "tests/streams/test_metrics.py",
        "tests/streams/serving/test_recommend.py",
        "tests/deploy/monitoring",
    )
    assert len(copy.pytest(*tests)) > 100
    code = (
        "from afresh.streams import metrics; metrics.LISTED_ITEMS.inc(3); "
        "from prometheus_client import REGISTRY as r; print(r.get_sample_value('afresh_listed_items_total'))"
    )
    assert copy.run("-c", code) == "3.0\n"


def test_every_recipe_with_code_is_followed_here() -> None:
    followed = {SCORER, STAGE, ROW, COMMAND, SETTING, METRIC}
    with_code = {each.section for language in ("python", "diff") for each in blocks(CONTRIBUTING, language)}
    assert with_code == followed


def test_a_place_that_is_not_there_is_found_out(tmp_path: Path) -> None:
    text = "+++ a.py\n one\n-two\n+three\n@@\n+four\n five\n"
    assert list(edits(text)) == [("a.py", [("one\ntwo\n", "one\nthree\n"), ("five\n", "four\nfive\n")])]
    with pytest.raises(AssertionError, match="not said where"):
        sides("+four\n")


def test_the_copy_has_the_links_by_which_packages_are_imported(tmp_path: Path) -> None:
    copy = Copy(tmp_path / "copy", METRIC)
    where = copy.run("-c", "import afresh.models; print(afresh.models.__file__)").strip()
    assert Path(where).is_relative_to(copy.folder)
    assert not Path(where).is_relative_to(ROOT)
