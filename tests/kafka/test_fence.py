"""On the genuine Kafka: after another worker has claimed a partition, the old owner's rows never reach the log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from faust.types import TP
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ConfigResource,
    ConfigResourceType,
    ResourcePattern,
    ResourceType,
)

from afresh.deploy.clients import places
from afresh.deploy.ledger import audit
from afresh.deploy.servers import Server, local_kafka
from afresh.deploy.servers.kafka import Installation
from afresh.state.rows import users
from afresh.state.rows.users import UserRow
from afresh.state.store.marks import CLAIM_KEY
from afresh.state.store.rows import TOMBSTONES_MS
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.admin import claim_expiry
from afresh.streams.kafka.fence import Claims
from afresh.streams.kafka.sender import FencedError, OutgoingRecord
from afresh.streams.settings import Settings
from tests.conftest import settings_for
from tests.kafka.deployment import TABLES, Deployment, deployment, wait

EXPIRY_SECONDS = 4.0

FORGETFUL = {
    "transactional.id.expiration.ms": f"{EXPIRY_SECONDS * 1000:.0f}",
    "producer.id.expiration.ms": f"{EXPIRY_SECONDS * 1000:.0f}",
    "transaction.remove.expired.transaction.cleanup.interval.ms": "200",
    "producer.id.expiration.check.interval.ms": "200",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
"""Settings of a broker that forgets claims within seconds, instead of days."""


RENEWALS = 6
"""So many renewals take longer than Kafka remembers a claim, even at a sixth of that time each."""


@pytest.fixture(scope="module")
def forgetful(kafka_installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with local_kafka(tmp_path_factory.mktemp("forgetful"), kind="kafka", properties=FORGETFUL) as server:
        yield server


@pytest.fixture
def forgotten(forgetful: Server, redis_server: Server, tmp_path: Path) -> Iterator[Deployment]:
    settings = settings_for(forgetful, redis_server, tmp_path).model_copy(
        update={"list_refresh_seconds": 0.5}
    )
    with deployment(settings, tmp_path) as made:
        yield made


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(settings, tmp_path) as made:
        yield made


class Producers:
    """Starts producers, and stops them all."""

    def __init__(self, made: Deployment) -> None:
        self._brokers = made.settings.brokers
        self._started: list[AIOKafkaProducer] = []

    async def start(self, transactional_id: str | None) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._brokers, transactional_id=transactional_id, acks="all"
        )
        await producer.start()
        self._started.append(producer)
        return producer

    async def stop(self) -> None:
        for producer in self._started:
            await producer.stop()


async def test_kafka_refuses_the_rows_of_a_worker_after_another_has_claimed_its_partition(
    made: Deployment,
) -> None:
    producers = Producers(made)
    topic = made.topics.users.name
    sleeper, owner = (
        Claims(made.settings.namespace, producers.start, lambda _: None, fenced=True) for _ in range(2)
    )
    await sleeper.renew([TP(topic, 0), TP(topic, 1)])
    await sleeper.sender(topic, 0).send_whole(topic, 0, [OutgoingRecord(b"ann", b"old")])
    await owner.renew([TP(topic, 0)])
    with pytest.raises(FencedError):
        await sleeper.sender(topic, 0).send_whole(topic, 0, [OutgoingRecord(b"ann", b"stale")])
    await owner.sender(topic, 0).send_whole(
        topic, 0, [OutgoingRecord(b"ann", b"new"), OutgoingRecord(b"bob", b"new")]
    )
    with pytest.raises(FencedError):
        await sleeper.sender(topic, 0).send_whole(topic, 0, [OutgoingRecord(b"bob", b"stale")])
    await sleeper.sender(topic, 1).send_whole(topic, 1, [OutgoingRecord(b"cid", b"kept")])
    await producers.stop()
    found = {(each.partition, each.key, each.value) for each in made.records(made.topics.users)}
    assert found == {
        (0, CLAIM_KEY, None),
        (1, CLAIM_KEY, None),
        (0, b"ann", b"old"),
        (0, b"ann", b"new"),
        (0, b"bob", b"new"),
        (1, b"cid", b"kept"),
    }


def alter(made: Deployment, **config: str) -> None:
    """Change settings of the users' changelog, and let the broker compact often."""
    named = {name.replace("_", "."): value for name, value in config.items()}
    admin = KafkaAdminClient(**kafka_options(made.settings))
    try:
        topic = ConfigResource(ConfigResourceType.TOPIC, made.topics.users.name, configs=named)
        broker = ConfigResource(ConfigResourceType.BROKER, "1", configs={"log.cleaner.backoff.ms": "500"})
        admin.alter_configs([topic, broker])
    finally:
        admin.close()


