"""A worker of afresh, whole or with one agent only: ``python -m tests.benchmarks.stages whole|ingest|profile|learn``.

``AFRESH_...`` variables configure it. A worker with one agent shows what its stage costs. Its consumer group is
``{namespace}-{stage}``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import faust
from redis.asyncio import Redis

from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.lists import ListStore
from afresh.state.store.rows import MemoryPartitions
from afresh.streams.kafka.app import create_app
from afresh.streams.runs.run import Run
from afresh.streams.runs.runner import Runner
from afresh.streams.serving.lister import Lister
from afresh.streams.serving.recommend import Recommender
from afresh.streams.serving.requests import Requests
from afresh.streams.serving.users import TableUsers
from afresh.streams.settings import Settings
from afresh.streams.stages import STAGES
from afresh.streams.stages.assembly import add_agents, make_stages, make_tables
from afresh.streams.stages.shared import Shared
from afresh.streams.topics import Topics
from afresh.streams.workers import logs, process, stream


class NoRequests(Requests):
    """Ends a run at once, without lists, because lists are not a cost of the measured stage."""

    def add_users(self, partition: int, received: Mapping[str, int]) -> None:
        pass

    async def commit_once_served(self, run: Run) -> None:
        run.done()


def stage_app(settings: Settings, stage: str) -> faust.App:
    """Make the Faust app with the agent of one stage."""
    rows = [row for row in STAGES if row.name == stage]
    if not rows:
        sys.exit(f"no stage {stage!r}")
    topics = Topics(settings)
    app = create_app(settings, f"{settings.namespace}-{stage}")
    # The progress of profile and learn is told by their commits. They must be frequent.
    app.conf.broker_commit_interval = 0.1
    tables = make_tables(app, settings, topics, rows, lambda _: MemoryPartitions())
    catalogue = Catalogue()
    recommender = Recommender(
        catalogue,
        ListStore(Redis(), settings.namespace, settings.list_ttl_seconds),
        Lister(catalogue, settings.list_size),
        TableUsers(tables[rows[0].table], set),
    )
    recommender.requests = NoRequests()
    shared = Shared(settings, topics, recommender)
    add_agents(app, topics, rows, make_stages(rows, tables, shared, lambda row: Runner(app, row.name)))
    return app


def main() -> None:
    """Run until SIGTERM."""
    (stage,) = sys.argv[1:]
    settings = Settings()
    if stage == "whole":
        stream.run(settings)
    logs.set_up(settings)
    process.collect_garbage_seldom()
    app = stage_app(settings, stage)
    faust.Worker(
        app, loglevel="INFO", redirect_stdouts=False, override_logging=False
    ).execute_from_commandline()


if __name__ == "__main__":
    main()
