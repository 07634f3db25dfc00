"""Kafka and Redis with TLS, certificates and logins: right settings work, and wrong ones give the reason."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis
from typer.testing import CliRunner

from afresh.deploy.cli import app
from afresh.deploy.demo.kafka_client import dead_letters, delete_topics
from afresh.deploy.demo.workers import COMMAND, variables
from afresh.deploy.feeds.replay import feed_items, replay
from afresh.deploy.recommend import find
from afresh.deploy.servers.kafka import REPOSITORY, Installation
from afresh.state.lists import recommendations_key
from afresh.streams.connections import redis_options
from afresh.streams.kafka.admin import check_topics, create_topics
from afresh.streams.kafka.follow import Follower, Latest
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics
from tests.certificates import Authority
from tests.kafka.deployment import deployment, wait
from tests.kafka.secured import MODULES, PASSWORD, REDIS_PASSWORD, Secured, secured_kafka, secured_redis

WRONG = "wrong-hunter4"
NO_TLS: dict[str, Any] = {"kafka_tls": False, "kafka_ca_file": None, "kafka_certificate_file": None}


@pytest.fixture(scope="module")
def secured(kafka_installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder / "certificates")
    with (
        secured_redis(folder / "redis", authority) as redis,
        secured_kafka(folder / "kafka", authority) as kafka,
    ):
        yield Secured(kafka, redis, authority)


def leaked(text: str) -> list[str]:
    """Find secrets in a text, plain or encoded in base64."""
    secrets = (PASSWORD, REDIS_PASSWORD, WRONG)
    encoded = (base64.b64encode(secret.encode()).decode().rstrip("=") for secret in secrets)
    return [secret for secret in (*secrets, *encoded) if secret in text]


def afresh(settings: Settings, *arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments), env=variables(settings))


@pytest.mark.parametrize(("mechanism", "level"), [("SCRAM-SHA-512", "INFO"), ("PLAIN", "DEBUG")])
def test_a_worker_that_logs_in_over_tls_makes_lists_and_shows_no_secret(
    secured: Secured, tmp_path: Path, mechanism: str, level: str
) -> None:
    settings = secured.settings(tmp_path, kafka_sasl=mechanism, log_level=level)
    with deployment(settings, tmp_path) as made:
        process = made.process()
        with made.running(process) as page:
            made.item("alien")
            made.item("blade-runner")
            wait(lambda: page.read().total("afresh_catalogue_items") == 2, "the items to be known")
            answer = made.answer("ann", made.event("ann", "alien"))
            assert [each.id for each in answer.items] == ["blade-runner"]
            made.send(made.topics.events, "web:ann", b"no event")
            made.answer("ann", made.event("ann", "blade-runner"))
            _, metrics = page._get("/metrics")
        assert metrics
        log = process.log.read_text()
        assert "metrics at http" in log
        assert ("DEBUG" in log) is (level == "DEBUG")
        shown = afresh(settings, "settings")
        assert shown.exit_code == 0
        assert "AFRESH_KAFKA_PASSWORD" in shown.output
        for text in (log, metrics, shown.output, repr(settings), str(settings)):
            assert not leaked(text)


def test_every_tool_logs_in_over_tls(secured: Secured, tmp_path: Path) -> None:
    settings = secured.settings(tmp_path)
    assert create_topics(settings)
    assert check_topics(settings) == []
    lines = tmp_path / "lines.jsonl"
    lines.write_bytes(msgspec.json.encode({"id": "alien", "domain": "films", "title": "Alien"}))
    assert feed_items(settings, str(lines)).sent == 1
    event = {"id": "e", "type": "view", "time": 1, "user": "a", "item": "b", "platform": "c", "domain": "d"}
    lines.write_bytes(msgspec.json.encode(event))
    assert replay(settings, str(lines)).sent == 1
    assert dead_letters(settings) == 0
    with Redis.from_url(**redis_options(settings)) as redis:
        redis.set(recommendations_key(settings.namespace, "web:ann"), b"[]")
    assert find(settings, "web:ann").json == b"[]"
    delete_topics(settings)


@pytest.mark.parametrize("mechanism", MODULES)
async def test_both_kafka_clients_log_in_with_every_mechanism(
    secured: Secured, tmp_path: Path, mechanism: str
) -> None:
    await both_clients(secured.settings(tmp_path, kafka_sasl=mechanism))


@pytest.fixture(scope="module")
def unencrypted(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_kafka(tmp_path_factory.mktemp("unencrypted"), secured.authority, tls=False) as kafka:
        yield Secured(kafka, secured.redis, secured.authority)


@pytest.mark.parametrize("mechanism", MODULES)
async def test_both_kafka_clients_log_in_without_tls(
    unencrypted: Secured, tmp_path: Path, mechanism: str
) -> None:
    await both_clients(unencrypted.settings(tmp_path, kafka_sasl=mechanism, **NO_TLS))


async def both_clients(settings: Settings) -> None:
    """Create topics with kafka-python, and follow one with aiokafka."""
    topics = Topics(settings)
    await asyncio.to_thread(create_topics, settings)
    seen: Latest = {}
    follower = Follower(settings, {topics.items.name: seen.update})
    task = asyncio.create_task(follower.run())
    await asyncio.wait_for(follower.caught_up.wait(), 20)
    task.cancel()


Changes = Callable[[Secured, Path], dict[str, Any]]

REFUSED: dict[str, tuple[Changes, str]] = {
    "the password of Kafka": (
        lambda *_: {"kafka_password": WRONG},
        "Kafka at {kafka} refuses the user 'ann'; check AFRESH_KAFKA_USER, AFRESH_KAFKA_PASSWORD",
    ),
    "the user of Kafka": (lambda *_: {"kafka_user": "eve"}, "Kafka at {kafka} refuses the user 'eve'"),
    "no login at Kafka": (
        lambda *_: {"kafka_sasl": None, "kafka_user": None, "kafka_password": None},
        "Kafka at {kafka} did not answer within 2 s",
    ),
    "no TLS to Kafka": (lambda *_: NO_TLS, "Kafka at {kafka} did not answer within 2 s"),
    "no certificate for Kafka": (
        lambda *_: {"kafka_certificate_file": None},
        "Kafka at {kafka} did not answer within 2 s",
    ),
    "the authority of Kafka": (
        lambda _, stranger: {"kafka_ca_file": stranger},
        "the certificate of Kafka at {kafka} is not to be trusted",
    ),
    "the password of Redis": (
        lambda secured, _: {"redis": secured.redis_url(password=WRONG)},
        "Redis refuses us (invalid username-password pair",
    ),
    "the user of Redis": (
        lambda secured, _: {"redis": secured.redis_url(user="eve")},
        "Redis refuses us (invalid username-password pair",
    ),
    "the authority of Redis": (
        lambda _, stranger: {"redis_ca_file": stranger},
        "the certificate of Redis is not to be trusted",
    ),
    "no certificate for Redis": (lambda *_: {"redis_certificate_file": None}, "Redis does not answer"),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_worker_that_a_server_refuses_ends_with_a_sentence_and_its_status(
    secured: Secured, tmp_path: Path, wrong: str
) -> None:
    change, sentence = REFUSED[wrong]
    right = secured.settings(tmp_path)
    create_topics(right)
    changes = change(secured, Authority(tmp_path / "stranger").file)
    settings = secured.settings(tmp_path, namespace=right.namespace, start_timeout_seconds=2.0, **changes)
    done = afresh(settings, "worker")
    # A server that hangs up, or stays silent, looks like one that is still starting.
    assert done.exit_code == (75 if "not answer" in sentence else 2)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"afresh: {sentence.format(kafka=settings.kafka)}")
    assert not leaked(done.output)


def test_a_process_that_kafka_refuses_says_nothing_else(secured: Secured, tmp_path: Path) -> None:
    settings = secured.settings(tmp_path, kafka_password=WRONG, log_level="DEBUG")
    done = subprocess.run(
        [*COMMAND, "worker"],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / ".src")} | variables(settings),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"afresh: Kafka at {settings.kafka} refuses the user 'ann'; "
        "check AFRESH_KAFKA_USER, AFRESH_KAFKA_PASSWORD and AFRESH_KAFKA_SASL\n"
    )
