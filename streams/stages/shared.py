"""What all stages share: settings, topics, the recommender, the incarnations of topics, and traces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from afresh.streams.kafka.incarnations import Incarnations
from afresh.streams.serving.recommend import Recommender
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics
from afresh.streams.traces import Traces


class Wanted(NamedTuple):
    """Versions of the encoders that are to read texts, the newest first; none if nobody has planned which.

    ``alone`` says that vectors of others are not kept any more.
    """

    versions: list[str] = []  # noqa: RUF012 - never changed
    alone: bool = False


@dataclass(frozen=True)
class Shared:
    """What all stages share.

    Attributes
    ----------
    settings, topics
        Settings and topics of the deployment.
    recommender
        Makes the lists, and learns from what users take.
    incarnations
        Which incarnation of a topic its records are of.
    traces
        Follows some events; None if none is followed.
    wanted
        Returns which encoders are to read texts.
    """

    settings: Settings
    topics: Topics
    recommender: Recommender
    incarnations: Incarnations = field(default_factory=Incarnations)
    traces: Traces | None = None
    wanted: Callable[[], Wanted] = Wanted
