"""Creates the topics, and checks that the broker's topics are as they must be."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import (
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from afresh.state.errors import AfreshError, UnavailableError
from afresh.state.store.marks import UNKNOWN
from afresh.streams.kafka.patient import PatientAdmin, passes
from afresh.streams.kafka.rights import (
    ALTER_CONFIGS,
    CREATE,
    DESCRIBE,
    DESCRIBE_CONFIGS,
    TOPIC,
    Needs,
    NotAllowedError,
    Right,
    lacking,
    may_not,
    named,
    needs,
    refusal,
    require,
)
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic, Topics
from afresh.streams.waiting import wait_for_kafka

MISSING = "is missing"
PARTITIONS = "partitions instead of"

EXPIRY_SETTINGS = ("transactional.id.expiration.ms", "producer.id.expiration.ms")
"""Settings of brokers that say when they forget a claim; the smaller one counts."""

HARMLESS = "message.timestamp.type"
"""Setting that may change while a topic is in use: it concerns only records that are still to come."""

OWN = "DYNAMIC_TOPIC_CONFIG"
"""Where a setting comes from that was set for the topic itself."""

SETTING_SECONDS = 10.0
SETTING_POLL_SECONDS = 0.1

Metadata = dict[str, Any]
"""Description of a topic or a broker by kafka-python."""

Changes = dict[str, dict[str, str]]
"""Settings that topics are to get, by topic and name."""

DONE = "OK"
"""What kafka-python says of a topic whose settings were changed."""

Entries = dict[str, dict[str, Any]]
"""Settings of a topic by name, as kafka-python describes them."""


def create_topics(settings: Settings) -> list[str]:
    """Create the missing topics, and return the names of the new ones; the others stay as they are.

    Raises
    ------
    UnavailableError
        If Kafka does not answer within the start timeout.
    AfreshError
        If Kafka refuses to create a topic.
    """
    topics = Topics(settings).all()
    with asking(settings) as admin:
        found = described(admin, _names(topics))
        require(lacking(found, needs()))
        missing = [topic for topic in topics if topic.name not in found]
        return _create(admin, missing) if missing else []


def set_topics(settings: Settings) -> list[str]:
    """Give existing topics what may change while they are in use, and what is advised where they have no own setting.

    Returns
    -------
    Names of the topics that were changed.

    Raises
    ------
    UnavailableError
        If Kafka does not answer within the start timeout.
    AfreshError
        If Kafka refuses the settings.
    """
    wanted = Topics(settings).all()
    with asking(settings) as admin:
        changes = _changed(admin, wanted)
        if changes:
            _change(admin, changes)
        # Brokers learn of it a moment later. Whoever checks the topics next must not meet the settings of before.
        deadline = time.monotonic() + SETTING_SECONDS
        while _changed(admin, wanted) and time.monotonic() < deadline:
            time.sleep(SETTING_POLL_SECONDS)
    return list(changes)


def _change(admin: PatientAdmin, changes: Changes) -> None:
    require(lacking(described(admin, list(changes)), {name: [ALTER_CONFIGS] for name in changes}))
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, name, configs=config) for name, config in changes.items()
    ]
    answers = admin.ask(lambda client: client.alter_configs(resources))["topic"]
    for name, answer in answers.items():
        if answer != DONE:
            raise AfreshError(f"Kafka did not change the settings of the topic {name}: {answer}")


def _changed(admin: PatientAdmin, wanted: Sequence[Topic]) -> Changes:
    """Return the settings that existing topics are to get, by topic."""
    found = _entries(admin, list(described(admin, _names(wanted))))
    require(_unseen(admin, found))
    changes = {topic.name: _changes(topic, found[topic.name]) for topic in wanted if topic.name in found}
    return {name: config for name, config in changes.items() if config}


def _changes(topic: Topic, found: Entries) -> dict[str, str]:
    changes = {HARMLESS: topic.config[HARMLESS]} if HARMLESS in topic.config else {}
    changes |= {
        key: value for key, value in topic.advised.items() if found.get(key, {}).get("config_source") != OWN
    }
    return {key: value for key, value in changes.items() if found.get(key, {}).get("value") != value}


def check_topics(
    settings: Settings, topics: Sequence[Topic] | None = None, rights: Needs | None = None
) -> list[str]:
    """Describe how the broker's topics differ from ``topics``, by default all topics of the deployment.

    Creates nothing. An empty list means that there is no difference.

    Raises
    ------
    UnavailableError
        If Kafka does not answer within the start timeout.
    NotAllowedError
        If our user may not look at a topic and its settings, or lacks one of the rights.
    """
    wanted = Topics(settings).all() if topics is None else topics
    with asking(settings) as admin:
        found = described(admin, _names(wanted))
        configs = configs_of(admin, list(found))
        require([*lacking(found, rights or needs()), *_unseen(admin, configs)])
    return [
        f"{topic.name} {difference}"
        for topic in wanted
        for difference in _differences(topic, found.get(topic.name), configs.get(topic.name, {}))
    ]


def require_topics(
    settings: Settings, topics: Sequence[Topic] | None = None, rights: Needs | None = None
) -> None:
    """Raise unless the topics are as they must be, and our user has the rights; creates nothing.

    Raises
    ------
    AfreshError
        If a topic is missing or differs, or a right is missing. The message names all of them, and what to do.
    """
    differences = check_topics(settings, topics, rights)
    if not differences:
        return
    advice = "change the settings or, with Kafka's own tools, the topics"
    if any(difference.endswith(MISSING) or f"has {HARMLESS} " in difference for difference in differences):
        advice = "run: afresh topics create"
    if any(PARTITIONS in difference for difference in differences):
        # More partitions for all topics would not help: rows would stay in the partitions of the old hash.
        advice = (
            "set AFRESH_PARTITIONS to the number that all of them had at the first event; a topic that has got more "
            "since is of no use: create topics under another AFRESH_NAMESPACE, and replay the events into them"
        )
    raise AfreshError(f"the topics are not as they must be ({'; '.join(differences)}); {advice}")


def claim_expiry(settings: Settings) -> float | None:
    """Return the age at which Kafka may forget a claim, in seconds; None if it does not say.

    Raises
    ------
    UnavailableError
        If Kafka does not answer within the start timeout.
    """
    with asking(settings) as admin:
        configs = broker_configs(admin)
    known = [int(config[name]) for config in configs for name in EXPIRY_SETTINGS if name in config]
    return min(known) / 1000 if known else None


def broker_configs(admin: PatientAdmin) -> list[dict[str, str]]:
    """Return the settings of each broker; see ``_broker_config``."""
    brokers = admin.ask(lambda client: client.describe_cluster())["brokers"]
    return [_broker_config(admin, broker) for broker in brokers if not broker.get("is_fenced")]


def _broker_config(admin: PatientAdmin, broker: Metadata) -> dict[str, str]:
    """Return the settings of a broker; none without the right to see them, or while the broker does not answer."""
    name = str(broker["broker_id"])
    resource = ConfigResource(ConfigResourceType.BROKER, name)
    try:
        answer = admin.ask_once(lambda client: client.describe_configs([resource], config_filter="all"))
    except KafkaError:
        return {}
    return {key: entry["value"] for key, entry in answer["broker"][name].items()}


@contextmanager
def asking(settings: Settings, topic: str = DESCRIBE) -> Iterator[PatientAdmin]:
    """Open a client for the block, and turn errors of Kafka into sentences; ``topic`` is what is done with topics."""
    wait_for_kafka(settings)
    with PatientAdmin(settings) as admin:
        try:
            yield admin
        except (KafkaError, NotAllowedError) as error:
            if (refused := refusal(error, topic=topic, group=DESCRIBE)) is not None:
                raise named(settings, refused) from error
            if passes(error):
                raise UnavailableError(
                    f"Kafka at {settings.kafka} did not answer within {settings.start_timeout_seconds:g} s ({error}); "
                    "try again"
                ) from error
            raise AfreshError(
                f"Kafka at {settings.kafka} refuses to answer ({error}); look at the broker's log"
            ) from error


class TopicClient:
    """A client that is kept, to ask for topics again and again, from any thread; it connects when it is first asked.

    Parameters
    ----------
    settings
        Settings of the deployment.
    """

    def __init__(self, settings: Settings) -> None:
        # Whoever keeps this client asks again by himself, and a process that stops must not wait for long.
        self._admin = PatientAdmin(settings, patience_seconds=0.0)
        self._one_at_a_time = threading.Lock()

    def incarnations(self, names: Sequence[str], rights: Needs | None = None) -> dict[str, int]:
        """Return the incarnation of each topic that exists.

        Raises
        ------
        NotAllowedError
            If our user may not look at a topic, or lacks one of the rights.
        KafkaError
            If Kafka does not answer.
        """
        with self._one_at_a_time:
            found = described(self._admin, names)
        require(lacking(found, rights or needs()))
        return _incarnations(found)

    def policies(self, topics: Sequence[Topic]) -> dict[str, str]:
        """Return the cleanup policy of each topic whose policy is not as it must be.

        Raises
        ------
        NotAllowedError
            If our user may not look at the settings of a topic.
        KafkaError
            If Kafka does not answer.
        """
        with self._one_at_a_time:
            configs = configs_of(self._admin, _names(topics))
            require(_unseen(self._admin, configs))
        found = {name: config.get("cleanup.policy") for name, config in configs.items()}
        return {
            topic.name: policy
            for topic in topics
            if (policy := found.get(topic.name)) and policy != topic.config["cleanup.policy"]
        }

    def close(self) -> None:
        """Close the connections, unless a thread still waits for an answer: a process that stops must not wait too."""
        if self._one_at_a_time.acquire(blocking=False):
            self._admin.close()
            self._one_at_a_time.release()


def incarnations_of(admin: PatientAdmin, names: Sequence[str]) -> dict[str, int]:
    """Return the incarnation of each topic that exists; see ``streams.kafka.incarnations``."""
    return _incarnations(described(admin, names))


def _incarnations(found: Mapping[str, Metadata]) -> dict[str, int]:
    return {
        # The last 8 bytes: in the embedded broker's ids the first ones are the time, equal for topics made together.
        name: UUID(str(topic["topic_id"])).int & 2**64 - 1 if topic.get("topic_id") else UNKNOWN
        for name, topic in found.items()
        if not topic["error_code"]
    }


def _names(topics: Sequence[Topic]) -> list[str]:
    return [topic.name for topic in topics]


def described(admin: PatientAdmin, names: Sequence[str]) -> dict[str, Metadata]:
    """Return the metadata of the topics that exist, by name, in the order of ``names``."""
    answer = admin.ask(lambda client: client.describe_topics(list(names)))
    unknown = UnknownTopicOrPartitionError.errno
    found = {topic["name"]: topic for topic in answer if topic["error_code"] != unknown}
    return {name: found[name] for name in names if name in found}


def configs_of(admin: PatientAdmin, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the settings of each topic, including defaults."""
    return {
        name: {key: entry["value"] for key, entry in entries.items()}
        for name, entries in _entries(admin, names).items()
    }


