"""Faults of one broker and of one Redis."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.fault import Fault

SNAPSHOT = "dump.rdb"
"""File that Redis saves its data in, in its folder; Redis reads it at its start."""


class BrokerKilled(Fault):
    """The broker is killed and started again at once."""

    name = "broker-killed"
    place = "broker"

    def inject(self) -> None:
        """Kill the broker."""
        self.pipeline.servers.kafka.broker(1).kill()

    def heal(self) -> None:
        """Start the broker."""
        self.pipeline.servers.kafka.start()


class BrokerDown(BrokerKilled):
    """The broker is stopped for a while."""

    name = "broker-down"

    @property
    def seconds(self) -> float:
        """As long as the scene says."""
        return self.scene.down_seconds

    def inject(self) -> None:
        """Stop the broker with SIGTERM."""
        self.pipeline.servers.kafka.broker(1).stop()


class RedisFault(Fault):
    """A fault in which Redis loses its lists."""

    place = "redis"

    def inject(self) -> None:
        """Kill Redis, and delete the data that it saved."""
        self.scene.watcher.look_away()
        self.pipeline.servers.master.kill()
        self._snapshot().unlink(missing_ok=True)

    def heal(self) -> None:
        """Start Redis."""
        self.pipeline.servers.master.start()
        self.scene.watcher.look_again()

    def _snapshot(self) -> Path:
        process = self.pipeline.servers.master.process
        assert process is not None
        return process.log.parent / SNAPSHOT


class RedisKilled(RedisFault):
    """Redis is killed some seconds after it saved its lists, and comes back with the old lists."""

    name = "redis-killed"

    def inject(self) -> None:
        """Kill Redis, but leave the data that it saved."""
        self.pipeline.redis.save()
        self.pipeline.sleep(3.0)
        self.scene.watcher.look_away()
        self.pipeline.servers.master.kill()

    def heal(self) -> None:
        """Start Redis with the data that it saved."""
        super().heal()
        self._snapshot().unlink(missing_ok=True)


class RedisReplaced(RedisFault):
    """An empty Redis replaces the Redis."""

    name = "redis-replaced"


class RedisDown(RedisFault):
    """Redis is down for a while, and comes back empty."""

    name = "redis-down"

    @property
    def seconds(self) -> float:
        """As long as the scene says."""
        return self.scene.down_seconds
