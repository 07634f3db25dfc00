"""The model worker: the process that makes the model, beside workers that only follow it."""

from __future__ import annotations

import faust

from afresh.state.catalogue.copies import Alike, Copies
from afresh.state.errors import AfreshError
from afresh.state.model.model import Model
from afresh.state.model.told import Message
from afresh.streams.kafka.admin import claim_expiry, require_topics
from afresh.streams.kafka.app import create_app, source, watch_topics
from afresh.streams.kafka.follow import Follower
from afresh.streams.kafka.limits import BatchLimits
from afresh.streams.kafka.positions import Read
from afresh.streams.kafka.rights import Needs, needs
from afresh.streams.kafka.safety import require_room
from afresh.streams.modelling.modeller import OWN_REST, Modeller, claims_of
from afresh.streams.modelling.records import applied
from afresh.streams.planning import planned
from afresh.streams.settings import INLINE, Settings
from afresh.streams.topics import FIRST_PARTITION, Topics
from afresh.streams.workers import logs
from afresh.streams.workers.loops import use_uvloop
from afresh.streams.workers.process import execute


class ModelWorker:
    """A model worker. Of several, the owner of the first partition of ``model.lease`` leads; the others stand by.

    Parameters
    ----------
    settings
        Settings of the deployment.
    limits
        How large record batches may be.
    """

    def __init__(self, settings: Settings, limits: BatchLimits | None = None) -> None:
        self._topics = topics = Topics(settings)
        self.app = create_app(settings, f"{settings.namespace}-model", limits)
        self.model = Model(room=self.app.limits.filled(topics.model.name))
        self.follower = Follower(
            settings,
            {
                topics.behaviour.name: self.model.rows.apply_behaviour,
                topics.content.name: self.model.rows.apply_content,
                topics.model.name: applied(self._take, lambda led: self.modeller.see(led)),
                topics.encoders.name: planned(self.model.take_plan),
            },
        )
        self.claims = claims_of(self.app, settings)
        self.copies = Copies(self.model.rows.place)
        self.modeller = Modeller(
            *(self.model, topics.model, self.claims, self._leads, self.follower.caught_up, self._alike),
            rest=OWN_REST,
        )
        lease = source(self.app, topics.model_lease)
        self.app.agent(lease, name="model", concurrency=1)(self._wait)
        reads = {topics.model_lease.name: Read(None)}
        watched = [topics.behaviour, topics.content, topics.model, topics.model_lease, topics.encoders]
        watch_topics(self.app, settings, watched, reads, rights_of(topics))
        for task in (self.follower.run, self._make_model, self.app.prove_writes):
            self.app.task(task)

    def _take(self, message: Message) -> None:
        self.copies.take(message)
        self.modeller.note(message)

    def _alike(self) -> Alike:
        return self.copies.standing.alike(self.model.rows["keys"])

    async def _wait(self, stream: faust.StreamT[object]) -> None:
        """Wait for records of the lease: there is none, but who is assigned it leads."""
        async for _ in stream:
            pass

    def _leads(self) -> bool:
        return not self.app.rebalancing and FIRST_PARTITION in {tp.partition for tp in self.app.assigned()}

    async def _make_model(self) -> None:
        self.claims.report_expiry()
        await self.modeller.run()

    def not_ready(self) -> str:
        """Say in a few words what is not ready yet; empty when everything is."""
        if not self.app.started or not self.app.assigned():
            return "no partitions assigned"
        if not self.follower.caught_up.is_set():
            return "rows not read"
        if self._leads() and not self.model.stands:
            return "no version made yet"
        return self.app.refuses_writes()


def rights_of(topics: Topics) -> Needs:
    """Return what model workers need."""
    return needs(
        read=[topics.behaviour, topics.content, topics.model, topics.model_lease, topics.encoders],
        written=[topics.model],
    )


def run(settings: Settings) -> None:
    """Run a model worker until it is told to stop (SIGTERM, SIGINT).

    Raises
    ------
    AfreshError
        When Kafka, its topics or the metrics port are not as they must be, or workers make the model themselves.
    SystemExit
        At the end, with the exit status of the process.
    """
    use_uvloop()
    if settings.model == INLINE:
        raise AfreshError(
            "AFRESH_MODEL is 'inline': a worker makes the model; set AFRESH_MODEL=worker for all processes."
        )
    topics = Topics(settings)
    require_topics(settings, rights=rights_of(topics))
    logs.set_up(settings)
    worker = ModelWorker(settings, require_room(settings, [topics.model]))
    if settings.idempotence:
        worker.claims.expiry_seconds = claim_expiry(settings)
    execute(worker.app, settings, settings.model_metrics_port, worker.not_ready)
