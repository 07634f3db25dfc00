"""A toy stage that counts the dead letters by reason. It shows everything that a new stage needs.

``CONTRIBUTING.md`` shows it as its recipe: the two classes in a file, the line of ``ToyTopics``, and the row ``TOY``.
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
        """Begin a part; the change knows the rows."""
        return TallyPart(run, change, self._shared)


class TallyPart(OwnPart):
    """Dead letters that are counted together."""

    def fits(self, message: KafkaRecord) -> bool:
        """Whether there is room for one more reason: there are few of them, and their rows are short."""
        return True

    def take(self, message: KafkaRecord) -> None:
        """Count a dead letter that comes for the first time."""
        reason = dict(message.headers)["reason"]
        self.change.put_row(reason, b"%d" % (int(self.change.get(reason) or 0) + 1))


class ToyTopics(Topics):
    """The topics, and one more for the toy stage."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.tallies = self._changelog("tallies")


TOY = StageSpec("tally", sources=("dead_letters",), table="tallies", agent=Tally)
