"""Looks for settings of topics and brokers under which counted records can be lost, or no record be written.

``afresh topics check`` says what to set. Workers start all the same, unless a topic takes no batches that are large
enough.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

from kafka.errors import AuthorizationError

from afresh.state.errors import AfreshError
from afresh.streams.kafka.admin import (
    EXPIRY_SETTINGS,
    Metadata,
    asking,
    broker_configs,
    claim_expiry,
    configs_of,
    described,
)
from afresh.streams.kafka.limits import DEFAULT_BYTES, LEAST_BYTES, SETTING, BatchLimits, how_to_raise
from afresh.streams.kafka.patient import PatientAdmin
from afresh.streams.kafka.rights import CLUSTER, DESCRIBE_CONFIGS, NotAllowedError, Right, named
from afresh.streams.settings import Settings
from afresh.streams.topics import DAY_MS, Topic, Topics

INTERNAL = {
    "__consumer_offsets": "offsets.topic.replication.factor",
    "__transaction_state": "transaction.state.log.replication.factor",
}
"""Topics in which Kafka keeps offsets and claims, each with the setting of brokers for its replicas when it is made."""

LONGEST_GROWTH = 5
"""How many times as long as an item or event the longest record is that comes from it."""

logger = logging.getLogger(__name__)


def check_safety(settings: Settings) -> list[str]:
    """Describe every setting that is not safe; what a broker does not tell is left out.

    Raises
    ------
    UnavailableError
        If Kafka does not answer within the start timeout.
    """
    topics = Topics(settings).all()
    ours = {topic.name for topic in Topics(settings).ours()}
    least = max(LEAST_BYTES, LONGEST_GROWTH * settings.text_limit_bytes)
    with asking(settings) as admin:
        found = described(admin, [topic.name for topic in topics])
        configs = configs_of(admin, list(found))
        internal = described(admin, list(INTERNAL))
        brokers = broker_configs(admin)
    return [
        *(
            f"{topic.name} {fault}"
            for topic in topics
            for fault in _faults(topic, configs.get(topic.name, {}), least if topic.name in ours else 0)
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


def require_room(settings: Settings, topics: Sequence[Topic]) -> BatchLimits:
    """Return how large a batch each topic takes.

    Raises
    ------
    UnavailableError
        If Kafka does not answer within the start timeout.
    AfreshError
        If a topic takes less than the largest row or record needs.
    """
    with asking(settings) as admin:
        found = _limits(admin, [topic.name for topic in topics])
    if len(found) < len(topics):
        logger.info(
            "Kafka does not say how large batches may be (the right DescribeConfigs on topics may be missing); its "
            "default is assumed, %s %d",
            SETTING,
            DEFAULT_BYTES,
        )
    small = {name: limit for name, limit in found.items() if limit < LEAST_BYTES}
    if small:
        small_ones = ", ".join(f"{name} has {SETTING} {limit}" for name, limit in small.items())
        raise AfreshError(
            f"a row may not fit into a record batch: {small_ones}, and {LEAST_BYTES} is the least; "
            f"{how_to_raise(min(small), LEAST_BYTES)}, for each topic named; or set message.max.bytes of the brokers, "
            "which stands for it where a topic has none of its own"
        )
    return BatchLimits(found)


def _limits(admin: PatientAdmin, names: Sequence[str]) -> dict[str, int]:
    """Return the limits that Kafka tells."""
    try:
        configs = configs_of(admin, names)
    except AuthorizationError:
        return {}
    return {name: int(config[SETTING]) for name, config in configs.items() if config.get(SETTING)}


def _faults(topic: Topic, config: Mapping[str, str], batch: int) -> Iterator[str]:
    least = int(config.get("min.insync.replicas") or 0)
    if least >= topic.replication > 1:
        yield f"has min.insync.replicas {least} of {topic.replication}: nothing is written while a broker is down"
    elif least > topic.replication:
        yield f"has min.insync.replicas {least} of {topic.replication}: nothing can be written"
    elif least == 1 and topic.replication > 2:
        yield f"has min.insync.replicas {least}: one broker that fails can take counted records with it; set it to 2"
    if config.get("unclean.leader.election.enable") == "true":
        yield "has unclean.leader.election.enable true: counted records can be lost; set it to false"
    limit = int(config.get(SETTING) or batch)
    if limit < batch:
        yield f"has {SETTING} {limit}: a row or record of up to {batch} is written; set it to that at least"


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
