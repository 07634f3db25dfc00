import re
import socket
import time
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import KafkaConnectionError, KafkaError

from afresh.state.errors import AfreshError, UnavailableError
from afresh.streams.kafka import admin as module
from afresh.streams.kafka.admin import (
    TopicClient,
    check_topics,
    claim_expiry,
    create_topics,
    require_topics,
    set_topics,
)
from afresh.streams.kafka.fence import EXPIRY_SECONDS
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics
from tests.kafka.deployment import wait


@pytest.fixture(params=["settings", "embedded_settings"])
def either(request: pytest.FixtureRequest) -> Settings:
    """Settings for the genuine Kafka and for the embedded broker."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Settings)
    return found


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def changed(settings: Settings, **values: object) -> Settings:
    return settings.model_copy(update=values)


def create(settings: Settings, topic: NewTopic) -> None:
    admin = KafkaAdminClient(bootstrap_servers=settings.brokers)
    admin.create_topics([topic], wait_for_metadata=True)
    admin.close()


def topics_on(settings: Settings) -> list[str]:
    admin = KafkaAdminClient(bootstrap_servers=settings.brokers)
    try:
        return [name for name in admin.list_topics() if name.startswith(f"{settings.namespace}.")]
    finally:
        admin.close()


def test_created_topics_pass_the_check(either: Settings) -> None:
    created = create_topics(either)
    assert created == [topic.name for topic in Topics(either).all()]
    assert check_topics(either) == []
    require_topics(either)


def test_creating_twice_creates_nothing(either: Settings) -> None:
    create_topics(either)
    assert create_topics(either) == []


def test_only_missing_topics_are_created_and_the_others_left_as_they_are(either: Settings) -> None:
    events = Topics(either).events
    create(either, NewTopic(events.name, 5, 1))
    assert events.name not in create_topics(either)
    assert f"{events.name} has 5 partitions instead of 2" in check_topics(either)


def test_topics_of_0_1_0_are_brought_up_to_date_and_what_an_operator_chose_stays(settings: Settings) -> None:
    topics = Topics(settings)
    for topic in (topics.items, topics.identities, topics.texts):
        create(settings, NewTopic(topic.name, 2, 1, topic_configs={"cleanup.policy": "compact"}))
    own = {"delete.retention.ms": "5000", "max.compaction.lag.ms": "7000"}
    configure(settings, topics.identities.name, own)
    wait(lambda: own.items() <= settings_of(settings, topics.identities.name).items(), "the settings", 20.0)
    create_topics(settings)
    with pytest.raises(AfreshError, match=r"CreateTime instead of LogAppendTime.*run: afresh topics create$"):
        require_topics(settings)
    assert set_topics(settings) == [topics.items.name, topics.texts.name, topics.identities.name]
    require_topics(settings)
    assert set_topics(settings) == []
    found = {name: settings_of(settings, name) for name in (topics.items.name, topics.identities.name)}
    month = str(30 * 24 * 3_600_000)
    assert found[topics.items.name]["delete.retention.ms"] == month
    assert found[topics.items.name]["cleanup.policy"] == "compact", "settings that stood there stay"
    assert own.items() <= found[topics.identities.name].items()
    assert settings_of(settings, topics.texts.name)["max.compaction.lag.ms"] == str(24 * 3_600_000)


def configure(settings: Settings, name: str, config: dict[str, str]) -> None:
    admin = KafkaAdminClient(bootstrap_servers=settings.brokers)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=config)])
    admin.close()


def settings_of(settings: Settings, name: str) -> dict[str, str]:
    admin = KafkaAdminClient(bootstrap_servers=settings.brokers)
    try:
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)], config_filter="all")
        return {key: entry["value"] for key, entry in found["topic"][name].items()}
    finally:
        admin.close()


def test_new_topics_need_no_change(either: Settings) -> None:
    create_topics(either)
    assert set_topics(either) == []


def test_every_missing_topic_is_named(either: Settings) -> None:
    assert check_topics(either) == [f"{topic.name} is missing" for topic in Topics(either).all()]


def test_checking_creates_nothing(either: Settings) -> None:
    check_topics(either)
    with pytest.raises(AfreshError):
        require_topics(either)
    assert topics_on(either) == []


def test_other_partitions_are_a_difference(either: Settings) -> None:
    create_topics(either)
    differences = check_topics(changed(either, partitions=3))
    assert differences == [f"{t.name} has 2 partitions instead of 3" for t in Topics(either).all()]


def test_other_replication_is_a_difference(either: Settings) -> None:
    create_topics(either)
    differences = check_topics(changed(either, replication=3))
    assert differences == [f"{t.name} has 1 replicas instead of 3" for t in Topics(either).all()]


def test_other_retention_is_a_difference_of_the_logs_only(either: Settings) -> None:
    create_topics(either)
    fewer = changed(either, retention_days=1.0)
    differences = check_topics(fewer)
    pairs = zip(Topics(either).all(), Topics(fewer).all(), strict=True)
    logs = [now.name for before, now in pairs if before.config != now.config]
    assert differences == [f"{name} has retention.ms 604800000 instead of 86400000" for name in logs]
    # Questions are kept for a day, whatever is set.
    assert {Topics(either).events.name} < set(logs) < {topic.name for topic in Topics(either).all()}
    assert Topics(either).questions.name not in logs


def test_a_topic_that_is_not_compacted_is_a_difference(settings: Settings) -> None:
    items = Topics(settings).items
    create(settings, NewTopic(items.name, 2, 1))
    assert f"{items.name} has cleanup.policy delete instead of compact" in check_topics(settings, [items])


def test_a_worker_without_topics_names_the_command_that_creates_them(either: Settings) -> None:
    name = Topics(either).events.name
    with pytest.raises(AfreshError, match=rf"{re.escape(name)} is missing.*run: afresh topics create$"):
        require_topics(either)


def test_the_advice_does_not_promise_that_creating_topics_helps(either: Settings) -> None:
    create_topics(either)
    with pytest.raises(AfreshError, match="instead of 3") as raised:
        require_topics(changed(either, replication=3))
    assert "topics create" not in str(raised.value)


def test_the_advice_is_never_to_add_partitions(either: Settings) -> None:
    """Rows would stay in the partitions of the old hash."""
    create_topics(either)
    with pytest.raises(AfreshError, match="create topics under another AFRESH_NAMESPACE, and replay"):
        require_topics(changed(either, partitions=3))


def test_more_replicas_than_brokers_are_refused_with_the_reason_of_kafka(settings: Settings) -> None:
    with pytest.raises(AfreshError, match=r"did not create the topic .*eplication factor"):
        create_topics(changed(settings, replication=3))


def test_a_topic_that_is_made_again_has_another_incarnation(either: Settings) -> None:
    """Also on the embedded broker, which has topic ids too."""
    create_topics(either)
    events, items = Topics(either).events, Topics(either).items
    client = TopicClient(either)
    first = client.incarnations([events.name, items.name, "no-such-topic"])
    assert first.keys() == {events.name, items.name}
    assert 0 not in first.values()
    assert first[events.name] != first[items.name]
    admin = KafkaAdminClient(bootstrap_servers=either.brokers)
    admin.delete_topics([events.name])
    deadline = time.monotonic() + 60
    while events.name in admin.list_topics() and time.monotonic() < deadline:
        time.sleep(0.1)
    admin.close()
    create_topics(either)
    again = client.incarnations([events.name, items.name])
    assert again[events.name] != first[events.name]
    assert again[items.name] == first[items.name]
    client.close()


def test_a_topic_with_a_wrong_policy_is_found(settings: Settings) -> None:
    create_topics(settings)
    topics = Topics(settings)
    client, admin = TopicClient(settings), KafkaAdminClient(bootstrap_servers=settings.brokers)
    assert client.policies(topics.all()) == {}
    wrong = {"cleanup.policy": "delete"}
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topics.users.name, configs=wrong)])
    admin.close()
    # Brokers learn of it a moment later.
    wait(lambda: client.policies(topics.all()), "the wrong policy to be found", 20.0)
    assert client.policies(topics.all()) == {topics.users.name: "delete"}
    client.close()


def test_a_client_that_is_kept_connects_anew_after_a_failure(silent_port: int, settings: Settings) -> None:
    client = TopicClient(changed(settings, kafka=f"127.0.0.1:{silent_port}"))
    for _ in range(2):
        with pytest.raises(KafkaError):
            client.incarnations(["events"])
    create_topics(settings)
    client._admin._settings = settings
    assert client.incarnations([Topics(settings).events.name])
    client.close()


def test_a_silent_broker_is_an_error_after_the_timeout(silent_port: int) -> None:
    settings = Settings(_env_file=None, kafka=f"127.0.0.1:{silent_port}", start_timeout_seconds=0.5)
    with pytest.raises(UnavailableError, match="did not answer within"):
        check_topics(settings)


def test_kafka_forgets_claims_after_a_day_by_default(settings: Settings) -> None:
    assert claim_expiry(settings) == EXPIRY_SECONDS


def test_the_broker_that_forgets_first_counts_among_those_that_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configs = {"1": {"producer.id.expiration.ms": "5000", "transactional.id.expiration.ms": "9000"}}
    configs["2"] = configs["1"] | {"transactional.id.expiration.ms": "3000"}
    fenced = {"broker_id": 4, "is_fenced": True}
    asked: list[str] = []

    def describe(resources: list[ConfigResource], config_filter: str) -> Any:
        (name,) = [resource.name for resource in resources]
        asked.append(name)
        if name not in configs:
            raise KafkaConnectionError("it has just died")
        return {"broker": {name: {key: {"value": value} for key, value in configs[name].items()}}}

    brokers = [{"broker_id": number} for number in (1, 2, 3)]
    client = SimpleNamespace(
        describe_cluster=lambda: {"brokers": [*brokers, fenced]}, describe_configs=describe
    )
    admin = SimpleNamespace(ask=lambda question: question(client), ask_once=lambda question: question(client))
    monkeypatch.setattr(module, "asking", lambda _: nullcontext(admin))
    settings = Settings(_env_file=None)
    assert claim_expiry(settings) == 3.0
    assert asked == ["1", "2", "3"]
    configs.clear()
    assert claim_expiry(settings) is None
