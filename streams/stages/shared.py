"""What all stages share: settings, topics, identities and the recommender."""

from __future__ import annotations

from dataclasses import dataclass

from afresh.state.identities import Identities
from afresh.streams.serving.recommend import Recommender
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics


@dataclass(frozen=True)
class Shared:
    """What all stages share.

    Attributes
    ----------
    settings, topics
        Settings and topics of the deployment.
    identities
        Links from users of platforms to canonical users.
    recommender
        Makes the lists, and learns from what users take.
    """

    settings: Settings
    topics: Topics
    identities: Identities
    recommender: Recommender
