"""A worker that runs the toy stage beside all others: ``python -m tests.kafka.toy_worker``."""

from __future__ import annotations

from afresh.streams.settings import Settings
from afresh.streams.stages import STAGES
from afresh.streams.workers.loops import use_uvloop
from afresh.streams.workers.process import execute
from afresh.streams.workers.stream import Worker
from tests.streams.stages.toy import TOY, ToyTopics

if __name__ == "__main__":
    use_uvloop()
    settings = Settings()
    worker = Worker(settings, (*STAGES, TOY), ToyTopics(settings))
    execute(worker.app, settings, settings.metrics_port, worker.not_ready)
