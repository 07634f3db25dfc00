"""A genuine Kafka that checks rights: those of OPERATING.md suffice, and each that is missing is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from kafka.admin import ConfigResource, ConfigResourceType
from typer.testing import CliRunner

from afresh.deploy.cli import app
from afresh.deploy.demo.workers import environment, variables
from afresh.deploy.servers import Server
from afresh.deploy.servers.kafka import Installation
from afresh.deploy.servers.process import running
from afresh.streams.kafka.admin import check_topics, create_topics
from afresh.streams.messages import TextRequest
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics
from tests.kafka.acls import Granted, Guarded, constant, guarded_kafka, prefix_scheme
from tests.kafka.deployment import Deployment, ended, wait

WARNING = (
    "afresh: warning: AFRESH_KAFKA_SASL=PLAIN sends the password in the clear; "
    "set AFRESH_KAFKA_TLS=true, or use SCRAM"
)
"""The only thing that a command says of errors where there is none."""


@pytest.fixture(scope="module")
def guarded(
    kafka_installation: Installation, redis_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    with guarded_kafka(tmp_path_factory.mktemp("guarded"), redis_server) as made:
        yield made


def afresh(settings: Settings, *arguments: str) -> tuple[int, str]:
    """Run a command; return its exit status, and the last line that it says of errors."""
    done = CliRunner().invoke(app, list(arguments), env=variables(settings))
    return done.exit_code, done.stderr.splitlines()[-1]


def written(folder: Path, *records: dict[str, Any]) -> str:
    """Write records to a file, and return its path."""
    file = folder / f"{len(list(folder.iterdir()))}.jsonl"
    file.write_bytes(b"\n".join(msgspec.json.encode(record) for record in records))
    return str(file)


@pytest.fixture(scope="module")
def shared(guarded: Guarded, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Make the topics of a deployment, for tests that change nothing there."""
    settings = guarded.settings(tmp_path_factory.mktemp("shared"), partitions=1)
    create_topics(guarded.of_administrator(settings))
    return settings


def missing(settings: Settings, operation: str, kind: str, name: str) -> str:
    """Return what is said of a right to one resource."""
    user = f"User:{settings.kafka_user}"
    return (
        f"{user} may not {operation} {kind.replace('-', ' ')} {name}: grant it with kafka-acls.sh --bootstrap-server "
        f"{settings.kafka} --add --allow-principal {user} --operation {operation} --{kind} {name}"
    )


def test_the_rights_to_the_prefix_suffice_for_a_worker_and_every_tool_and_one_taken_away_ends_it(
    guarded: Guarded, tmp_path: Path
) -> None:
    settings = guarded.settings(tmp_path, list_refresh_seconds=1.0)
    create_topics(guarded.of_administrator(settings))
    guarded.grant(settings, prefix_scheme(settings))
    made = Deployment(settings, tmp_path)
    process = made.process()
    with made.running(process) as page:
        items = [{"id": name, "title": name, "domain": "films"} for name in ("a", "b")]
        event = made.next_event("ann", "a")
        right = (0, WARNING)
        status, warning = afresh(settings, "topics", "check")
        assert status == 0
        assert "the settings of the brokers were not looked at: User:" in warning
        assert warning.endswith(" --operation DescribeConfigs --cluster")
        assert afresh(settings, "items", written(tmp_path, *items)) == right
        assert afresh(settings, "replay", written(tmp_path, event)) == right
        wait(lambda: page.read().total("afresh_catalogue_items") == 2, "the items to be known")
        made.answer("ann", event["id"])
        for command in (("recommend", "web:ann"), ("status",), ("ledger", "--wait", "30"), ("rollback",)):
            assert afresh(settings, *command) == right, command
        group = settings.namespace
        guarded.deny(settings, Granted("GROUP", group, ("READ",), prefixed=False))
        assert ended(process) == (2, f"afresh: {missing(settings, 'Read', 'group', group)}")
    made.close()


def test_they_suffice_for_an_embed_worker_and_one_taken_away_ends_it(
    guarded: Guarded, tmp_path: Path
) -> None:
    settings = guarded.settings(tmp_path, encoder="minilm")
    create_topics(guarded.of_administrator(settings))
    guarded.grant(settings, prefix_scheme(settings))
    made = Deployment(settings, tmp_path)
    texts, process = made.topics.texts, made.process("embed-worker")
    with made.running(process):
        made.send(texts, "a", msgspec.msgpack.encode(TextRequest("a", 1, "a ship")))
        wait(lambda: made.records(made.topics.embeddings), "the embedding")
        guarded.deny(settings, Granted("TOPIC", texts.name, ("READ",), prefixed=False))
        assert ended(process) == (2, f"afresh: {missing(settings, 'Read', 'topic', texts.name)}")
    made.close()


@pytest.mark.parametrize(
    ("kept", "operation", "kind", "suffix"),
    [("GROUP", "Write", "transactional-id", "-0"), ("TRANSACTIONAL_ID", "Read", "group", "")],
)
def test_a_right_that_only_a_running_worker_finds_missing_ends_it(
    guarded: Guarded, shared: Settings, tmp_path: Path, kept: str, operation: str, kind: str, suffix: str
) -> None:
    rights = [each for each in prefix_scheme(shared) if each.kind in ("TOPIC", kept)]
    settings = guarded.user_of(shared, rights)
    made = Deployment(settings, tmp_path)
    process = made.process()
    with environment(made.variables(process)), running(process):
        status, sentence = ended(process)
    made.close()
    assert (status, sentence) == (
        2,
        f"afresh: {missing(settings, operation, kind, shared.namespace + suffix)}",
    )


