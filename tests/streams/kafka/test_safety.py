import logging
from contextlib import nullcontext
from typing import Any

import pytest
from kafka.errors import TopicAuthorizationFailedError

from afresh.state.errors import AfreshError
from afresh.streams.kafka import safety as module
from afresh.streams.kafka.admin import create_topics
from afresh.streams.kafka.limits import BATCH_BYTES, DEFAULT_BYTES, LEAST_BYTES
from afresh.streams.kafka.safety import INTERNAL, check_safety, require_room
from afresh.streams.settings import Settings
from afresh.streams.topics import DAY_MS, Topics

SETTINGS = Settings(_env_file=None, replication=3)
USERS = Topics(SETTINGS).users.name
SAFE = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false", "max.message.bytes": "1048588"}
BROKER = dict.fromkeys(INTERNAL.values(), "3") | {
    "transactional.id.expiration.ms": str(7 * DAY_MS),
    "producer.id.expiration.ms": str(DAY_MS),
}


def check(
    monkeypatch: pytest.MonkeyPatch,
    topic: dict[str, str],
    internal: dict[str, int],
    *brokers: dict[str, str],
    settings: Settings = SETTINGS,
) -> list[str]:
    """Check a cluster that has these settings."""
    metadata = {
        name: {"partitions": [{"replica_nodes": [1] * count}]}
        for name, count in (internal | {USERS: 3}).items()
    }

    def described(_: object, names: list[str]) -> dict[str, Any]:
        return {name: metadata[name] for name in names if name in metadata}

    monkeypatch.setattr(module, "asking", lambda _: nullcontext())
    monkeypatch.setattr(module, "described", described)
    monkeypatch.setattr(module, "configs_of", lambda *_: {USERS: topic})
    monkeypatch.setattr(module, "broker_configs", lambda _: brokers)
    return check_safety(settings)


@pytest.mark.parametrize("internal", [{}, dict.fromkeys(INTERNAL, 3)])
def test_safe_settings_are_no_fault(monkeypatch: pytest.MonkeyPatch, internal: dict[str, int]) -> None:
    assert check(monkeypatch, SAFE, internal, BROKER, BROKER) == []


def test_what_brokers_do_not_tell_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(monkeypatch, SAFE, {}, {}) == []


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("min.insync.replicas", "1", "one broker that fails"),
        ("min.insync.replicas", "3", "nothing is written while a broker is down"),
        ("min.insync.replicas", "4", "nothing is written while a broker is down"),
        ("unclean.leader.election.enable", "true", "counted records can be lost"),
        ("max.message.bytes", "100000", f"a row or record of up to {LEAST_BYTES}"),
    ],
)
def test_a_setting_of_a_topic_that_is_not_safe_is_named(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, words: str
) -> None:
    (fault,) = check(monkeypatch, SAFE | {setting: value}, {}, BROKER)
    assert fault.startswith(f"{USERS} has {setting} {value}")
    assert words in fault


def test_more_replicas_in_sync_than_there_are_let_nothing_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    single = Settings(_env_file=None, replication=1)
    (fault,) = check(monkeypatch, SAFE, {}, BROKER, settings=single)
    assert fault.endswith("min.insync.replicas 2 of 1: nothing can be written")


@pytest.mark.parametrize("name", INTERNAL)
def test_a_topic_of_kafka_with_fewer_replicas_than_ours_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (fault,) = check(monkeypatch, SAFE, {name: 1}, BROKER)
    assert fault == f"{name} has 1 replicas, and AFRESH_REPLICATION is 3: raise {INTERNAL[name]}"
    (fault,) = check(monkeypatch, SAFE, {}, BROKER | {INTERNAL[name]: "1"})
    assert fault.startswith(f"{name} has 1 replicas")


def test_claims_that_brokers_forget_soon_or_at_different_times_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick = BROKER | {"transactional.id.expiration.ms": "3600000"}
    soon, different = check(monkeypatch, SAFE, {}, BROKER, quick)
    assert "transactional.id.expiration.ms 3600000" in soon
    assert different.startswith("brokers have different transactional.id.expiration.ms (3600000, ")


def test_a_new_deployment_on_the_embedded_broker_has_no_fault(embedded_settings: Settings) -> None:
    create_topics(embedded_settings)
    assert check_safety(embedded_settings) == []


def test_a_longer_limit_of_texts_needs_larger_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    long = Settings(_env_file=None, replication=3, text_limit_bytes=300_000)
    (fault,) = check(monkeypatch, SAFE, {}, BROKER, settings=long)
    assert fault == (
        f"{USERS} has max.message.bytes 1048588: a row or record of up to 1500000 is written; set it to that at least"
    )


def configs(monkeypatch: pytest.MonkeyPatch, found: dict[str, dict[str, str]] | Exception) -> None:
    """Let Kafka answer with these settings of topics, or refuse to answer."""

    def asked(*_: object) -> dict[str, dict[str, str]]:
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(module, "asking", lambda _: nullcontext())
    monkeypatch.setattr(module, "configs_of", asked)


TWO = Topics(SETTINGS).ours()[:2]


def test_the_limits_of_all_topics_are_known_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [topic.name for topic in TWO]
    configs(monkeypatch, {name: {"max.message.bytes": str(LEAST_BYTES + n)} for n, name in enumerate(names)})
    limits = require_room(SETTINGS, TWO)
    assert [limits.takes(name, LEAST_BYTES + 1) for name in names] == [False, True]


def test_a_limit_below_the_least_is_refused_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (topic.name for topic in TWO)
    configs(
        monkeypatch, {one: {"max.message.bytes": "100000"}, two: {"max.message.bytes": str(DEFAULT_BYTES)}}
    )
    with pytest.raises(AfreshError) as error:
        require_room(SETTINGS, TWO)
    assert f"{one} has max.message.bytes 100000, and {LEAST_BYTES} is the least" in str(error.value)
    assert f"--entity-name {one} --add-config max.message.bytes={DEFAULT_BYTES}" in str(error.value)
    assert two not in str(error.value)


@pytest.mark.parametrize("answer", [{topic.name: {} for topic in TWO}, TopicAuthorizationFailedError("t")])
def test_without_the_right_to_ask_kafkas_default_is_assumed_and_that_is_said_once(
    answer: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    configs(monkeypatch, answer)
    with caplog.at_level(logging.INFO):
        limits = require_room(SETTINGS, TWO)
    assert limits.filled(TWO[0].name) == BATCH_BYTES
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert "DescribeConfigs" in record.message
    assert str(DEFAULT_BYTES) in record.message
