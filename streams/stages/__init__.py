"""The stages, one file for each agent, in the order in which an event meets them.

``STAGES`` is the only list of them. A new stage needs three things: a file with a subclass of
``streams.stages.stage.Stage``, its topics in ``streams.topics``, and an entry here. ``embed`` is not in the list: it
has no table and runs as an app of its own.
"""

from __future__ import annotations

from afresh.streams.stages.assembly import StageSpec
from afresh.streams.stages.content import Content
from afresh.streams.stages.ingest import Ingest
from afresh.streams.stages.intake import Intake
from afresh.streams.stages.learn import Learn
from afresh.streams.stages.link import Linking
from afresh.streams.stages.profile import Profile
from afresh.streams.stages.weigh import Weigh

REST_SECONDS = 0.1
"""Pause of the stages that change items or weights, after each run: users' lists go first; the others change soon
enough."""

STAGES = (
    StageSpec(
        "intake",
        sources=("items", "identities"),
        table="intake",
        agent=Intake,
        rebuilt=True,
        waits_for_catalogue=False,
    ),
    StageSpec(
        "link",
        sources=("identities_keyed",),
        table="people",
        agent=Linking,
        rebuilt=True,
        waits_for_catalogue=False,
    ),
    StageSpec("ingest", sources=("events",), table="received", agent=Ingest),
    StageSpec("profile", sources=("interactions",), table="users", agent=Profile),
    StageSpec(
        "weigh",
        sources=("judged",),
        table="weights",
        agent=Weigh,
        rest_seconds=REST_SECONDS,
        waits_for_catalogue=False,
    ),
    StageSpec("learn", sources=("examples",), table="behaviour", agent=Learn, rest_seconds=REST_SECONDS),
    StageSpec(
        "content",
        sources=("items_keyed", "embeddings"),
        table="content",
        agent=Content,
        rest_seconds=REST_SECONDS,
        rebuilt=True,
    ),
)
