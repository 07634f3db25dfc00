"""The processes: a worker that runs every agent, and an embed worker for the text encoder."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

import redis
from redis.asyncio import Redis

from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.identities import Identities
from afresh.state.lists import ListStore
from afresh.state.store.rows import Partitions
from afresh.state.store.tables import RunTable
from afresh.streams import metrics
from afresh.streams.connections import redis_options
from afresh.streams.kafka.admin import require_topics
from afresh.streams.kafka.app import create_app, rows_of, source
from afresh.streams.kafka.follow import Follower, Latest
from afresh.streams.kafka.lag import Lag
from afresh.streams.kafka.transport import RunConsumer
from afresh.streams.runs.runner import Runner
from afresh.streams.serving.policy import Policy
from afresh.streams.serving.recommend import Recommender
from afresh.streams.serving.sweep import TableUsers
from afresh.streams.settings import Settings
from afresh.streams.stages.content import Content
from afresh.streams.stages.embed import Embed, require_encoder
from afresh.streams.stages.ingest import Ingest
from afresh.streams.stages.learn import Learn
from afresh.streams.stages.profile import Profile
from afresh.streams.topics import Topics
from afresh.streams.waiting import wait_for_redis
from afresh.streams.workers.deriving import Deriver
from afresh.streams.workers.process import execute

logger = logging.getLogger(__name__)

REPORT_SECONDS = 1.0

LEARN_REST_SECONDS = 0.1
"""Items change within a fraction of a second; users' lists must not wait for that, nor share the CPU evenly with it."""