def _entries(admin: PatientAdmin, names: Sequence[str]) -> dict[str, Entries]:
    """Return the settings of each topic with where they come from, including defaults."""
    # No list of wanted keys: with one, Tansu 0.6 drops the connection.
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}
    answer = admin.ask(lambda client: client.describe_configs(resources, config_filter="all"))
    found: dict[str, Entries] = answer.get("topic", {})
    return found


def _unseen(admin: PatientAdmin, configs: Mapping[str, Mapping[str, Any]]) -> list[Right]:
    """Return the rights that are missing to look at settings: of a refusal, kafka-python shows no settings, no error.

    It shows none either of a topic that was made a moment ago, or is gone.
    """
    hidden = [name for name, config in configs.items() if not config]
    found = described(admin, hidden) if hidden else {}
    return [
        Right(DESCRIBE_CONFIGS, TOPIC, name)
        for name, topic in found.items()
        if may_not(topic, DESCRIBE_CONFIGS)
    ]


def _differences(topic: Topic, found: Metadata | None, config: dict[str, str]) -> Iterator[str]:
    if found is None:
        yield MISSING
        return
    if found["error_code"]:
        yield f"cannot be read ({for_code(found['error_code']).__name__})"
        return
    partitions = found["partitions"]
    replication = min(len(partition["replica_nodes"]) for partition in partitions)
    if len(partitions) != topic.partitions:
        yield f"has {len(partitions)} {PARTITIONS} {topic.partitions}"
    if replication != topic.replication:
        yield f"has {replication} replicas instead of {topic.replication}"
    for key, wanted in topic.config.items():
        if config.get(key) != wanted:
            yield f"has {key} {config.get(key, 'unset')} instead of {wanted}"


def _create(admin: PatientAdmin, topics: Sequence[Topic]) -> list[str]:
    new = [
        NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=topic.config | topic.advised)
        for topic in topics
    ]
    created = admin.ask(lambda client: _create_new(client, new))
    admin.ask(lambda client: client.wait_for_topics(_names(topics)))
    return created


def _create_new(client: KafkaAdminClient, new: Sequence[NewTopic]) -> list[str]:
    answer = client.create_topics(new, raise_errors=False)["topics"]
    refused = TopicAuthorizationFailedError.errno
    require([Right(CREATE, TOPIC, topic["name"]) for topic in answer if topic["error_code"] == refused])
    for topic in answer:
        # "Already exists" is no error: another `afresh topics create` may have been faster.
        if topic["error_code"] not in (0, TopicAlreadyExistsError.errno):
            error = for_code(topic["error_code"])
            if error.retriable:
                raise error(topic["error_message"])
            reason = topic["error_message"] or error.__name__
            raise AfreshError(f"Kafka did not create the topic {topic['name']}: {reason}")
    return [topic["name"] for topic in answer if not topic["error_code"]]
