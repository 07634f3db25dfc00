"""The stages, one file an agent, in the order in which an event meets them.

``STAGES`` is the one place that names them. A new stage is a file with a class of ``streams.stages.stage.Stage``, its
topics in ``streams.topics``, and its row here; ``embed`` has no table and is an app of its own.
"""

from __future__ import annotations

from afresh.streams.stages.assembly import StageSpec
from afresh.streams.stages.content import Content
from afresh.streams.stages.ingest import Ingest
from afresh.streams.stages.learn import Learn
from afresh.streams.stages.profile import Profile

REST_SECONDS = 0.1
"""Items change within a fraction of a second; users' lists must not wait for that, nor share the CPU evenly with it."""

STAGES = (
    StageSpec("ingest", sources=("events",), table="received", agent=Ingest),
    StageSpec("profile", sources=("interactions",), table="users", agent=Profile),
    StageSpec("learn", sources=("examples",), table="behaviour", agent=Learn, rest_seconds=REST_SECONDS),
    StageSpec(
        "content", sources=("items", "embeddings"), table="content", agent=Content, rest_seconds=REST_SECONDS
    ),
)
