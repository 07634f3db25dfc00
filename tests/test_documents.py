"""What the documents say is there: commands, files, names in them, settings, metrics, topics, links."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
from prometheus_client.metrics import MetricWrapperBase
from typer.testing import CliRunner

from afresh.deploy.cli import app
from afresh.deploy.datasets.sets import SETS
from afresh.deploy.settings_table import variable
from afresh.models.scorers import SCORERS
from afresh.state.lists import UserList, decode_user_list
from afresh.streams import checks, metrics
from afresh.streams.settings import Settings
from afresh.streams.stages import STAGES
from afresh.streams.topics import DAY_MS, Topics
from tests.documents import DOCUMENTS, ROOT, blocks, headings, read, without_blocks

RUN = "tests/test_readme.py::test_make_run_plays_real_events_and_exits_with_0"
CI = "tests/test_readme.py::test_make_test_is_what_ci_runs"
START = "tests/test_readme.py::test_the_steps_to_production_give_a_list"
INTERNALS = "tests/test_documents.py::test_what_is_done_to_faust_can_be_printed"
SCORER = "tests/test_contributing.py::test_a_new_scorer_keeps_to_the_contract_and_stands_in_parts"
EVALUATE = "tests/test_contributing.py::test_lists_with_a_new_scorer_can_be_evaluated_as_the_recipe_says"
STAGE = "tests/test_contributing.py::test_a_new_stage_is_a_row_that_a_worker_runs"
ROW = "tests/test_contributing.py::test_a_row_with_one_more_field_is_written_and_rows_before_it_are_read"
COMMAND = "tests/test_contributing.py::test_a_new_command_has_its_help_and_does_what_it_says"
SETTING = "tests/test_contributing.py::test_a_new_setting_is_shown_and_stands_in_the_example_file"
METRIC = "tests/test_contributing.py::test_a_new_metric_is_counted_and_keeps_to_the_rules"
INSTALL = "tests/test_readme.py::test_the_installation_finds_all_that_it_needs"
SETUP = "tests/test_readme.py::test_two_commands_set_up_a_checkout_and_run_unit_tests"
TRACES = "tests/kafka/test_traces.py::test_an_event_has_one_trace_from_ingest_to_redis_or_none"
ENCODERS = (
    "tests/kafka/test_embeddings.py::test_lists_change_over_to_another_encoder_and_back_whoever_is_killed"
)
QUESTIONS = "tests/kafka/test_questions.py::test_questions_are_answered_while_texts_of_items_wait"
TRY = "tests/test_documents.py::test_the_command_that_tries_a_change_takes_its_options"

TESTED = {
    ("README.md", "Two commands"): (RUN, CI),
    ("ARCHITECTURE.md", "Faust and aiokafka"): (INTERNALS,),
    ("OPERATING.md", "Install"): (INSTALL,),
    ("OPERATING.md", "Change the encoder"): (ENCODERS,),
    ("OPERATING.md", "Ask for a vector"): (QUESTIONS,),
    ("OPERATING.md", "Start"): (START,),
    ("OPERATING.md", "Traces"): (TRACES,),
    ("CONTRIBUTING.md", "Set up"): (SETUP,),
    ("CONTRIBUTING.md", "Add a scorer"): (SCORER, EVALUATE),
    ("CONTRIBUTING.md", "Add a stage with a table"): (STAGE,),
    ("CONTRIBUTING.md", "Change a stored row"): (ROW,),
    ("CONTRIBUTING.md", "Add a command"): (COMMAND,),
    ("CONTRIBUTING.md", "Add a setting"): (SETTING, SETTING),
    ("CONTRIBUTING.md", "Add a metric"): (METRIC,),
    ("CONTRIBUTING.md", "How a figure is measured"): (TRY,),
}
"""For each block of shell commands, in the order of its section, the test that runs it or what stands in it."""

TEXTS = {name: read(name) for name in (*DOCUMENTS, "CHANGELOG.md", "tests/benchmarks/results/speed.md")}
TEXT = "\n".join(TEXTS[name] for name in DOCUMENTS)

PATH = re.compile(
    r"^(?:models|state|streams|deploy|tests|\.src|\.ci)(?:/[\w.-]+)*/?$"
    r"|^[\w.-]+\.(?:md|toml|py|example)$|^Makefile$"
)
NEW = {"models/scorers/rising.py", "tests/models/scorers/test_rising.py", "streams/stages/tally.py"}
"""Files that recipes make."""

each_document = pytest.mark.parametrize("name", TEXTS)


def code_of(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`\n]+)`", without_blocks(text))


def test_every_block_of_commands_is_run_by_a_test() -> None:
    found: dict[tuple[str, str], int] = {}
    for name in DOCUMENTS:
        for block in blocks(TEXTS[name], "sh"):
            found[name, block.section] = found.get((name, block.section), 0) + 1
    assert found == {place: len(tests) for place, tests in TESTED.items()}


def test_the_tests_that_run_commands_are_there() -> None:
    for test in {test for tests in TESTED.values() for test in tests}:
        file, _, function = test.partition("::")
        assert f"def {function}(" in read(file), test


@each_document
def test_every_file_that_is_named_is_there(name: str) -> None:
    folder = (ROOT / name).parent
    for code in code_of(TEXTS[name]):
        path = code.partition("::")[0]
        if PATH.match(path) and path not in NEW:
            assert (ROOT / path).exists() or (folder / path).exists(), f"{name} names {path}"


def names_in(path: Path) -> set[str]:
    """Functions, classes, their functions, and values of a module."""
    found = set[str]()
    for each in ast.parse(path.read_text(encoding="utf-8")).body:
        match each:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name, body=body):
                inner = [one.name for one in body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
                found |= {name, *(f"{name}.{one}" for one in inner)}
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return found


@each_document
def test_every_name_that_follows_a_file_is_in_it(name: str) -> None:
    for path, inner in re.findall(r"`([\w/.-]+\.py)`\s`([\w.]+)`", without_blocks(TEXTS[name])):
        if path not in NEW:
            assert inner in names_in(ROOT / path), f"{name}: there is no {inner} in {path}"


def test_every_module_and_every_target_that_is_named_is_there() -> None:
    modules = set(re.findall(r"python -m ([\w.]+)", TEXT))
    assert modules
    assert all(find_spec(module) for module in modules)
    targets = set(re.findall(r"`make ([a-z-]+)", TEXT)) | set(re.findall(r"^ *make ([a-z-]+)", TEXT, re.M))
    assert {"run", "test", "unit", "lint", "format", "bench", "bench-recovery"} <= targets
    assert targets <= set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    paths = [path for arguments in re.findall(r'ARGS="(tests/[^"]*)"', TEXT) for path in arguments.split()]
    assert paths
    assert all((ROOT / path).exists() for path in paths), paths


def test_every_command_that_is_named_is_there_and_every_command_is_named() -> None:
    there = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    new = {"schema"}  # what a recipe makes
    named = set(re.findall(r"(?:`|^ *|; do |until )afresh ([a-z][a-z-]+)", TEXT, re.MULTILINE))
    assert named - new <= there
    assert there <= named | {"demo"}


def test_every_setting_and_metric_that_is_named_is_there() -> None:
    settings = {variable(name) for name in Settings.model_fields}
    assert set(re.findall(r"AFRESH_[A-Z_]*[A-Z]", TEXT)) <= settings | {"AFRESH_POPULAR_SIZE"}
    ours = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
    exported = {name for each in ours for name in (each._name, f"{each._name}_total")}
    named = {each.partition("{")[0] for each in code_of(TEXT) if re.match(r"afresh_\w", each)}
    assert named
    assert named <= exported


def anchors(name: str) -> set[str]:
    """Anchors that GitHub makes of headings."""
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings(read(name))}


@each_document
def test_every_link_leads_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", without_blocks(TEXTS[name]))
    for link in links:
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), f"{name} links to {link}"
        if anchor:
            assert anchor in anchors(target.relative_to(ROOT).as_posix()), f"{name} links to {link}"


def table(name: str, heading: str) -> list[list[str]]:
    """Rows of the tables of a section, cell by cell."""
    _, _, section = TEXTS[name].partition(f"\n## {heading}\n")
    rows = [
        line
        for line in section.partition("\n## ")[0].splitlines()
        if line.startswith("|") and "---" not in line
    ]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def test_the_table_of_topics_names_all_that_there_are_and_how_long_they_keep_what() -> None:
    topics = Topics(Settings(_env_file=None, retention_days=3)).all()
    kept = {None: "compacted", str(3 * DAY_MS): "days", str(DAY_MS): "a day"}
    expected = {each.name.partition(".")[2]: kept[each.config.get("retention.ms")] for each in topics}
    assert {row[0].strip("`"): row[-1] for row in table("ARCHITECTURE.md", "Topics")[1:]} == expected


def test_the_tables_are_those_of_the_stages_and_so_are_their_writers() -> None:
    rows, topics = table("ARCHITECTURE.md", "Tables and rows")[1:], Topics(Settings(_env_file=None))
    written = {row[0].strip("`"): row[3] for row in rows if row[0].startswith("`")}
    assert written == {each.table: each.name for each in STAGES}
    by_topic = {row[0].strip("`"): row[3:5] for row in table("ARCHITECTURE.md", "Topics")[1:]}
    for stage in STAGES:
        assert by_topic[f"{stage.table}.changelog"][0] == stage.name
        sources = [topics.named(source).name.partition(".")[2] for source in stage.sources]
        assert all(by_topic[source][1] == stage.name for source in sources)


def test_the_table_of_parts_names_every_scorer_and_its_file() -> None:
    rows = table("ARCHITECTURE.md", "Where the item of a list came from")
    families = [row for row in rows if "models/scorers/" in row[1] and row[1].endswith(".py`")]
    named = {row[1].strip("`"): re.findall(r"`(\w+)`", row[0]) for row in families if len(row) == 3}
    named.pop("models/scorers/__init__.py", None)
    there = {
        f"{each.score.__module__.removeprefix('afresh.').replace('.', '/')}.py": list(each.priors)
        for each in SCORERS
    }
    assert named == there


def test_the_folders_of_streams_use_only_those_named_before_them() -> None:
    (order,) = re.findall(r"what flows +(.+?);", TEXTS["ARCHITECTURE.md"])
    folders = [each.strip() for each in order.split("──►")]
    assert sorted(folders) == sorted(
        each.name for each in (ROOT / "streams").iterdir() if (each / "__init__.py").exists()
    )
    for place, folder in enumerate(folders):
        above = [f"afresh.streams.{name}" for name in folders[:place]]
        for path in (ROOT / "streams" / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert not [
                name for name in above if re.search(rf"^(from|import) {name}\b", text, re.MULTILINE)
            ], path


def test_the_examples_of_the_readme_are_what_is_taken_in_and_what_is_read() -> None:
    event, item, made = [block.text.encode() for block in blocks(TEXTS["README.md"], "json")]
    settings = Settings(_env_file=None)
    now_ms = 1_800_000_000_000
    assert checks.check_event(event, now_ms, settings).user == "ann"
    assert checks.check_item(item, settings).id == "alien"
    found = decode_user_list(made, "web:ann")
    assert isinstance(found, UserList)
    for each in found.items:
        assert each.score == pytest.approx(sum(each.parts.values()))
    (part,) = blocks(TEXTS["ARCHITECTURE.md"], "json")
    assert json.loads(part.text) == json.loads(made)["items"][0]


def test_the_command_that_tries_a_change_takes_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = [
        each for each in blocks(TEXTS["CONTRIBUTING.md"], "sh") if each.section == "How a figure is measured"
    ]
    program, *arguments = block.text.split()
    assert program == "afresh"
    place = arguments.index("--data")
    assert arguments[place + 1] in SETS
    arguments[place : place + 2] = ["--events", str(ROOT / "deploy/examples/events.jsonl")]
    monkeypatch.setenv("AFRESH_ENCODER", "none")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output


def test_what_is_done_to_faust_can_be_printed() -> None:
    (block,) = blocks(TEXTS["ARCHITECTURE.md"], "sh")
    program, *arguments = block.text.split()
    assert program == "python"
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "streams/kafka/transport.py" in done.stdout
