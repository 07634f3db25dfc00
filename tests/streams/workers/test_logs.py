"""The log of a process: lines of text or JSON, and fields beside the sentences."""

import ast
import io
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from afresh.deploy.servers.kafka import REPOSITORY
from afresh.streams.kafka.course import Course
from afresh.streams.settings import Settings
from afresh.streams.workers import logs
from afresh.streams.workers.logs import FIELDS, NOISY_LOGGERS, JsonLines, set_up

METHODS = {"debug", "info", "warning", "error", "exception", "log"}
PLACE = re.compile(r"%s-%d|\b(partition|offset|topic)\b")


@contextmanager
def logged(monkeypatch: pytest.MonkeyPatch, **chosen: Any) -> Iterator[io.StringIO]:
    """Log as a fresh process does; yield what goes to stderr."""
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in (*NOISY_LOGGERS, "")}
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr("sys.stderr", found := io.StringIO())
    try:
        set_up(Settings(_env_file=None, **chosen))
        yield found
    finally:
        monkeypatch.undo()
        logging.captureWarnings(False)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_line_of_json_has_the_sentence_its_time_in_utc_and_the_fields_beside_it() -> None:
    record = logging.LogRecord("afresh.x", logging.INFO, "", 0, "run of %s-%d", ("t", 3), None)
    record.created, record.msecs = 1_796_010_612.680, 680.0
    record.topic, record.partition = "t é", 3
    assert JsonLines().format(record) == (
        '{"time": "2026-11-30T03:50:12.680Z", "level": "INFO", "logger": "afresh.x", "message": "run of t-3", '
        '"topic": "t é", "partition": 3}'
    )


def test_a_traceback_is_one_field_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with logged(monkeypatch, log_format="json") as written:
        try:
            os.environ["GONE"]
        except KeyError:
            logging.getLogger("afresh.x").exception("It cannot go on")
    (line,) = lines(written)
    assert line["message"] == "It cannot go on"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("KeyError: 'GONE'")


def test_the_fields_of_a_line_are_those_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with logged(monkeypatch, log_format="json") as written:
        Course().recovered(7, 0.5)
    (line,) = lines(written)
    assert line.keys() - {"time", "level", "logger", "message"} == {"records", "seconds"}


def test_text_is_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with logged(monkeypatch) as written:
        Course().recovered(7, 0.5)
    said = written.getvalue()
    assert re.fullmatch(r"[-\d]{10} [:\d]{8},\d{3} INFO afresh\.streams\.kafka\.course: Recovered .*\n", said)


def test_warnings_of_python_are_lines_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings(), logged(monkeypatch, log_format="json") as written:
        warnings.simplefilter("always")
        warnings.warn("old\nstyle", UserWarning, stacklevel=1)
    (line,) = lines(written)
    assert (line["level"], line["logger"]) == ("INFO", "py.warnings")
    assert "UserWarning: old" in line["message"]


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_what_libraries_tell_of_themselves_is_for_debugging(
    monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    # This file is outside of our own code, as a library is.
    with logged(monkeypatch, log_level=level) as written:
        logging.getLogger("faust.worker").info("Starting...")
        logging.getLogger("aiokafka.conn").info("Starting...")
    assert written.getvalue().count("Starting...") == (level == "DEBUG")


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield place and call of everything that the processes log."""
    for path in sorted(path for part in ("streams", "state") for path in (REPOSITORY / part).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="logger"), attr=name)) if name in METHODS:
                    yield f"{path.relative_to(REPOSITORY)}:{node.lineno}", node


def given(call: ast.Call) -> ast.expr | None:
    return next((each.value for each in call.keywords if each.arg == "extra"), None)


def test_a_line_that_names_a_topic_a_partition_or_an_offset_has_fields_too() -> None:
    found = [place for place, call in calls() if PLACE.search(ast.unparse(call.args[0])) and not given(call)]
    assert found == [], "write extra={...}, see streams/workers/logs.py FIELDS"


def test_every_field_that_a_line_is_given_has_a_meaning() -> None:
    names = {
        str(key.value)
        for _, call in calls()
        for node in ast.walk(given(call) or ast.Constant(None))
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    assert {"topic", "partition"} < names <= FIELDS.keys()


def test_operating_names_every_field() -> None:
    page = (REPOSITORY / "OPERATING.md").read_text(encoding="utf-8")
    for name, meaning in FIELDS.items():
        assert f"| `{name}` | {meaning} |" in page
    for name in logs.JSON_NAMES.values():
        assert f"`{name}`" in page
