"""Every fault; here are those of processes, of the load and of the disk, which need no certain servers."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from redis.exceptions import RedisError

from afresh.state.errors import MEND_STATUS
from tests.chaos.cluster_faults import (
    CoordinatorKilled,
    LeaderKilled,
    LeadershipMoved,
    QuorumLost,
    RedisFailover,
    RedisHandedOver,
    RollingRestart,
)
from tests.chaos.encoder_faults import EmbedKilled, EncoderChanged
from tests.chaos.fault import Fault, Scene
from tests.chaos.model_faults import (
    ModelSlow,
    ModelTopicRecreated,
    ModelWorkerAsleep,
    ModelWorkerKilled,
    ModelWorkersAbsent,
)
from tests.chaos.server_faults import BrokerDown, BrokerKilled, RedisDown, RedisKilled, RedisReplaced

BURST = 10.0


class WorkerFault(Fault):
    """A fault of one worker."""

    place = "workers"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.worker = scene.random.choice([each for each in self.pipeline.workers if each.wanted])


class WorkerTerminated(WorkerFault):
    """A worker gets SIGTERM; the supervisor starts it again."""

    name = "worker-terminated"

    def inject(self) -> None:
        """Send SIGTERM, and check the exit status."""
        self.worker.signal(signal.SIGTERM)
        self.worker.wait_for_end()
        status = self.worker.process.status
        if status != 0:
            raise AssertionError(f"{self.worker.name} ended with status {status} after SIGTERM")


class WorkerKilled(WorkerFault):
    """A worker is killed; the supervisor starts it again."""

    name = "worker-killed"

    def inject(self) -> None:
        """Kill the worker."""
        self.worker.signal(signal.SIGKILL)
        self.worker.wait_for_end()


class WorkerAsleep(WorkerFault):
    """A worker sleeps for longer than its session; when it wakes up, it believes that it still owns its partitions."""

    name = "worker-asleep"

    @property
    def seconds(self) -> float:
        """Longer than the session: the worker's partitions must have moved when it wakes up."""
        return self.pipeline.settings.session_timeout_seconds + 5.0

    def inject(self) -> None:
        """Let the worker sleep."""
        self.worker.signal(signal.SIGSTOP)

    def heal(self) -> None:
        """Wake the worker up."""
        self.worker.signal(signal.SIGCONT)


class WorkersJoin(Fault):
    """Two more workers join under load; then one of them gets SIGTERM and the other is killed."""

    name = "workers-join-and-leave"
    place = "workers"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.guests = [each for each in self.pipeline.workers if not each.wanted][:2]

    @property
    def seconds(self) -> float:
        """Time enough for the new workers to take their share."""
        return 12.0

    def inject(self) -> None:
        """Start two more workers, and wait until all are ready."""
        for guest in self.guests:
            guest.start()
        if not self.pipeline.wait_until(lambda: not self.pipeline.not_ready(), 0.2):
            raise AssertionError(
                f"after two workers joined, these are not ready: {self.pipeline.not_ready()}"
            )

    def heal(self) -> None:
        """End the two workers."""
        for guest, how in zip(self.guests, (signal.SIGTERM, signal.SIGKILL), strict=True):
            guest.wanted = False
            guest.signal(how)
            guest.wait_for_end()


class WorkersRestarted(Fault):
    """All workers get SIGTERM and are started again at once."""

    name = "workers-restarted"
    place = "workers"

    def inject(self) -> None:
        """Stop all workers; the supervisor starts them again."""
        workers = [each for each in self.pipeline.workers if each.wanted]
        for worker in workers:
            worker.signal(signal.SIGTERM)
        for worker in workers:
            worker.wait_for_end()


class RedisFlushed(Fault):
    """Somebody deletes everything in Redis."""

    name = "redis-flushed"
    place = "redis"

    def inject(self) -> None:
        """Delete all keys."""
        self.scene.watcher.look_away()
        self.pipeline.redis.flushall()
        self.scene.watcher.look_again()


