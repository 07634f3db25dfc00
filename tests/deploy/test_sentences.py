"""Every error that has a sentence ends every command with it, and with status 2 or 75."""

from __future__ import annotations

import ast
import errno
import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import kafka.errors
import pytest
import redis.exceptions
import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from typer.testing import CliRunner

import afresh
from afresh.deploy import errors
from afresh.deploy.cli import app
from afresh.deploy.servers.kafka import REPOSITORY
from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings

SIGNALS = {
    "afresh.deploy.demo.workers.WorkerDied": "the demo shows the log as it is, and exits with status 1",
    "afresh.models.encoder.packages.NotInstalled": "the caller turns it into a sentence",
    "afresh.streams.checks.RefusedError": "the record goes to the dead letters",
    "afresh.streams.kafka.sender.FencedError": "the writer drops the run, or claims again",
    "afresh.streams.runs.run.RunDroppedError": "the partition's new owner reads the run again",
}
"""Errors of ours that no person sees, and how they are handled."""

LET_THROUGH = {"BrokenPipeError"}
"""Errors that ``explain`` names only to let them through: a closed pipe ends the command quietly."""


def refused_settings() -> ValidationError:
    with pytest.raises(ValidationError) as refused:
        Settings(_env_file=None, partitions=0)
    return refused.value


FOREIGN: dict[str, list[Exception]] = {
    "ValidationError": [refused_settings()],
    "SettingsError": [SettingsError("error parsing value for field 'leave_out'")],
    "KafkaError": [kafka.errors.KafkaConnectionError("refused"), kafka.errors.KafkaTimeoutError()],
    "RedisError": [redis.exceptions.ConnectionError("refused"), redis.exceptions.RedisError()],
    "UnicodeDecodeError": [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")],
    "OSError": [
        FileNotFoundError(errno.ENOENT, "No such file or directory", "f"),
        OSError("no"),
        TimeoutError(),
    ],
}
"""Examples of each foreign error class that ``deploy/errors.py`` explains."""

PASSING = (kafka.errors.RetriableError, redis.exceptions.ConnectionError, TimeoutError)
"""Foreign errors among the examples that may pass by themselves."""


def modules() -> Iterator[str]:
    for found in pkgutil.walk_packages(afresh.__path__, "afresh."):
        yield found.name


def error_classes() -> list[type[BaseException]]:
    """Find all error classes that our packages define."""
    return sorted(
        {
            each
            for name in modules()
            for each in vars(import_module(name)).values()
            if inspect.isclass(each) and issubclass(each, BaseException) and each.__module__ == name
        },
        key=name_of,
    )


def name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def ours() -> list[type[BaseException]]:
    return [each for each in error_classes() if issubclass(each, AfreshError)]


def commands(command: Any, name: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command of the program, with the words that a person types for it."""
    # No isinstance: from one version of Typer to the next, its command classes come from another library.
    parts = getattr(command, "commands", None)
    if parts is None:
        yield name, command
    else:
        for word, each in parts.items():
            yield from commands(each, (*name, word))


COMMANDS = dict(commands(typer.main.get_command(app)))

ALL_PASS = (
    "afresh.deploy.cli._settings",
    "afresh.deploy.demo.session.run",
    "afresh.deploy.evaluate.session.run",
)
"""Every command first calls one of these functions."""

NEEDED: dict[tuple[str, ...], list[str]] = {
    ("evaluate",): ["--events", "f"],
    ("embeddings", "refresh"): ["--encoder", "f"],
}
"""Required options of a command."""


def arguments(name: tuple[str, ...]) -> list[str]:
    required = [each for each in COMMANDS[name].params if each.required]
    needed = [each for each in required if each.param_type_name == "argument"]
    assert len(required) == len(needed) or name in NEEDED
    return [*name, *("word" for _ in needed), *NEEDED.get(name, [])]


def test_every_error_of_ours_is_a_sentence_or_is_listed_with_its_handling() -> None:
    others = {name_of(each) for each in error_classes()} - {name_of(each) for each in ours()}
    assert others == set(SIGNALS), "derive it from AfreshError, or say here how it is handled"


def test_every_error_of_ours_has_a_name_in_its_module() -> None:
    """The test above would miss a class that is made in a function, or deleted again."""
    names = {name_of(each) for each in error_classes()}

    def derived(kind: Any) -> Iterator[Any]:
        for each in type.__subclasses__(kind):
            yield each
            yield from derived(each)

    found = {name_of(each) for each in derived(BaseException) if each.__module__.startswith("afresh.")}
    assert found <= names


def test_unnamed_errors_are_raised_only_where_they_become_sentences() -> None:
    """pydantic turns the ValueErrors of settings into sentences; ``mendable`` and ``known_layout`` those of models."""
    places = {
        str(path.relative_to(REPOSITORY))
        for package in ("state", "streams", "deploy")
        for path in (REPOSITORY / package).rglob("*.py")
        if raises_unnamed(path)
    }
    assert places == {"streams/settings.py", "streams/redis_url.py"}


def raises_unnamed(path: Path) -> bool:
    return any(
        isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and node.exc.func.id in {"Exception", "RuntimeError", "ValueError"}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


def test_every_class_that_explain_names_has_an_example() -> None:
    tree = ast.parse(inspect.getsource(errors.explain))
    told = {ast.unparse(node.cls) for node in ast.walk(tree) if isinstance(node, ast.MatchClass)}
    assert told == {"AfreshError", *FOREIGN, *LET_THROUGH}


@pytest.mark.parametrize("name", COMMANDS, ids="-".join)
def test_an_error_that_a_person_can_fix_ends_every_command_with_a_sentence(
    name: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    raised = [kind("fix it") for kind in ours()] + [each for some in FOREIGN.values() for each in some]
    for error in raised:

        def fails(*_: object, error: BaseException = error, **__: object) -> None:
            raise error

        for place in ALL_PASS:
            monkeypatch.setattr(place, fails)
        done = CliRunner().invoke(app, arguments(name))
        usual = 75 if isinstance(error, PASSING) else 2
        assert done.exit_code == getattr(error, "status", usual), error
        assert done.stderr.startswith("afresh: "), error
        assert done.stderr.removeprefix("afresh: ").strip(), error
        assert done.stderr.count("\n") == 1, error
        assert done.stdout == "", error
