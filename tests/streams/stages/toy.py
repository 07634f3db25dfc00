"""A toy stage: counts the dead letters by their reason. All that a new stage is stands here.

Its own file would be the two classes, its topic the line in ``ToyTopics``, and its row ``TOY``.
"""

from __future__ import annotations

from afresh.state.store.changes import Change
from afresh.streams.runs.run import KafkaRecord, Run
from afresh.streams.settings import Settings
from afresh.streams.stages.assembly import StageSpec
from afresh.streams.stages.stage import OwnPart, Stage
from afresh.streams.topics import Topics


class Tally(Stage["TallyPart"]):
    """The agent that counts."""

    def begin(self, run: Run, change: Change) -> TallyPart:
        return TallyPart(run, change, self._shared)


class TallyPart(OwnPart):
    """Dead letters that are counted together."""

    def fits(self, message: KafkaRecord) -> bool:
        return True

    def take(self, message: KafkaRecord) -> None:
        reason = dict(message.headers)["reason"]
        self.change.put_row(reason, b"%d" % (int(self.change.get(reason) or 0) + 1))


class ToyTopics(Topics):
    """The topics, and one more."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.tallies = self._changelog("tallies")


TOY = StageSpec("tally", sources=("dead_letters",), table="tallies", agent=Tally)