async def test_a_worker_recovers_a_changelog_whose_claims_kafka_has_compacted_away(made: Deployment) -> None:
    """Recovery waits for the last record. It is always there: Kafka never compacts the segment that it writes to."""
    small = {"segment_ms": "500", "min_cleanable_dirty_ratio": "0.01", "max_compaction_lag_ms": "500"}
    alter(made, delete_retention_ms="0", **small)
    partition, producers = TP(made.topics.users.name, 0), Producers(made)
    claims = Claims(made.settings.namespace, producers.start, lambda _: None, fenced=True)
    await claims.renew([partition])
    await claims.sender(*partition).send_whole(
        *partition, [OutgoingRecord(b"web:ann", users.pack(UserRow()))]
    )
    claimed = 1

    async def offsets() -> list[int]:
        found = await asyncio.to_thread(made.records, made.topics.users)
        return [each.offset for each in found if each.partition == partition.partition]

    while not 0 < len(left := await offsets()) <= claimed // 2 or claimed < 6:
        assert claimed < 60, f"nothing was compacted: {left}"
        await asyncio.sleep(1.0)
        await claims.renew([partition])
        claimed += 1
    await asyncio.sleep(5.0)
    assert (await offsets())[-1] == claimed
    await producers.stop()
    alter(made, delete_retention_ms=str(TOMBSTONES_MS), **small)
    with made.running(made.process()):
        pass


def claims_of(made: Deployment, producers: Producers) -> Claims:
    """Make the claims of one process, which knows when the broker forgets them."""
    claims = Claims(made.settings.namespace, producers.start, lambda _: None, fenced=True)
    claims.expiry_seconds = EXPIRY_SECONDS
    return claims


def epoch(made: Deployment) -> int:
    """Return how often in turn the claims of a deployment were renewed before Kafka forgot them."""
    tps = [place for table in TABLES for place in places(getattr(made.topics, table))]
    admin = KafkaAdminClient(**kafka_options(made.settings))
    try:
        found = admin.describe_producers(tps).values()
    finally:
        admin.close()
    # A claim that Kafka has forgotten got a later producer id, and began anew at epoch 0.
    states = [[(each.producer_id, each.producer_epoch) for each in known.active_producers] for known in found]
    return min(int(max(each, default=(0, 0))[1]) for each in states)


async def test_an_owner_whose_claim_kafka_has_forgotten_writes_nothing(forgotten: Deployment) -> None:
    made, producers, topic = forgotten, Producers(forgotten), forgotten.topics.users.name
    # Of the first partition, the coordinator forgets the claim before it is replaced. Of the second, the leader forgets
    # what has replaced it.
    first, second = TP(topic, 0), TP(topic, 1)
    sleeper, owner, heir = (claims_of(made, producers) for _ in range(3))
    await sleeper.renew([first, second])
    await owner.renew([second])
    await asyncio.sleep(EXPIRY_SECONDS + 2.0)
    await heir.renew([first])
    await heir.sender(*first).send_whole(*first, [OutgoingRecord(b"ann", b"new")])
    for tp in (first, second):
        with suppress(FencedError, TimeoutError):
            sending = sleeper.sender(*tp).send_whole(*tp, [OutgoingRecord(b"ann", b"stale")])
            await asyncio.wait_for(sending, 0.5)
    kept = [(each.partition, each.value) for each in made.records(made.topics.users) if each.value]
    assert kept == [(0, b"new")]
    # Nor does it renew a claim of a partition that another process has written to.
    with pytest.raises(ExceptionGroup) as ended:
        await asyncio.wait_for(sleeper.keep(lambda: True), 60.0)
    assert ended.group_contains(FencedError, match="has records of another writer")
    await producers.stop()


def test_a_worker_renews_its_claims_under_load_and_idle_and_counts_exactly(
    forgotten: Deployment,
) -> None:
    """It runs for several times the age at which Kafka forgets claims."""
    made, process = forgotten, forgotten.process()

    def busy() -> bool:
        made.load(100)
        return epoch(made) >= RENEWALS

    def clean() -> bool:
        # The ledger waits until nothing is written any more, but here claims are, all the time.
        report = audit(made.settings)
        differences = [each for each in report.differences if not each.startswith("settling")]
        return not differences and report.events.once == made.sent

    with made.running(process) as page:
        wait(busy, "a busy worker to renew its claims")
        wait(lambda: epoch(made) >= 2 * RENEWALS, "an idle worker to renew its claims")
        made.load(100)
        wait(clean, "the ledger to find no difference")
        assert page.ready()
    log = process.log.read_text()
    assert "FencedError" not in log
    assert log.count(f"Kafka forgets claims after {EXPIRY_SECONDS:g} s") == 1


def test_kafka_says_when_it_forgets_claims_only_to_those_with_the_right_to_ask(forgotten: Deployment) -> None:
    settings = forgotten.settings
    assert claim_expiry(settings) == EXPIRY_SECONDS
    cluster = ResourcePattern(ResourceType.CLUSTER, "kafka-cluster")
    rights = {
        ACLOperation.ALL: ACLPermissionType.ALLOW,
        ACLOperation.DESCRIBE_CONFIGS: ACLPermissionType.DENY,
    }
    admin = KafkaAdminClient(**kafka_options(settings))
    try:
        admin.create_acls(
            [ACL("User:*", "*", operation, kind, cluster) for operation, kind in rights.items()]
        )
        wait(lambda: claim_expiry(settings) is None, "the right to be taken away", 20.0)
        admin.delete_acls([ACLFilter("User:*", "*", ACLOperation.ANY, ACLPermissionType.ANY, cluster)])
    finally:
        admin.close()
