"""Our own worker, whole or one agent of it: ``python -m tests.benchmarks.stages whole|ingest|profile|learn``.

Configured by ``AFRESH_...`` variables. An agent alone tells what its stage costs; its consumer group is
``{namespace}-{stage}``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

import faust
from redis.asyncio import Redis

from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.identities import Identities
from afresh.state.lists import ListStore
from afresh.streams.kafka.app import create_app, source
from afresh.streams.kafka.tables import RunTable
from afresh.streams.runs.runner import Run, Runner
from afresh.streams.serving.recommend import Recommender
from afresh.streams.serving.sweep import TableUsers
from afresh.streams.settings import Settings
from afresh.streams.stages.ingest import Ingest
from afresh.streams.stages.learn import Learn
from afresh.streams.stages.profile import Profile
from afresh.streams.topics import Topics
from afresh.streams.workers import process, stream


class NoLists(Recommender):
    """Lets go of a run at once: the lists are another stage."""

    def mark(self, partition: int, packed: bytes, received: Mapping[str, int]) -> None:
        pass

    async def finish(self, run: Run) -> None:
        run.done()


def stage_app(settings: Settings, stage: str) -> faust.App:
    """Faust app of one agent."""
    topics = Topics(settings)
    app = create_app(settings, f"{settings.namespace}-{stage}")
    # Progress of an agent that sends nothing is seen by its commits.
    app.conf.broker_commit_interval = 0.1
    runner = Runner(app, stage)
    store = ListStore(Redis(), settings.namespace, settings.list_ttl_seconds)

    def table(name: str, changelog: str) -> RunTable:
        made = RunTable(app, name=name, changelog=changelog, partitions=settings.partitions)
        app.tables.add(made)
        return made

    agent: Any
    match stage:
        case "ingest":
            received = table("received", topics.received.name)
            agent, topic = Ingest(runner, received, Identities(), settings, topics).agent, topics.events
        case "profile":
            users = table("users", topics.users.name)
            recommender = NoLists(Catalogue(), store, settings.list_size, TableUsers(users, set))
            agent, topic = Profile(runner, users, recommender, settings, topics).agent, topics.interactions
        case "learn":
            behaviour = table("behaviour", topics.behaviour.name)
            agent, topic = Learn(runner, behaviour, settings, topics).agent, topics.examples
        case _:
            sys.exit(f"no stage {stage!r}")
    app.agent(source(app, topic), name=stage, concurrency=1)(agent)
    return app


def main() -> None:
    """Run until SIGTERM."""
    (stage,) = sys.argv[1:]
    settings = Settings()
    if stage == "whole":
        stream.run(settings)
    for name in process.NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    process.collect_garbage_seldom()
    app = stage_app(settings, stage)
    faust.Worker(app, loglevel="INFO", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
