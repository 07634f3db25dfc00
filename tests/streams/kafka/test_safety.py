from contextlib import nullcontext
from typing import Any

import pytest

from afresh.streams.kafka import safety as module
from afresh.streams.kafka.admin import create_topics
from afresh.streams.kafka.safety import INTERNAL, check_safety
from afresh.streams.kafka.sender import BATCH_BYTES
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
        ("max.message.bytes", "100000", f"batches of up to {BATCH_BYTES}"),
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
