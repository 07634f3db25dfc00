"""The topics of a deployment: their names, partitions, and retention."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from afresh.state.store.rows import TOMBSTONES_MS
from afresh.streams.settings import Settings

DAY_MS = 86_400_000

WRITTEN_BY_OTHERS = frozenset({"events", "items", "identities"})
"""Topics whose records come from outside, by name without the namespace; all others only we write."""

INPUT_TOMBSTONES_MS = 30 * DAY_MS
"""How long a compacted input keeps a tombstone, in ms: workers that stand still for less miss none."""

FIRST_PARTITION = 0
"""Whoever owns this partition does what one worker does for all: it learns the weights and pushes the popular lists."""

MODEL_SEGMENT_BYTES = 67_108_864
"""Size of a segment of the topic of the model, in bytes; by default Kafka takes 1 GiB."""

QUESTION_SEGMENT_MS = DAY_MS // 24
"""Age at which a segment of questions or answers is closed; Kafka deletes closed ones only."""

DEAD_LETTER_BYTES = 4_194_304
"""Largest record batch of the dead-letter topic, in bytes."""


@dataclass(frozen=True)
class Topic:
    """A topic as it must be on the broker.

    Attributes
    ----------
    name, partitions, replication
        Name, number of partitions, and number of replicas.
    config
        Topic-level settings that we set; ``afresh topics check`` compares them with the broker's.
    advised
        Topic-level settings that a topic gets unless it has its own; an operator may choose others.
    """

    name: str
    partitions: int
    replication: int
    config: dict[str, str] = field(default_factory=dict)
    advised: dict[str, str] = field(default_factory=dict)


class Topics:
    """The topics of a deployment, each as an attribute.

    Parameters
    ----------
    settings
        Settings of the deployment.

    Examples
    --------
    >>> Topics(Settings(_env_file=None)).events.name
    'afresh.events'
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.events = self._taken_in()
        self.dead_letters = self._dead_letters()
        self.interactions = self._log("interactions")
        self.examples = self._log("examples")
        self.judged = self._log("judged")
        self.items = self._input("items")
        self.items_keyed = self._compacted("items.keyed")
        self.texts = self._forgetful("texts")
        self.texts_again = self._log("texts.again")
        self.embeddings = self._forgetful("embeddings")
        self.encoders = self._compacted("encoders")
        self.questions = self._short_lived("questions")
        self.answers = self._short_lived("answers")
        self.identities = self._input("identities")
        self.identities_keyed = self._obeyed("identities.keyed")
        self.identities_suggested = self._forgetful("identities.suggested")
        self.intake = self._changelog("intake")
        self.people = self._changelog("people")
        self.received = self._changelog("received")
        self.users = self._changelog("users")
        self.behaviour = self._changelog("behaviour")
        self.content = self._changelog("content")
        self.weights = self._changelog("weights")
        self.model = self._told()
        self.model_lease = self._log("model.lease")

    def _log(self, name: str) -> Topic:
        retention = str(int(self._settings.retention_days * DAY_MS))
        return self._topic(name, {"cleanup.policy": "delete", "retention.ms": retention})

    def _taken_in(self) -> Topic:
        log = self._log("events")
        # Events too far ahead of this time are refused. With a producer's own timestamp, the check would mean nothing.
        return replace(log, config=log.config | {"message.timestamp.type": "LogAppendTime"})

    def _dead_letters(self) -> Topic:
        log = self._log("events.dlq")
        # A refused record of the largest size that Kafka takes must still fit here, together with its headers.
        return replace(log, config=log.config | {"max.message.bytes": str(DEAD_LETTER_BYTES)})

    def _compacted(self, name: str) -> Topic:
        return self._topic(name, {"cleanup.policy": "compact"})

    def _input(self, name: str) -> Topic:
        compacted = self._compacted(name)
        # Of two records of one key in two partitions, the newer one counts, and clocks of producers cannot tell which.
        return replace(
            compacted,
            config=compacted.config | {"message.timestamp.type": "LogAppendTime"},
            advised={"delete.retention.ms": str(INPUT_TOMBSTONES_MS)},
        )

    def _obeyed(self, name: str) -> Topic:
        # The moves of a link are sent before its row is written. After a crash between both, the link must come once
        # more: if compaction had left its end alone, nothing would move back.
        return replace(self._compacted(name), advised={"min.compaction.lag.ms": str(INPUT_TOMBSTONES_MS)})

    def _forgetful(self, name: str) -> Topic:
        # The texts of deleted items, and the names of deleted users, must be gone from there soon.
        return replace(self._compacted(name), advised={"max.compaction.lag.ms": str(DAY_MS)})

    def _short_lived(self, name: str) -> Topic:
        # What people say must be gone soon, and nobody waits for an answer for long. Kafka's time tells how old it is.
        config = {
            "cleanup.policy": "delete",
            "retention.ms": str(DAY_MS),
            "message.timestamp.type": "LogAppendTime",
        }
        return replace(self._topic(name, config), advised={"segment.ms": str(QUESTION_SEGMENT_MS)})

    def _told(self) -> Topic:
        told = self._compacted("model")
        # The newest segment is never compacted. Each worker reads it whole at its start, and most of it is replaced.
        return replace(told, config=told.config | {"segment.bytes": str(MODEL_SEGMENT_BYTES)})

    def _changelog(self, table: str) -> Topic:
        changelog = self._compacted(f"{table}.changelog")
        # This is Kafka's default. It is set anyway, because rows kept on disk rely on it.
        return replace(changelog, config=changelog.config | {"delete.retention.ms": str(TOMBSTONES_MS)})

    def _topic(self, name: str, config: dict[str, str]) -> Topic:
        settings = self._settings
        return Topic(f"{settings.namespace}.{name}", settings.partitions, settings.replication, config)

    def named(self, name: str) -> Topic:
        """Return a topic by the name of its attribute, without the namespace."""
        topic: Topic = getattr(self, name)
        return topic

    def ours(self) -> list[Topic]:
        """Return the topics that only we write."""
        strangers = {self.named(name).name for name in WRITTEN_BY_OTHERS}
        return [topic for topic in self.all() if topic.name not in strangers]

    def all(self) -> list[Topic]:
        """Return all topics, in the order of the attributes above."""
        return [topic for topic in vars(self).values() if isinstance(topic, Topic)]