class RedisSlow(Fault):
    """Redis does not answer for a while, although its connections stay open."""

    name = "redis-slow"
    place = "redis"

    @property
    def seconds(self) -> float:
        """Longer than a worker waits for an answer."""
        return 8.0

    def inject(self) -> None:
        """Pause Redis."""
        self.pipeline.redis.client_pause(int(self.seconds * 1000))

    def heal(self) -> None:
        """End the pause."""
        with suppress(RedisError):
            self.pipeline.redis.client_unpause()


class LoadFault(Fault):
    """The producers do something unusual for a while."""

    place = "load"

    @property
    def seconds(self) -> float:
        """Long enough for hundreds of events."""
        return 6.0


class Burst(LoadFault):
    """Producers send ten times as many events."""

    name = "burst"

    def inject(self) -> None:
        """Begin the burst."""
        self.scene.load.burst = BURST

    def heal(self) -> None:
        """End the burst."""
        self.scene.load.burst = 1.0


class HotUser(LoadFault):
    """One user sends 30 % of all events."""

    name = "hot-user"

    def inject(self) -> None:
        """Make a user hot."""
        self.scene.load.hot_user = "user-0"

    def heal(self) -> None:
        """Make no user hot."""
        self.scene.load.hot_user = ""


class HotItem(LoadFault):
    """Users take one item in 30 % of all events."""

    name = "hot-item"

    def inject(self) -> None:
        """Make an item hot."""
        self.scene.load.hot_item = "item-0"

    def heal(self) -> None:
        """Make no item hot."""
        self.scene.load.hot_item = ""


class DiskFull(Fault):
    """The disk with the workers' own files is full, and meanwhile a worker restarts."""

    name = "disk-full"
    place = "workers"
    # A worker whose disk is full asks for a person, who frees it.
    may_end_with = Fault.may_end_with | {MEND_STATUS}

    @property
    def seconds(self) -> float:
        """Time enough for a worker to start."""
        return 10.0

    def inject(self) -> None:
        """Fill the disk, and stop a worker; the supervisor starts it again."""
        filler = self.pipeline.disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 65_536)
        worker = self.pipeline.workers[0]
        worker.signal(signal.SIGTERM)
        worker.wait_for_end()

    def heal(self) -> None:
        """Free the disk."""
        (self.pipeline.disk / "filler").unlink()


ANYWHERE: tuple[type[Fault], ...] = (
    WorkerTerminated,
    WorkerKilled,
    WorkerAsleep,
    WorkersJoin,
    WorkersRestarted,
    EmbedKilled,
    EncoderChanged,
    RedisFlushed,
    RedisSlow,
    Burst,
    HotUser,
    HotItem,
    *([DiskFull] if os.geteuid() == 0 else []),
)
"""Faults with any servers. Filling a disk needs a separate disk, which only root can mount."""

ALONE: tuple[type[Fault], ...] = (BrokerKilled, BrokerDown, RedisKilled, RedisReplaced, RedisDown)
"""Faults of one broker and one Redis."""

CLUSTER: tuple[type[Fault], ...] = (
    LeaderKilled,
    CoordinatorKilled,
    RollingRestart,
    QuorumLost,
    LeadershipMoved,
    RedisFailover,
    RedisHandedOver,
)
"""Faults of three brokers, and of a Redis with a replica."""

MODEL: tuple[type[Fault], ...] = (
    ModelWorkerKilled,
    ModelWorkerAsleep,
    ModelSlow,
    ModelWorkersAbsent,
    ModelTopicRecreated,
)
"""Faults of model workers."""

FAULTS: dict[str, type[Fault]] = {fault.name: fault for fault in (*ANYWHERE, *ALONE, *CLUSTER, *MODEL)}
"""Every fault by its name."""


def possible(brokers: int, *, model: bool = False) -> list[str]:
    """Return the names of the faults that a pipeline with so many brokers can have, and with model workers or not.

    Examples
    --------
    >>> "quorum-lost" in possible(3), "quorum-lost" in possible(1)
    (True, False)
    >>> "model-slow" in possible(1, model=True), "model-slow" in possible(1)
    (True, False)
    """
    servers = ALONE if brokers == 1 else CLUSTER
    return sorted(fault.name for fault in (*ANYWHERE, *servers, *(MODEL if model else ())))
