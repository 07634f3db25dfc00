"""Faults of model workers, and of the topic through which they tell workers the model."""

from __future__ import annotations

import signal
import time

from afresh.streams.kafka.admin import create_topics
from tests.chaos.fault import Fault, Scene
from tests.chaos.pipeline import Member, compact_often

LOOK_SECONDS = 0.02

VERSION_SECONDS = 15.0
"""Longest wait for a version: while Kafka is down, there is none."""

TURNS, STOPPED_SECONDS, RUNNING_SECONDS = 20, 0.45, 0.05
"""A slow process has a tenth of its time."""


class ModelFault(Fault):
    """A fault of the model worker that leads."""

    place = "model-workers"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.worker = scene.random.choice(self.pipeline.model_workers)

    def wait_for_a_version(self) -> None:
        """Wait until a model worker has just derived a version, which it tells now, and take this one."""
        before = {each.name: derived(each) for each in self.pipeline.model_workers}
        deadline = time.monotonic() + VERSION_SECONDS
        while time.monotonic() < deadline:
            for each in self.pipeline.model_workers:
                # One that was started anew counts from 0.
                if derived(each) > before[each.name]:
                    self.worker = each
                    return
            self.pipeline.sleep(LOOK_SECONDS)


def derived(member: Member) -> int:
    """Return the number of versions that a process has derived; 0 while it does not answer."""
    return member.page.read().total("afresh_stage_seconds_count", stage="derive")


class ModelWorkerKilled(ModelFault):
    """The model worker that leads is killed while it writes a version; the supervisor starts it again."""

    name = "model-worker-killed"

    def inject(self) -> None:
        """Kill the worker."""
        self.wait_for_a_version()
        self.worker.signal(signal.SIGKILL)
        self.worker.wait_for_end()


class ModelWorkerAsleep(ModelFault):
    """The model worker that leads sleeps until another one leads; when it wakes up, it goes on with its version."""

    name = "model-worker-asleep"

    @property
    def seconds(self) -> float:
        """Longer than the session: another one must lead when it wakes up."""
        return self.pipeline.settings.session_timeout_seconds + 5.0

    def inject(self) -> None:
        """Let the worker sleep."""
        self.wait_for_a_version()
        self.worker.signal(signal.SIGSTOP)

    def heal(self) -> None:
        """Wake the worker up."""
        self.worker.signal(signal.SIGCONT)


class ModelSlow(ModelFault):
    """The model worker that leads is hardly given any time."""

    name = "model-slow"

    def inject(self) -> None:
        """Stop the worker again and again while it makes versions."""
        self.wait_for_a_version()
        for _ in range(TURNS):
            self.worker.signal(signal.SIGSTOP)
            self.pipeline.sleep(STOPPED_SECONDS)
            self.worker.signal(signal.SIGCONT)
            self.pipeline.sleep(RUNNING_SECONDS)


class ModelWorkersAbsent(Fault):
    """No model worker runs for a while, and lists go on."""

    name = "model-workers-absent"
    place = "model-workers"
    alone = True

    @property
    def seconds(self) -> float:
        """As long as the scene says."""
        return self.scene.down_seconds

    def inject(self) -> None:
        """Kill all model workers."""
        for worker in self.pipeline.model_workers:
            worker.wanted = False
            worker.signal(signal.SIGKILL)
            worker.wait_for_end()

    def heal(self) -> None:
        """See that workers are ready and answer events, and start the model workers."""
        try:
            if missing := self.pipeline.not_ready():
                raise AssertionError(f"without a model worker, these are not ready: {missing}")
            asked = {user: self.scene.load.event(user, "item-1") for user in self.scene.load.probe_users()}
            if not self.pipeline.wait_until(lambda: self.pipeline.have_answered(asked), LOOK_SECONDS):
                raise AssertionError("without a model worker, events are not answered")
        finally:
            for worker in self.pipeline.model_workers:
                worker.start()


class ModelTopicRecreated(Fault):
    """Somebody deletes the topic of the model, and makes it again; all that read it end, to be started again."""

    name = "model-topic-recreated"
    place = "model-workers"
    alone = True

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._ends = len(self.pipeline.ends)
        self._readers = {
            each.name for each in (*self.pipeline.workers, *self.pipeline.model_workers) if each.wanted
        }

    def inject(self) -> None:
        """Delete the topic, and make it again."""
        name, admin = self.pipeline.topics.model.name, self.pipeline.admin
        admin.ask(lambda client: client.delete_topics([name]))
        if not self.pipeline.wait_until(
            lambda: name not in admin.ask(lambda client: client.list_topics()), 0.1
        ):
            raise AssertionError(f"{name} was not deleted")
        create_topics(self.pipeline.settings)
        compact_often(self.pipeline.settings)

    def heal(self) -> None:
        """Wait until all that read the topic have noticed."""
        if not self.pipeline.wait_until(lambda: not self.unaware(), 0.1):
            raise AssertionError(f"these did not notice that the topic is another one: {self.unaware()}")

    def unaware(self) -> set[str]:
        """Return the processes that have not noticed yet."""
        return self._readers - {end.name for end in self.pipeline.ends[self._ends :]}