class Case(NamedTuple):
    """A command, an operation that is missing, and the topic or kind that it is missing on."""

    command: Sequence[str]
    operation: str
    topic: str
    encoder: str = "none"


EVENT: dict[str, Any] = {
    "id": "e",
    "type": "view",
    "time": 1,
    "user": "a",
    "item": "b",
    "platform": "c",
    "domain": "d",
}
RECORDS: dict[str, list[dict[str, Any]]] = {
    "EVENT": [EVENT],
    "ITEM": [{"id": "b", "domain": "films", "title": "b"}],
}
"""What stands in a file, by the word for it in a command."""

CASES = [
    Case(("worker",), "Read", "interactions"),
    Case(("worker",), "Write", "examples"),
    Case(("worker",), "DescribeConfigs", "users"),
    Case(("embed-worker",), "Read", "texts", "minilm"),
    Case(("embed-worker",), "Write", "embeddings", "minilm"),
    Case(("embed-worker",), "Read", "encoders", "minilm"),
    Case(("embed-worker",), "Read", "questions", "minilm"),
    Case(("embeddings", "vector", "TEXT"), "Write", "questions"),
    Case(("embeddings", "status"), "Read", "content"),
    Case(("topics", "check"), "Describe", "events"),
    Case(("topics", "check"), "DescribeConfigs", "events"),
    Case(("replay", "EVENT"), "Write", "events"),
    Case(("items", "ITEM"), "Write", "items"),
    Case(("rollback",), "Write", "judged"),
    Case(("status",), "Read", "weights"),
    Case(("status",), "Read", "model"),
    Case(("ledger",), "Read", "received"),
]


def title(case: Case) -> str:
    return "-".join([*case.command, case.operation, case.topic])


@pytest.mark.parametrize("case", CASES, ids=title)
def test_a_right_to_a_topic_that_is_missing_is_named_before_anything_starts(
    shared: Settings, guarded: Guarded, tmp_path: Path, case: Case
) -> None:
    settings = guarded.user_of(shared, prefix_scheme(shared), encoder=case.encoder)
    name = Topics(settings).named(case.topic).name
    guarded.deny(settings, Granted("TOPIC", name, (constant(case.operation),), prefixed=False))
    command = [written(tmp_path, *RECORDS[each]) if each in RECORDS else each for each in case.command]
    assert afresh(settings, *command) == (2, f"afresh: {missing(settings, case.operation, 'topic', name)}")


def test_a_group_that_may_not_be_described_is_named(guarded: Guarded, shared: Settings) -> None:
    settings = guarded.user_of(shared, prefix_scheme(shared)[:1])
    for command in (("status",), ("ledger", "--wait", "1")):
        told = missing(settings, "Describe", "group", shared.namespace)
        assert afresh(settings, *command) == (2, f"afresh: {told}")


def test_a_user_without_any_right_is_told_all_that_it_lacks(guarded: Guarded, shared: Settings) -> None:
    settings = guarded.user_of(shared, [])
    status, sentence = afresh(settings, "worker")
    clauses = sentence.removeprefix("afresh: ").split("; ")
    assert (status, len(clauses)) == (2, 3)
    for operation, clause in zip(("Read", "Write", "DescribeConfigs"), clauses, strict=True):
        assert clause.startswith(
            f"User:{settings.kafka_user} may not {operation} topics that begin with {shared.namespace}. "
        )
        assert clause.endswith(
            f"--operation {operation} --topic {shared.namespace}. --resource-pattern-type prefixed"
        )


def test_creating_topics_names_the_rights_that_it_lacks_and_then_needs_no_more(
    guarded: Guarded, tmp_path: Path
) -> None:
    settings = guarded.settings(tmp_path, partitions=1)
    prefix = f"{settings.namespace}."
    whose = f"User:{settings.kafka_user} may not"
    for operation, right in (
        ("Describe", "DESCRIBE"),
        ("Create", "CREATE"),
        ("DescribeConfigs", "DESCRIBE_CONFIGS"),
    ):
        status, sentence = afresh(settings, "topics", "create")
        assert status == 2
        assert sentence.startswith(f"afresh: {whose} {operation} topics that begin with {prefix} ")
        guarded.grant(settings, [Granted("TOPIC", prefix, (right,))])
    assert afresh(settings, "topics", "create")[0] == 0
    events = Topics(settings).events.name
    other = ConfigResource(ConfigResourceType.TOPIC, events, configs={"message.timestamp.type": "CreateTime"})
    guarded.admin.alter_configs([other])
    wait(lambda: check_topics(guarded.of_administrator(settings)), "the setting to be known")
    told = missing(settings, "AlterConfigs", "topic", events)
    assert afresh(settings, "topics", "create") == (2, f"afresh: {told}")
    guarded.grant(settings, [Granted("TOPIC", prefix, ("ALTER_CONFIGS",))])
    assert afresh(settings, "topics", "create")[0] == 0
