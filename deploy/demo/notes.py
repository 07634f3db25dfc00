"""What the player notes during a demo, for the panel and the summary."""

from __future__ import annotations

from dataclasses import dataclass, field

from afresh.deploy.demo.judge import PlayerJudge
from afresh.deploy.demo.linker import LinkNotes
from afresh.deploy.demo.progress import Progress
from afresh.deploy.demo.spotlight import Spotlight


@dataclass(frozen=True)
class Notes:
    """Progress of a demo, accuracy of its lists, the list of one user, and the accounts linked."""

    progress: Progress
    judge: PlayerJudge
    spotlight: Spotlight
    links: LinkNotes = field(default_factory=LinkNotes)
