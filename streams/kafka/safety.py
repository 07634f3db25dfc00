"""Looks for settings of topics and brokers under which counted records can be lost, or no record be written.

Workers start all the same: ``afresh topics check`` says what to set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from afresh.streams.kafka.admin import (
    EXPIRY_SETTINGS,
    Metadata,
    asking,
    broker_configs,
    claim_expiry,
    configs_of,
    described,
)
from afresh.streams.kafka.rights import CLUSTER, DESCRIBE_CONFIGS, NotAllowedError, Right, named
from afresh.streams.kafka.sender import BATCH_BYTES
from afresh.streams.settings import Settings
from afresh.streams.topics import DAY_MS, Topic, Topics

INTERNAL = {
    "__consumer_offsets": "offsets.topic.replication.factor",
    "__transaction_state": "transaction.state.log.replication.factor",
}
"""Topics in which Kafka keeps offsets and claims, each with the setting of brokers for its replicas when it is made."""


def check_safety(settings: Settings) -> list[str]:
    """Describe every setting that is not safe; what a broker does not tell is left out.

    Raises
    ------
    UnavailableError
        If Kafka does not answer within the start timeout.
    """
    topics = Topics(settings).all()
    with asking(settings) as admin:
        found = described(admin, [topic.name for topic in topics])
        configs = configs_of(admin, list(found))
        internal = described(admin, list(INTERNAL))
        brokers = broker_configs(admin)
    return [
        *(
            f"{topic.name} {fault}"
            for topic in topics
            for fault in _faults(topic, configs.get(topic.name, {}))
        ),
        *_internal_faults(settings.replication, internal, brokers),
        *_expiry_faults(brokers),
    ]


def unseen(settings: Settings) -> list[str]:
    """Say what could not be looked at: the settings of brokers, without the right to see them."""
    if not settings.idempotence or claim_expiry(settings) is not None:
        return []
    missing = NotAllowedError("Kafka does not show settings", [Right(DESCRIBE_CONFIGS, CLUSTER)])
    return [f"the settings of the brokers were not looked at: {named(settings, missing)}"]


def _faults(topic: Topic, config: Mapping[str, str]) -> Iterator[str]:
    least = int(config.get("min.insync.replicas") or 0)
    if least >= topic.replication > 1:
        yield f"has min.insync.replicas {least} of {topic.replication}: nothing is written while a broker is down"
    elif least > topic.replication:
        yield f"has min.insync.replicas {least} of {topic.replication}: nothing can be written"
    elif least == 1 and topic.replication > 2:
        yield f"has min.insync.replicas {least}: one broker that fails can take counted records with it; set it to 2"
    if config.get("unclean.leader.election.enable") == "true":
        yield "has unclean.leader.election.enable true: counted records can be lost; set it to false"
    largest = int(config.get("max.message.bytes") or BATCH_BYTES)
    if largest < BATCH_BYTES:
        yield f"has max.message.bytes {largest}: batches of up to {BATCH_BYTES} are written; set it to that at least"


def _internal_faults(
    replication: int, found: Mapping[str, Metadata], brokers: Sequence[Mapping[str, str]]
) -> Iterator[str]:
    """Compare Kafka's own topics with the replication of ours; before they are made, the settings of brokers."""
    for name, setting in INTERNAL.items():
        partitions = found[name]["partitions"] if name in found else []
        replicas = [len(partition["replica_nodes"]) for partition in partitions]
        if not replicas:
            replicas = [int(config[setting]) for config in brokers if config.get(setting)]
        if replicas and min(replicas) < replication:
            yield f"{name} has {min(replicas)} replicas, and AFRESH_REPLICATION is {replication}: raise {setting}"


def _expiry_faults(brokers: Sequence[Mapping[str, str]]) -> Iterator[str]:
    for setting in EXPIRY_SETTINGS:
        values = {int(config[setting]) for config in brokers if config.get(setting)}
        if values and min(values) < DAY_MS:
            yield f"a broker has {setting} {min(values)}: claims are forgotten soon; set it to {DAY_MS} at least"
        if len(values) > 1:
            yield f"brokers have different {setting} ({', '.join(map(str, sorted(values)))}); set them to the same"
