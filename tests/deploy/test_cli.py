import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaConsumer, TopicPartition
from redis import Redis
from typer.testing import CliRunner, Result

from afresh.deploy.cli import app
from afresh.deploy.servers.kafka import REPOSITORY
from afresh.state.lists import (
    ListItem,
    PopularItem,
    PopularList,
    UserList,
    popular_key,
    recommendations_key,
)
from afresh.streams.kafka.admin import create_topics
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics

COMMANDS: Sequence[Sequence[str]] = (
    ("demo",),
    ("worker",),
    ("embed-worker",),
    ("settings",),
    ("topics", "create"),
    ("topics", "check"),
    ("replay",),
    ("items",),
    ("recommend",),
    ("link",),
    ("unlink",),
    ("who",),
    ("top",),
    ("evaluate",),
    ("ledger",),
    ("embeddings", "refresh"),
    ("embeddings", "use"),
    ("embeddings", "status"),
    ("embeddings", "vector"),
)
EVENT = {
    "id": "e1",
    "type": "view",
    "time": 1,
    "user": "ann",
    "item": "film-1",
    "platform": "web",
    "domain": "films",
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where there is no ``.env``."""
    monkeypatch.chdir(tmp_path)


def variables(settings: Settings) -> dict[str, str]:
    return {
        "AFRESH_KAFKA": settings.kafka,
        "AFRESH_REDIS": settings.redis.get_secret_value(),
        "AFRESH_NAMESPACE": settings.namespace,
        "AFRESH_PARTITIONS": str(settings.partitions),
        "AFRESH_START_TIMEOUT_SECONDS": "20",
    }


def afresh(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=environment)


def process(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    """Start the command as a person does."""
    return subprocess.Popen(
        [sys.executable, "-m", "afresh.deploy.cli", *arguments],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / ".src")} | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_setting_that_is_allowed_but_dangerous_gives_a_warning_on_stderr() -> None:
    login = {"AFRESH_KAFKA_SASL": "PLAIN", "AFRESH_KAFKA_USER": "ann", "AFRESH_KAFKA_PASSWORD": "hunter2"}
    done = afresh("settings", **login)
    assert done.exit_code == 0
    assert done.stderr.startswith("afresh: warning: AFRESH_KAFKA_SASL=PLAIN sends the password in the clear")
    assert "hunter2" not in done.output


def wait_for_an_event(settings: Settings) -> None:
    consumer = KafkaConsumer(bootstrap_servers=settings.brokers, auto_offset_reset="earliest")
    topic = Topics(settings).events
    consumer.assign([TopicPartition(topic.name, number) for number in range(settings.partitions)])
    assert consumer.poll(timeout_ms=30_000)
    consumer.close()


@pytest.fixture
def ready(settings: Settings) -> Settings:
    """A deployment with its topics."""
    create_topics(settings)
    return settings


@pytest.fixture
def listed(settings: Settings) -> Iterator[Settings]:
    """A deployment whose Redis holds a list."""
    own = UserList(1, 1, "now", "web:ann", "e1", "m", [ListItem("film-1", 1.0, {"text": 1.0})])
    popular = PopularList(0, 0, "now", "films", [PopularItem("film-1", 1.0)])
    with Redis.from_url(settings.redis.get_secret_value()) as redis:
        redis.set(recommendations_key(settings.namespace, own.user), msgspec.json.encode(own))
        redis.set(popular_key(settings.namespace, popular.domain), msgspec.json.encode(popular))
        yield settings


@pytest.mark.parametrize("command", COMMANDS, ids="-".join)
def test_every_command_has_help_with_an_example(command: Sequence[str]) -> None:
    result = afresh(*command, "--help", COLUMNS="200")
    assert result.exit_code == 0
    assert re.search(rf"Example: .*afresh {' '.join(command)}", result.stdout)


def test_help_does_not_wait_for_torch_or_faust() -> None:
    code = (
        "import sys, afresh.deploy.cli; print({'torch', 'faust', 'transformers', 'river'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, check=True)
    assert done.stdout == b"set()\n"


def test_settings_are_shown_with_secrets_masked() -> None:
    result = afresh("settings", AFRESH_REDIS="redis://:s3cret@redis:6379/0", AFRESH_LIST_SIZE="7")
    assert result.exit_code == 0
    assert "s3cret" not in result.stdout
    assert "redis://***@redis:6379/0" in result.stdout


def test_the_reference_page_needs_no_valid_settings() -> None:
    result = afresh("settings", "--markdown", AFRESH_PARTITIONS="none")
    assert result.exit_code == 0
    assert "| `AFRESH_PARTITIONS` | `4` |" in result.stdout


def test_a_setting_that_does_not_fit_is_named_in_one_sentence() -> None:
    result = afresh("settings", AFRESH_PARTITIONS="none")
    assert result.exit_code == 2
    assert result.stderr.startswith("afresh: AFRESH_PARTITIONS: ")
    assert result.stderr.count("\n") == 1


def test_create_makes_all_topics_and_then_finds_them_right(settings: Settings) -> None:
    result = afresh("topics", "create", **variables(settings))
    names = [topic.name for topic in Topics(settings).all()]
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [f"created {name}" for name in names] + [
        f"all {len(names)} topics are right"
    ]


def test_check_names_every_difference_and_exits_1(ready: Settings) -> None:
    result = afresh("topics", "check", **variables(ready) | {"AFRESH_PARTITIONS": "3"})
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{topic.name} has 2 partitions instead of 3" for topic in Topics(ready).all()
    ]


def test_check_says_how_many_topics_are_right(ready: Settings) -> None:
    result = afresh("topics", "check", **variables(ready))
    assert (result.exit_code, result.stdout) == (0, f"all {len(Topics(ready).all())} topics are right\n")


def test_create_reports_differences_that_it_cannot_fix(ready: Settings) -> None:
    result = afresh("topics", "create", **variables(ready) | {"AFRESH_PARTITIONS": "3"})
    assert result.exit_code == 1
    assert "has 2 partitions instead of 3" in result.stdout


def test_replay_counts_sent_and_malformed_lines(ready: Settings, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(json.dumps(EVENT) + "\nnot JSON\n")
    result = afresh("replay", "events.jsonl", "--speed", "1000", **variables(ready))
    assert result.exit_code == 0
    assert re.fullmatch(r"sent 2 events in [\d.]+ s \([\d,]+/s\); 1 malformed\n", result.stdout)


def test_replay_reads_standard_input_and_sends_only_a_range_of_time(ready: Settings) -> None:
    lines = b"".join(
        json.dumps(EVENT | {"id": f"e{time}", "time": time}).encode() + b"\n" for time in range(10)
    )
    command = ("replay", "-", "--from", "1970-01-01T00:00:00.003Z", "--to", "6")
    out, err = process(*command, **variables(ready)).communicate(lines, timeout=60)
    assert (out.startswith(b"sent 3 events"), err) == (True, b"")
    assert b"7 left out" in out


def test_replay_exits_with_1_if_an_event_is_too_large_for_kafka(ready: Settings, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(json.dumps(EVENT | {"session": "x" * 2_000_000}))
    result = afresh("replay", "events.jsonl", **variables(ready))
    assert result.exit_code == 1
    assert "1 too large for Kafka" in result.stdout


def test_items_are_sent_and_a_malformed_line_makes_the_exit_status_1(ready: Settings, tmp_path: Path) -> None:
    good = json.dumps({"id": "film-1", "domain": "films"})
    (tmp_path / "items.jsonl").write_text(good + "\n")
    assert afresh("items", "items.jsonl", **variables(ready)).exit_code == 0
    (tmp_path / "items.jsonl").write_text(good + "\nno item\n")
    result = afresh("items", "items.jsonl", **variables(ready))
    assert result.exit_code == 1
    assert result.stdout.startswith("sent 1 items")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("replay", "none.jsonl"), "none.jsonl: No such file or directory"),
        (("replay", "."), ".: Is a directory"),
        (("items", "none.jsonl"), "none.jsonl: No such file or directory"),
        (("replay", "none.jsonl", "--from", "yesterday"), "'yesterday' is no time"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_status_2(arguments: Sequence[str], words: str) -> None:
    result = afresh(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan"])
def test_a_speed_that_is_not_a_positive_number_is_refused(speed: str) -> None:
    result = afresh("replay", "none.jsonl", "--speed", speed)
    assert result.exit_code == 2
    assert "is not a number above 0" in result.stderr


def test_a_list_is_printed_as_a_table(listed: Settings) -> None:
    result = afresh("recommend", "web:ann", **variables(listed))
    assert result.exit_code == 0
    assert "film-1" in result.stdout


def test_a_list_is_printed_as_the_json_that_applications_read(listed: Settings) -> None:
    result = afresh("recommend", "web:ann", "--json", **variables(listed))
    assert json.loads(result.stdout)["user"] == "web:ann"


def test_recommend_shows_popular_items_for_a_user_without_a_list_and_says_so(listed: Settings) -> None:
    result = afresh("recommend", "web:bob", "--domain", "films", "--json", **variables(listed))
    assert result.exit_code == 0
    assert json.loads(result.stdout)["items"][0]["id"] == "film-1"
    assert "no list for 'web:bob' yet; this is what is popular in 'films'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("topics", "check"), b"Kafka at 127.0.0.1:1 did not answer"),
        (("topics", "create"), b"Kafka at 127.0.0.1:1 did not answer"),
        (("replay", "-"), b"Kafka at 127.0.0.1:1 did not answer"),
        (("recommend", "web:ann"), b"AFRESH_REDIS"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_an_unreachable_server_gives_one_sentence_and_no_traceback(
    arguments: Sequence[str], words: bytes
) -> None:
    addresses = {"AFRESH_KAFKA": "127.0.0.1:1", "AFRESH_REDIS": "redis://127.0.0.1:1"}
    running = process(*arguments, **addresses, AFRESH_START_TIMEOUT_SECONDS="0.3")
    out, err = running.communicate(b"{}\n", timeout=60)
    assert (running.returncode, out) == (75, b"")
    assert err.startswith(b"afresh: ")
    assert words in err
    assert err.count(b"\n") == 1


def test_a_closed_pipe_ends_the_command_quietly() -> None:
    running = process("settings", "--markdown")
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    assert running.stderr.read() == b""
    running.wait(60)


@pytest.mark.parametrize("speed", ["max", "1e-300"])
def test_ctrl_c_ends_a_replay_quietly_at_any_speed(ready: Settings, speed: str) -> None:
    running = process("replay", "-", "--speed", speed, **variables(ready))
    assert running.stdin is not None
    assert running.stderr is not None
    running.stdin.write(json.dumps(EVENT).encode() + b"\n")
    running.stdin.flush()
    wait_for_an_event(ready)
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 130
    assert running.stderr.read() == b""
