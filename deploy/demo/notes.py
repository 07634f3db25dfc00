"""What is written down of a run, for the panel and the summary."""

from __future__ import annotations

from dataclasses import dataclass

from afresh.deploy.demo.judge import PlayerJudge
from afresh.deploy.demo.progress import Progress
from afresh.deploy.demo.spotlight import Spotlight


@dataclass(frozen=True)
class Notes:
    """How far a run has come, how good its lists were, and one user's list."""

    progress: Progress
    judge: PlayerJudge
    spotlight: Spotlight
