"""What every stage is given besides its table and what feeds it."""

from __future__ import annotations

from dataclasses import dataclass

from afresh.state.identities import Identities
from afresh.streams.serving.recommend import Recommender
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics


@dataclass(frozen=True)
class Shared:
    """What stages share.

    Attributes
    ----------
    settings, topics
        Limits, and names of topics.
    identities
        Links between users of platforms.
    recommender
        Who makes the lists, and learns from how they were received.
    """

    settings: Settings
    topics: Topics
    identities: Identities
    recommender: Recommender
