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
from afresh.streams.kafka.admin import create_topics
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics
from tests.kafka.acls import Granted, Guarded, guarded_kafka, prefix_scheme
from tests.kafka.deployment import Deployment, ended, wait


@pytest.fixture(scope="module")
def guarded(
    kafka_installation: Installation, redis_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    with guarded_kafka(tmp_path_factory.mktemp("guarded"), redis_server) as made:
        yield made


def afresh(settings: Settings, *arguments: str, given: str | None = None) -> Any:
    return CliRunner().invoke(app, list(arguments), env=variables(settings), input=given)


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


def test_the_rights_to_the_prefix_suffice_and_one_that_is_taken_away_ends_a_process(
    guarded: Guarded, tmp_path: Path
) -> None:
    settings = guarded.settings(tmp_path, encoder="minilm", list_refresh_seconds=1.0)
    create_topics(guarded.of_administrator(settings))
    guarded.grant(settings, prefix_scheme(settings))
    made = Deployment(settings, tmp_path)
    worker, embed = made.process(), made.process("embed-worker")
    with made.running(worker) as page, made.running(embed):
        item = {"domain": "films", "text": "a ship in space"}
        lines = [msgspec.json.encode(item | {"id": name, "title": name}).decode() for name in ("a", "b")]
        tools = [(("topics", "check"), None), (("items", "-"), "\n".join(lines))]
        event = made.next_event("ann", "a")
        tools.append((("replay", "-"), msgspec.json.encode(event).decode()))
        for arguments, given in tools:
            done = afresh(settings, *arguments, given=given)
            assert done.exit_code == 0, (arguments, done.output)
        made.answer("ann", event["id"])
        wait(lambda: page.read().total("afresh_catalogue_embedded_items") == 2, "the embeddings")
        for name in (("recommend", "web:ann"), ("status",), ("ledger", "--wait", "30"), ("rollback",)):
            done = afresh(settings, *name)
            assert done.exit_code == 0, (name, done.output)
        group, texts = made.settings.namespace, made.topics.texts.name
        guarded.deny(settings, Granted("GROUP", group, ("READ",), prefixed=False))
        status, sentence = ended(worker)
        assert (status, sentence.partition("User:")[2]) == (
            2,
            missing(settings, "Read", "group", group).partition("User:")[2],
        )
        guarded.deny(settings, Granted("TOPIC", texts, ("READ",), prefixed=False))
        status, sentence = ended(embed)
        assert (status, missing(settings, "Read", "topic", texts) in sentence) == (2, True)
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


EVENT = '{"id": "e", "type": "view", "time": 1, "user": "a", "item": "b", "platform": "c", "domain": "d"}'
ITEM = '{"id": "b", "domain": "films", "title": "b"}'

CASES = [
    Case(("worker",), "Read", "interactions"),
    Case(("worker",), "Write", "examples"),
    Case(("worker",), "DescribeConfigs", "users"),
    Case(("embed-worker",), "Read", "texts", "minilm"),
    Case(("embed-worker",), "Write", "embeddings", "minilm"),
    Case(("topics", "check"), "Describe", "events"),
    Case(("topics", "check"), "DescribeConfigs", "events"),
    Case(("replay", "-"), "Write", "events"),
    Case(("items", "-"), "Write", "items"),
    Case(("rollback",), "Write", "interactions"),
    Case(("status",), "Read", "users"),
    Case(("ledger",), "Read", "received"),
]


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: "-".join([*case.command, case.operation, case.topic])
)
def test_a_right_to_a_topic_that_is_missing_is_named_before_anything_starts(
    shared: Settings, guarded: Guarded, case: Case
) -> None:
    settings = guarded.user_of(shared, prefix_scheme(shared), encoder=case.encoder)
    name = Topics(settings).named(case.topic).name
    told = {"Describe": "DESCRIBE", "DescribeConfigs": "DESCRIBE_CONFIGS"}.get(
        case.operation, case.operation.upper()
    )
    guarded.deny(settings, Granted("TOPIC", name, (told,), prefixed=False))
    done = afresh(settings, *case.command, given=EVENT if "replay" in case.command else ITEM)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == f"afresh: {missing(settings, case.operation, 'topic', name)}"


def test_a_group_that_may_not_be_described_is_named(guarded: Guarded, shared: Settings) -> None:
    settings = guarded.user_of(shared, prefix_scheme(shared)[:1])
    for command in (("status",), ("ledger", "--wait", "1")):
        done = afresh(settings, *command)
        assert (done.exit_code, done.stderr) == (
            2,
            f"afresh: {missing(settings, 'Describe', 'group', shared.namespace)}\n",
        )


def test_a_user_without_any_right_is_told_all_that_it_lacks(guarded: Guarded, shared: Settings) -> None:
    settings = guarded.user_of(shared, [])
    done = afresh(settings, "worker")
    clauses = done.stderr.removeprefix("afresh: ").split("; ")
    assert (done.exit_code, len(clauses)) == (2, 3)
    for operation, clause in zip(("Read", "Write", "DescribeConfigs"), clauses, strict=True):
        assert clause.startswith(
            f"User:{settings.kafka_user} may not {operation} topics that begin with {shared.namespace}. "
        )
        assert clause.strip().endswith(
            f"--operation {operation} --topic {shared.namespace}. --resource-pattern-type prefixed"
        )


def test_creating_topics_names_the_rights_that_it_lacks_and_then_needs_no_more(
    guarded: Guarded, tmp_path: Path
) -> None:
    settings = guarded.settings(tmp_path, partitions=1)
    prefix = f"{settings.namespace}."
    for operation, told in (("Describe", "DESCRIBE"), ("Create", "CREATE")):
        done = afresh(settings, "topics", "create")
        assert done.exit_code == 2
        assert (
            f"User:{settings.kafka_user} may not {operation} topics that begin with {prefix} " in done.stderr
        )
        guarded.grant(settings, [Granted("TOPIC", prefix, (told,))])
    done = afresh(settings, "topics", "create")
    assert done.exit_code == 2
    assert f"may not DescribeConfigs topics that begin with {prefix} " in done.stderr
    guarded.grant(settings, [Granted("TOPIC", prefix, ("DESCRIBE_CONFIGS",))])
    assert afresh(settings, "topics", "create").exit_code == 0
    events = Topics(settings).events.name
    other = ConfigResource(ConfigResourceType.TOPIC, events, configs={"message.timestamp.type": "CreateTime"})
    guarded.admin.alter_configs([other])
    done = afresh(settings, "topics", "create")
    assert (done.exit_code, done.stderr) == (
        2,
        f"afresh: {missing(settings, 'AlterConfigs', 'topic', events)}\n",
    )
    guarded.grant(settings, [Granted("TOPIC", prefix, ("ALTER_CONFIGS",))])
    assert afresh(settings, "topics", "create").exit_code == 0
