"""The worker: the process that runs every stage with a table, and makes the lists."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress

from afresh.models.compiled import FOLDER
from afresh.models.warm import warm
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.lists import ListStore
from afresh.state.model.model import Model
from afresh.streams import metrics, redis_url
from afresh.streams.connections import redis_options
from afresh.streams.kafka.admin import claim_expiry, require_topics
from afresh.streams.kafka.app import create_app, rows_of, watch_topics
from afresh.streams.kafka.follow import Follower, Latest
from afresh.streams.kafka.lag import Lag
from afresh.streams.kafka.limits import BatchLimits
from afresh.streams.kafka.rights import Needs, needs
from afresh.streams.kafka.safety import require_room
from afresh.streams.kafka.throttling import Throttling
from afresh.streams.modelling.modeller import Modeller, claims_of
from afresh.streams.modelling.records import all_of, applied
from afresh.streams.planning import planned
from afresh.streams.runs.run import Assignment, RunDroppedError
from afresh.streams.runs.runner import Runner
from afresh.streams.serving.lister import Lister
from afresh.streams.serving.policy import Policy
from afresh.streams.serving.probe import Probe
from afresh.streams.serving.recommend import Recommender
from afresh.streams.serving.users import TableUsers
from afresh.streams.settings import INLINE, Settings
from afresh.streams.stages import STAGES
from afresh.streams.stages.assembly import StageSpec, add_agents, make_stages, make_tables, reads_of
from afresh.streams.stages.content import Content
from afresh.streams.stages.prepared import PreparedStage
from afresh.streams.stages.refresh import Refresh
from afresh.streams.stages.shared import Shared, Wanted
from afresh.streams.topics import DAY_MS, FIRST_PARTITION, WRITTEN_BY_OTHERS, Topics
from afresh.streams.traces import Traces, open_traces
from afresh.streams.waiting import wait_for_redis
from afresh.streams.workers import logs
from afresh.streams.workers.loops import use_uvloop
from afresh.streams.workers.process import execute

REPORT_SECONDS = 1.0
SETTLE_SECONDS = 1.0

SAY_COMPILED_SECONDS = 2.0
"""To load what was compiled before takes less than this."""

logger = logging.getLogger(__name__)


class Worker:
    """A worker: the app, the tables, the stages and the loops that make lists.

    Parameters
    ----------
    settings
        Settings of the deployment.
    stages
        Stages that run in the worker.
    topics
        Topics of the deployment; by default those that follow from the settings.
    limits
        How large record batches may be.
    traces
        Follows some events; None if none is followed.
    """

    def __init__(
        self,
        settings: Settings,
        stages: Sequence[StageSpec] = STAGES,
        topics: Topics | None = None,
        limits: BatchLimits | None = None,
        traces: Traces | None = None,
    ) -> None:
        _compile()
        self.settings = settings
        self.traces = traces
        self.topics = topics = topics or Topics(settings)
        self.app = create_app(settings, settings.namespace, limits)
        self.catalogue = Catalogue(settings.item_vectors)
        self.redis = redis_url.async_client(**redis_options(settings), socket_timeout=5.0)
        self.store = ListStore(self.redis, settings.namespace, settings.list_ttl_seconds)
        self.probe = Probe(self.store)
        self.model = Model(room=self.app.limits.filled(topics.model.name))
        self.follower = self._make_follower()
        self.model_claims = claims_of(self.app, settings)
        self.modeller = Modeller(
            self.model,
            topics.model,
            self.model_claims,
            self._leads,
            self.follower.caught_up,
            lambda: self.catalogue.alike,
        )
        rows = rows_of(settings, [spec.table for spec in stages])
        self.tables = make_tables(self.app, settings, topics, stages, rows)
        self.recommender = self._make_recommender()
        self.runners = {spec.name: self._runner(spec) for spec in stages}
        shared = Shared(
            *(settings, topics, self.recommender, self.app.incarnations, traces),
            wanted=self._wanted,
        )
        made = make_stages(stages, self.tables, shared, lambda spec: self.runners[spec.name])
        add_agents(self.app, topics, stages, made)
        reads = reads_of(topics, stages, self.tables)
        watch_topics(self.app, settings, topics.all(), reads, rights_of(topics))
        self._refreshes = [self._refresh_of(stage) for stage in made.values() if isinstance(stage, Content)]
        self._prepared_stages = [stage for stage in made.values() if isinstance(stage, PreparedStage)]
        self._add_tasks()

    def _make_follower(self) -> Follower:
        topics, catalogue = self.topics, self.catalogue
        behaviour, content, told = [catalogue.apply_behaviour], [catalogue.apply_content], [catalogue.take]
        if self.settings.model == INLINE:
            behaviour.append(self.model.rows.apply_behaviour)
            content.append(self.model.rows.apply_content)
            told.append(lambda message: self.modeller.note(message))
        return Follower(
            self.settings,
            {
                topics.behaviour.name: all_of(behaviour),
                topics.content.name: all_of(content),
                topics.weights.name: self._apply_weights,
                topics.model.name: applied(all_of(told), lambda led: self.modeller.see(led)),
                topics.encoders.name: planned(self.model.take_plan),
            },
            catalogue.still,
        )

    def _wanted(self) -> Wanted:
        """Return which encoders are to read texts."""
        if (plan := self.model.plan) is None:
            return Wanted()
        age_ms = time.time() * 1000 - self.catalogue.encoder_since
        alone = plan.is_done(self.catalogue.encoder, age_ms, self.settings.encoder_keep_days * DAY_MS)
        return Wanted([each.version for each in (plan.wanted[:1] if alone else plan.wanted)], alone)

    def _refresh_of(self, content: Content) -> Refresh:
        return Refresh(
            content, self.catalogue, self._owned, self._wanted, self.settings.encoder_check_seconds
        )

    def _owned(self) -> list[Assignment]:
        generation = self.app.consumer_generation_id
        return [Assignment(partition, generation) for partition in self._partitions_of_users()]

    def _leads(self) -> bool:
        """Whether this worker owns the first partition, and so makes the model and the popular lists."""
        return FIRST_PARTITION in self._partitions_of_users()

    def _make_recommender(self) -> Recommender:
        settings = self.settings
        return Recommender(
            self.catalogue,
            self.store,
            Lister(self.catalogue, settings.list_size, policy=Policy.of(settings)),
            TableUsers(self.tables["users"], self._partitions_of_users),
            self._waiting,
            settings.served_lists_bytes,
            self.traces,
        )

    def _runner(self, spec: StageSpec) -> Runner:
        ready = self.follower.caught_up if spec.waits_for_catalogue else None
        return Runner(self.app, spec.name, ready, spec.rest_seconds)

    def _add_tasks(self) -> None:
        lag = Lag(self.app)
        for task in (
            self.follow,
            self.settle,
            self.make_lists,
            self.refresh_lists,
            self.watch_redis,
            self.inspect_lists,
            self.push_popular,
            self.refresh_embeddings,
            self.report,
            self.probe.loop,
            lag.run,
            Throttling(self.app, lag).run,
            self.app.keep_claims,
            self.app.prove_writes,
        ):
            self.app.task(task)
        if self.settings.model == INLINE:
            self.app.task(self.modeller.run)
        self.app.on_partitions_assigned.connect(self._on_assigned)
        self.app.unfinished = lambda: any(runner.unfinished() for runner in self.runners.values())

    def _partitions_of_users(self) -> set[int]:
        """Return the partitions whose users are ours; none before their rows are recovered."""
        if self._tables_not_ready():
            return set()
        topic = self.topics.interactions.name
        return {tp.partition for tp in self.app.assigned() if tp.topic == topic}

    def _tables_not_ready(self) -> bool:
        return self.app.rebalancing or not self.app.tables.actives_ready

    def _waiting(self) -> int:
        if self.app.should_stop:
            # While stopping, no backlog is worked off. Lists for running runs would wait for it in vain.
            return 0
        return self.runners["ingest"].waiting() + self.runners["profile"].waiting()

    def _apply_weights(self, latest: Latest) -> None:
        self.recommender.weights.apply(latest)

    async def _on_assigned(self, *_: object, **__: object) -> None:
        metrics.REBALANCES.inc()
        self.recommender.keep_only({tp.partition for tp in self.app.assigned()})

    async def follow(self) -> None:
        """Keep the Catalogue up to date."""
        await self.follower.run()

    async def settle(self) -> None:
        """Prepare every partition of the stages that want it, whether or not a record arrives."""
        while True:
            # Of one moment: partitions of before must not be taken for those of a later generation.
            generation, partitions = self.app.consumer_generation_id, self._partitions_of_users()
            for stage in self._prepared_stages:
                for partition in partitions:
                    # Assigned anew meanwhile: the next turn prepares it.
                    with suppress(RunDroppedError):
                        await stage.settle(Assignment(partition, generation))
            await asyncio.sleep(SETTLE_SECONDS)

    async def make_lists(self) -> None:
        """Make lists for waiting users, once the Catalogue is whole."""
        await self.follower.caught_up.wait()
        await self.recommender.loop()

    async def refresh_lists(self) -> None:
        """Refresh the lists of idle users, once the Catalogue is whole."""
        await self.follower.caught_up.wait()
        await self.recommender.refresh_loop(self.settings.list_refresh_seconds)

    async def watch_redis(self) -> None:
        """Have all lists made anew whenever Redis has lost its data."""
        await self.recommender.inspection.warn_of_eviction()
        await self.recommender.watch_loop()

    async def inspect_lists(self) -> None:
        """Look for lists that Redis has lost, once the Catalogue is whole."""
        await self.follower.caught_up.wait()
        await self.recommender.inspect_loop()

    async def push_popular(self) -> None:
        """Keep the popular lists up to date."""
        await self.follower.caught_up.wait()
        await self.recommender.popular.loop()

    async def refresh_embeddings(self) -> None:
        """Ask for texts that encoders have not read, once the Catalogue is whole."""
        await self.follower.caught_up.wait()
        async with asyncio.TaskGroup() as work:
            for each in self._refreshes:
                work.create_task(each.run())

    async def report(self) -> None:
        """Update the gauges every second."""
        while True:
            for name, table in self.tables.items():
                metrics.ROWS.labels(name).set(table.count_rows())
            self._confirm_rows()
            self.recommender.report()
            if self.catalogue.model:
                metrics.MODEL_AGE.set(time.time() - self.catalogue.model / 1000)
            self.app.consumer.commit_ages.report()
            await asyncio.sleep(REPORT_SECONDS)

    def _confirm_rows(self) -> None:
        """Confirm the positions of rows that have not changed for long, unless the worker may have slept."""
        ours = self._partitions_of_users()
        if ours and self.app.consumer.membership_is_fresh():
            for table in self.tables.values():
                for partition in ours:
                    table.confirm(partition)

    def not_ready(self) -> str:
        """Say in a few words what is not ready yet; empty when everything is."""
        app = self.app
        if not app.started or not app.assigned():
            return "no partitions assigned"
        if self._tables_not_ready():
            return "tables not recovered"
        if not self.follower.caught_up.is_set():
            return "catalogue not read"
        if not self.catalogue.model:
            return (
                "no model: nobody has made one yet; start `afresh model-worker`, or set AFRESH_MODEL=inline"
            )
        return app.refuses_writes() or self.probe.refusal()


def _compile() -> None:
    """Have all that makes lists and learns compiled: in the event loop it would take the worker out of its group."""
    if (seconds := warm()) > SAY_COMPILED_SECONDS:
        logger.info("What makes lists and learns was compiled, in %.0f s, and is kept in %s", seconds, FOLDER)


def rights_of(topics: Topics) -> Needs:
    """Return what workers need: they read whatever they do not leave to others, and write what nobody else does."""
    unread = ("dead_letters", "texts", "texts_again", "questions", "answers", "identities_suggested")
    return needs(
        read=[topic for topic in topics.all() if topic not in map(topics.named, unread)],
        written=[topic for topic in topics.all() if topic not in map(topics.named, WRITTEN_BY_OTHERS)],
    )


def run(settings: Settings) -> None:
    """Run a worker until it is told to stop (SIGTERM, SIGINT).

    Raises
    ------
    AfreshError
        When Kafka, its topics, Redis, the metrics port or the packages for traces are not as they must be.
    SystemExit
        At the end, with the exit status of the process.
    """
    use_uvloop()
    # Opened before the wait for Kafka, so that missing packages are reported at once.
    traces = open_traces(settings)
    require_topics(settings, rights=rights_of(Topics(settings)))
    wait_for_redis(settings)
    logs.set_up(settings)
    worker = Worker(settings, limits=require_room(settings, Topics(settings).ours()), traces=traces)
    if settings.idempotence:
        worker.app.claims.expiry_seconds = worker.model_claims.expiry_seconds = claim_expiry(settings)
    try:
        execute(worker.app, settings, settings.metrics_port, worker.not_ready)
    finally:
        if traces is not None:
            traces.close()
