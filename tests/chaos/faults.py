"""The faults: each is injected, held for some seconds, and healed."""

from __future__ import annotations

import os
import random
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from redis.exceptions import RedisError

from tests.chaos.load import ITEMS, Load
from tests.chaos.pipeline import SESSION_SECONDS, Pipeline
from tests.chaos.watcher import Watcher

BURST = 10.0

SNAPSHOT = "dump.rdb"
"""Where Redis keeps what it is told to save, in its folder; it reads the file at its start."""


@dataclass
class Scene:
    """What a fault is done to.

    Attributes
    ----------
    pipeline, load, watcher
        The parts of the run.
    random
        For choices, made from the seed.
    down_seconds
        How long a server stays down where it is to stay down.
    """

    pipeline: Pipeline
    load: Load
    watcher: Watcher
    random: random.Random
    down_seconds: float


class Fault:
    """Something that goes wrong, and then stops going wrong."""

    name: ClassVar[str]
    place: ClassVar[str]
    """What it is done to; two faults of one place never come together."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.pipeline = scene.pipeline

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return 0.0

    def inject(self) -> None:
        """Let it go wrong."""
        raise NotImplementedError

    def heal(self) -> None:
        """Let it stop going wrong; by default it has already."""


class WorkerFault(Fault):
    """Something that happens to one worker."""

    place = "workers"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.worker = scene.random.choice([each for each in self.pipeline.workers if each.wanted])


class WorkerTerminated(WorkerFault):
    """A worker is told to stop; the supervisor starts it again."""

    name = "worker-terminated"

    def inject(self) -> None:
        """Let it stop in order."""
        self.worker.signal(signal.SIGTERM)
        self.worker.wait_for_end()
        status = self.worker.process.status
        # Without a broker it can't leave in order, and ends after some seconds all the same.
        if status != 0 and self.pipeline.kafka_runs:
            raise AssertionError(f"{self.worker.name} ended with status {status} when told to stop")


class WorkerKilled(WorkerFault):
    """A worker is killed; the supervisor starts it again."""

    name = "worker-killed"

    def inject(self) -> None:
        """Kill it."""
        self.worker.signal(signal.SIGKILL)
        self.worker.wait_for_end()


class WorkerAsleep(WorkerFault):
    """A worker sleeps for longer than its session, and wakes up believing that it still owns its partitions."""

    name = "worker-asleep"

    @property
    def seconds(self) -> float:
        """Longer than the session, so that its partitions have moved when it wakes up."""
        return SESSION_SECONDS + 5.0

    def inject(self) -> None:
        """Let it sleep."""
        self.worker.signal(signal.SIGSTOP)

    def heal(self) -> None:
        """Wake it up."""
        self.worker.signal(signal.SIGCONT)


class WorkersJoin(Fault):
    """Two more workers join under load; then one of them leaves in order and the other is killed."""

    name = "workers-join-and-leave"
    place = "workers"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.guests = [each for each in self.pipeline.workers if not each.wanted][:2]

    @property
    def seconds(self) -> float:
        """Enough for them to take their share."""
        return 12.0

    def inject(self) -> None:
        """Let them join."""
        for guest in self.guests:
            guest.start()
        if not self.pipeline.wait_until(lambda: not self.pipeline.not_ready(), 0.2):
            raise AssertionError(f"two workers have joined in vain: {self.pipeline.not_ready()}")

    def heal(self) -> None:
        """Let them leave."""
        for guest, how in zip(self.guests, (signal.SIGTERM, signal.SIGKILL), strict=True):
            guest.wanted = False
            guest.signal(how)
            guest.wait_for_end()


class WorkersRestarted(Fault):
    """All workers are stopped and started again at once."""

    name = "workers-restarted"
    place = "workers"

    def inject(self) -> None:
        """Stop them all; the supervisor starts them again."""
        workers = [each for each in self.pipeline.workers if each.wanted]
        for worker in workers:
            worker.signal(signal.SIGTERM)
        for worker in workers:
            worker.wait_for_end()


class EmbedKilled(Fault):
    """The embed worker is killed in the middle of a batch, as the kernel does when memory is short."""

    name = "embed-worker-killed"
    place = "embed"

    def inject(self) -> None:
        """Kill it while it encodes."""
        for number in range(ITEMS):
            self.scene.load.item(number)
        if not self.pipeline.wait_until(self._encodes, 0.02):
            raise AssertionError("the embed worker has not begun to encode after texts changed")
        self.pipeline.embed.signal(signal.SIGKILL)
        self.pipeline.embed.wait_for_end()

    def _encodes(self) -> bool:
        return self.pipeline.embed.page.read().total("afresh_embedding_queue") > 0


class BrokerKilled(Fault):
    """The broker is killed and started again at once."""

    name = "broker-killed"
    place = "broker"

    def inject(self) -> None:
        """Kill it."""
        self.pipeline.kafka.kill()

    def heal(self) -> None:
        """Start it."""
        self.pipeline.kafka.start()


class BrokerDown(BrokerKilled):
    """The broker is stopped for a while."""

    name = "broker-down"

    @property
    def seconds(self) -> float:
        """How long."""
        return self.scene.down_seconds

    def inject(self) -> None:
        """Stop it in order."""
        self.pipeline.kafka.stop()


class RedisFault(Fault):
    """Something that costs Redis its lists."""

    place = "redis"

    def inject(self) -> None:
        """Kill it, and whatever it kept."""
        self.scene.watcher.look_away()
        self.pipeline.redis_server.kill()
        self._snapshot().unlink(missing_ok=True)

    def heal(self) -> None:
        """Start it."""
        self.pipeline.redis_server.start()
        self.scene.watcher.look_again()

    def _snapshot(self) -> Path:
        process = self.pipeline.redis_server.process
        assert process is not None
        return process.log.parent / SNAPSHOT


class RedisKilled(RedisFault):
    """Redis is killed some seconds after it saved its lists, and comes back with the old ones."""

    name = "redis-killed"

    def inject(self) -> None:
        """Kill it, but leave what it kept."""
        self.pipeline.redis.save()
        self.pipeline.sleep(3.0)
        self.scene.watcher.look_away()
        self.pipeline.redis_server.kill()

    def heal(self) -> None:
        """Start it with what it kept."""
        super().heal()
        self._snapshot().unlink(missing_ok=True)


class RedisReplaced(RedisFault):
    """Redis is replaced by an empty one."""

    name = "redis-replaced"


class RedisDown(RedisFault):
    """Redis is down for a while, and comes back empty."""

    name = "redis-down"

    @property
    def seconds(self) -> float:
        """How long."""
        return self.scene.down_seconds


class RedisFlushed(Fault):
    """Somebody deletes everything in Redis."""

    name = "redis-flushed"
    place = "redis"

    def inject(self) -> None:
        """Delete it."""
        self.scene.watcher.look_away()
        self.pipeline.redis.flushall()
        self.scene.watcher.look_again()


class RedisSlow(Fault):
    """Redis does not answer for a while, though connections stand."""

    name = "redis-slow"
    place = "redis"

    @property
    def seconds(self) -> float:
        """Longer than a worker waits for an answer."""
        return 8.0

    def inject(self) -> None:
        """Pause it."""
        self.pipeline.redis.client_pause(int(self.seconds * 1000))

    def heal(self) -> None:
        """Go on."""
        with suppress(RedisError):
            self.pipeline.redis.client_unpause()


class LoadFault(Fault):
    """The producers do something unusual for a while."""

    place = "load"

    @property
    def seconds(self) -> float:
        """How long."""
        return 6.0


class Burst(LoadFault):
    """Ten times as many events."""

    name = "burst"

    def inject(self) -> None:
        """Begin."""
        self.scene.load.burst = BURST

    def heal(self) -> None:
        """End."""
        self.scene.load.burst = 1.0


class HotUser(LoadFault):
    """One user sends 30 % of all events."""

    name = "hot-user"

    def inject(self) -> None:
        """Begin."""
        self.scene.load.hot_user = "user-0"

    def heal(self) -> None:
        """End."""
        self.scene.load.hot_user = ""


class HotItem(LoadFault):
    """One item is taken in 30 % of all events."""

    name = "hot-item"

    def inject(self) -> None:
        """Begin."""
        self.scene.load.hot_item = "item-0"

    def heal(self) -> None:
        """End."""
        self.scene.load.hot_item = ""


class DiskFull(Fault):
    """The disk with the workers' own files is full, and one of them is started again meanwhile."""

    name = "disk-full"
    place = "workers"

    @property
    def seconds(self) -> float:
        """Time enough to start."""
        return 10.0

    def inject(self) -> None:
        """Fill it, and restart a worker."""
        filler = self.pipeline.disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 65_536)
        worker = self.pipeline.workers[0]
        worker.signal(signal.SIGTERM)
        worker.wait_for_end()

    def heal(self) -> None:
        """Empty it."""
        (self.pipeline.disk / "filler").unlink()


FAULTS: dict[str, type[Fault]] = {
    fault.name: fault
    for fault in (
        WorkerTerminated,
        WorkerKilled,
        WorkerAsleep,
        WorkersJoin,
        WorkersRestarted,
        EmbedKilled,
        BrokerKilled,
        BrokerDown,
        RedisKilled,
        RedisReplaced,
        RedisDown,
        RedisFlushed,
        RedisSlow,
        Burst,
        HotUser,
        HotItem,
        *([DiskFull] if os.geteuid() == 0 else []),
    )
}
"""Every fault by its name; filling a disk needs one of its own, which only root can mount."""
