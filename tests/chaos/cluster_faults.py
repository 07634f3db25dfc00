"""Faults of three brokers, and of a Redis with its replica and a Sentinel."""

from __future__ import annotations

from typing import Any

from kafka import TopicPartition
from kafka.protocol.admin.topics import ElectionType

from tests.chaos.fault import Fault, Scene
from tests.kafka.cluster import coordinator

AWAY_SECONDS = 8.0
"""How long a broker stays dead: longer than Kafka waits before others take over (``broker.session.timeout.ms``)."""

QUORUM_SECONDS = 30.0
"""Longest time without a quorum."""

LOOK_SECONDS = 0.2


class ClusterFault(Fault):
    """A fault of brokers."""

    place = "broker"

    def _ask(self, question: Any) -> Any:
        return self.pipeline.admin.ask(question)

    def _topics(self) -> list[dict[str, Any]]:
        topics: list[dict[str, Any]] = self._ask(lambda admin: admin.describe_topics())
        return topics

    def _in_sync(self) -> bool:
        """Whether every partition has a leader and all its replicas."""
        return all(
            partition["leader_id"] in partition["isr_nodes"]
            and len(partition["isr_nodes"]) == len(partition["replica_nodes"])
            for topic in self._topics()
            for partition in topic["partitions"]
        )

    def _wait_until_in_sync(self, what: str) -> None:
        if not self.pipeline.wait_until(self._in_sync, LOOK_SECONDS):
            raise AssertionError(f"replicas are missing {what}")


class LeaderKilled(ClusterFault):
    """The broker that leads a partition is killed, and comes back after others have taken over."""

    name = "leader-killed"

    @property
    def seconds(self) -> float:
        """Time enough for others to take over."""
        return AWAY_SECONDS

    def inject(self) -> None:
        """Kill the broker."""
        self.pipeline.servers.kafka.broker(self._node()).kill()

    def heal(self) -> None:
        """Start the broker, and wait until it has all that the others have."""
        self.pipeline.servers.kafka.start()
        self._wait_until_in_sync(f"after {self.name}")

    def _node(self) -> int:
        """Return the id of the broker to kill."""
        ours = {topic.name for topic in self.pipeline.topics.all()}
        partitions = [
            each for topic in self._topics() if topic["name"] in ours for each in topic["partitions"]
        ]
        return int(self.scene.random.choice(partitions)["leader_id"])


class CoordinatorKilled(LeaderKilled):
    """The broker that coordinates the workers' group is killed."""

    name = "coordinator-killed"

    def _node(self) -> int:
        return coordinator(self.pipeline.admin, self.pipeline.settings.namespace)


class RollingRestart(ClusterFault):
    """All brokers are restarted in order, one after the other, as for an upgrade."""

    name = "rolling-restart"

    def inject(self) -> None:
        """Stop and start each broker, and wait until it has all that the others have."""
        brokers = list(self.pipeline.servers.kafka.brokers)
        self.scene.random.shuffle(brokers)
        for broker in brokers:
            broker.stop()
            self.pipeline.servers.kafka.start()
            self._wait_until_in_sync(f"after the restart of {broker.name}")


class QuorumLost(ClusterFault):
    """Two of three brokers are dead for a while; they are controllers as well, so nothing can be decided either."""

    name = "quorum-lost"

    @property
    def seconds(self) -> float:
        """At most as long as the scene says."""
        return min(self.scene.down_seconds, QUORUM_SECONDS)

    def inject(self) -> None:
        """Kill two brokers."""
        for broker in self.scene.random.sample(self.pipeline.servers.kafka.brokers, 2):
            broker.kill()

    def heal(self) -> None:
        """Start them, and wait until they have all."""
        self.pipeline.servers.kafka.start()
        self._wait_until_in_sync(f"after {self.name}")


class LeadershipMoved(ClusterFault):
    """Every partition gets another leader, also those of Kafka's own topics, so that coordinators move as well."""

    name = "leadership-moved"

    def inject(self) -> None:
        """Prefer another replica of each partition, and elect it until it leads."""
        self._wait_until_in_sync(f"before {self.name}")
        moved = {
            TopicPartition(topic["name"], partition["partition_index"]): _led_by_next(partition)
            for topic in self._topics()
            for partition in topic["partitions"]
        }
        refused = self._ask(lambda admin: admin.alter_partition_reassignments(moved))
        assert not any(refused.values()), refused
        first = {partition: replicas[0] for partition, replicas in moved.items()}
        if not self.pipeline.wait_until(lambda: self._elected() == first, LOOK_SECONDS):
            raise AssertionError("partitions did not get the leaders that they should have")

    def _elected(self) -> dict[TopicPartition, int]:
        """Elect the preferred replicas, and return who leads; one that has just fallen behind is not elected."""
        self._ask(lambda admin: admin.elect_leaders(ElectionType.PREFERRED, raise_errors=False))
        return {
            TopicPartition(topic["name"], partition["partition_index"]): partition["leader_id"]
            for topic in self._topics()
            for partition in topic["partitions"]
        }


def _led_by_next(partition: dict[str, Any]) -> list[int]:
    """Return the replicas of a partition, beginning with the one after its leader."""
    replicas = sorted(partition["replica_nodes"])
    start = replicas.index(partition["leader_id"]) + 1
    return replicas[start:] + replicas[:start]


class RedisFailover(Fault):
    """The master dies, and the Sentinel makes its replica the master; the old one comes back as a replica."""

    name = "redis-failover"
    place = "redis"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._servers = self.pipeline.servers
        self._old = self._servers.master
        # The replica may lack the last writes.
        scene.watcher.look_away()

    def inject(self) -> None:
        """Kill the master, and wait until the Sentinel names another one."""
        if not self.pipeline.wait_until(self._servers.in_step, LOOK_SECONDS):
            raise AssertionError("the replica of Redis did not catch up")
        self._old = self._servers.master
        self._end_the_rule_of_the_master()
        if not self.pipeline.wait_until(lambda: self._servers.master is not self._old, LOOK_SECONDS):
            raise AssertionError("the Sentinel did not make the replica the master")

    def heal(self) -> None:
        """Start the old master again if it is dead, and wait until it is a replica: until then it may take lists."""
        process = self._old.process
        if process is not None and process.pid is None:
            process.start()
        in_step = self.pipeline.wait_until(self._servers.in_step, LOOK_SECONDS)
        self.scene.watcher.look_again()
        if not in_step:
            raise AssertionError("the old master of Redis did not become a replica")

    def _end_the_rule_of_the_master(self) -> None:
        self._old.kill()


class RedisHandedOver(RedisFailover):
    """An operator lets the Sentinel make the replica the master; both go on running."""

    name = "redis-handed-over"

    def _end_the_rule_of_the_master(self) -> None:
        self._servers.hand_over()