class Worker:
    """All parts of a worker, put together.

    Parameters
    ----------
    settings
        The deployment.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        topics = Topics(settings)
        self.app = create_app(settings, settings.namespace)
        self.catalogue = Catalogue()
        self.identities = Identities()
        self.redis = Redis.from_url(**redis_options(settings), socket_timeout=5.0)
        store = ListStore(self.redis, settings.namespace, settings.list_ttl_seconds)
        self.follower = Follower(
            settings,
            {
                topics.behaviour.name: self.catalogue.apply_behaviour,
                topics.content.name: self.catalogue.apply_content,
                topics.identities.name: self._apply_identities,
            },
        )
        changelogs = {
            "received": topics.received.name,
            "users": topics.users.name,
            "behaviour": topics.behaviour.name,
            "content": topics.content.name,
        }
        rows = rows_of(settings, list(changelogs))
        self.tables = {name: self._table(name, topic, rows(name)) for name, topic in changelogs.items()}
        users = TableUsers(self.tables["users"], self._partitions_of_users)
        self.recommender = Recommender(
            self.catalogue,
            store,
            settings.list_size,
            users,
            self._waiting,
            settings.snapshot_minutes,
            Policy.of(settings),
        )
        self._add_agents(topics)
        self._redis_answers = False

    def _table(self, name: str, changelog: str, rows: Partitions) -> RunTable:
        table = RunTable(
            self.app,
            name=name,
            changelog=changelog,
            partitions=self.settings.partitions,
            rows=rows,
            recovered=metrics.RECOVERED.labels(name).inc,
        )
        self.app.tables.add(table)
        return table

    def _add_agents(self, topics: Topics) -> None:
        app, settings, tables = self.app, self.settings, self.tables
        ready = self.follower.caught_up
        self.runners = {
            "ingest": Runner(app, "ingest", ready),
            "profile": Runner(app, "profile", ready),
            "learn": Runner(app, "learn", ready, LEARN_REST_SECONDS),
            "content": Runner(app, "content", ready, LEARN_REST_SECONDS),
        }
        agents = {
            "ingest": (
                Ingest(self.runners["ingest"], tables["received"], self.identities, settings, topics).agent,
                source(app, topics.events),
            ),
            "profile": (
                Profile(self.runners["profile"], tables["users"], self.recommender, settings, topics).agent,
                source(app, topics.interactions),
            ),
            "learn": (
                Learn(self.runners["learn"], tables["behaviour"], settings, topics).agent,
                source(app, topics.examples),
            ),
            "content": (
                Content(self.runners["content"], tables["content"], settings, topics).agent,
                source(app, topics.items, topics.embeddings),
            ),
        }
        for name, (agent, channel) in agents.items():
            app.agent(channel, name=name, concurrency=1)(agent)
        for task in (
            self.follow,
            self.derive,
            self.make_lists,
            self.refresh_lists,
            self.watch_redis,
            self.push_popular,
            self.report,
            self.ask_redis,
            Lag(app).run,
        ):
            app.task(task)
        app.on_partitions_assigned.connect(self._on_assigned)
        app.unfinished = lambda: any(runner.unfinished() for runner in self.runners.values())

    def _partitions_of_users(self) -> set[int]:
        """Partitions whose users are ours; none before their rows are recovered."""
        if self._tables_not_ready():
            return set()
        topic = Topics(self.settings).interactions.name
        return {tp.partition for tp in self.app.assigned() if tp.topic == topic}

    def _tables_not_ready(self) -> bool:
        return self.app.rebalancing or not self.app.tables.actives_ready

    def _waiting(self) -> int:
        if self.app.should_stop:
            # No backlog is worked off any more: lists of runs under way must not wait for it.
            return 0
        return self.runners["ingest"].waiting() + self.runners["profile"].waiting()

    def _apply_identities(self, latest: Latest) -> None:
        for name, canonical in latest.items():
            # A link that is no text matches nobody; it must not stop the worker.
            linked = None if canonical is None else canonical.decode(errors="replace")
            self.identities.apply(name.decode(errors="replace"), linked)

    async def _on_assigned(self, *_: object, **__: object) -> None:
        metrics.REBALANCES.inc()
        self.recommender.forget({tp.partition for tp in self.app.assigned()})

    async def follow(self) -> None:
        """Keep the Catalogue and the identities up to date."""
        await self.follower.run()

    async def derive(self) -> None:
        """Keep up to date what follows from all rows of the Catalogue."""
        await self.follower.caught_up.wait()
        await Deriver(self.catalogue).run()

    async def make_lists(self) -> None:
        """Make lists once the Catalogue is whole."""
        await self.follower.caught_up.wait()
        await self.recommender.loop()

    async def refresh_lists(self) -> None:
        """Make lists anew of users who do nothing while items change."""
        await self.follower.caught_up.wait()
        await self.recommender.refresh_loop(self.settings.list_refresh_seconds)

    async def watch_redis(self) -> None:
        """Bring lists back that Redis has lost."""
        await self.recommender.watch_loop()

    async def push_popular(self) -> None:
        """Keep the popular lists up to date."""
        await self.follower.caught_up.wait()
        await self.recommender.popular_loop()

    async def report(self) -> None:
        """Bring the gauges up to date every second."""
        while True:
            for name, table in self.tables.items():
                metrics.ROWS.labels(name).set(table.count_rows())
            self._confirm_rows()
            self.recommender.report()
            cast(RunConsumer, self.app.consumer).commit_ages.report()
            await asyncio.sleep(REPORT_SECONDS)

    async def ask_redis(self) -> None:
        """Note every second whether Redis answers; apart from the gauges, for it may be silent for long."""
        while True:
            self._redis_answers = await answers(self.redis)
            await asyncio.sleep(REPORT_SECONDS)

    def _confirm_rows(self) -> None:
        """Note of rows that nothing has changed for long that they are whole, unless we may have slept."""
        ours = self._partitions_of_users()
        if ours and cast(RunConsumer, self.app.consumer).membership_is_fresh():
            for table in self.tables.values():
                for partition in ours:
                    table.confirm(partition)

    def not_ready(self) -> str:
        """What is not ready yet, in a few words."""
        app = self.app
        if not app.started or not app.assigned():
            return "no partitions assigned"
        if self._tables_not_ready():
            return "tables not recovered"
        if not self.follower.caught_up.is_set():
            return "catalogue not read"
        return "" if self._redis_answers else "Redis does not answer"


async def answers(client: Redis) -> bool:
    """Whether Redis answers."""
    try:
        return bool(await client.ping())
    except (redis.RedisError, OSError):
        return False


def run(settings: Settings) -> None:
    """Run a worker until it is told to stop (SIGTERM, SIGINT).

    Raises
    ------
    AfreshError
        When Kafka, its topics, Redis or the metrics port are not as they must be.
    SystemExit
        At the end, with the process's exit status.
    """
    require_topics(settings)
    wait_for_redis(settings)
    worker = Worker(settings)
    execute(worker.app, settings, settings.metrics_port, worker.not_ready)


def run_embed(settings: Settings) -> None:
    """Run an embed worker until it is told to stop (SIGTERM, SIGINT).

    Raises
    ------
    AfreshError
        When Kafka, its topics, the encoder or the metrics port are not as they must be.
    SystemExit
        At the end, with the process's exit status.
    """
    # Before Kafka is waited for: whoever has forgotten the packages is told at once.
    require_encoder(settings)
    require_topics(settings)
    embed = Embed(settings)
    execute(embed.app, settings, settings.embed_metrics_port, embed.not_ready)
