"""What every fault is: it is injected, lasts some seconds, and is healed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from afresh.state.errors import START_AGAIN_STATUS
from tests.chaos.load import Load
from tests.chaos.pipeline import Pipeline
from tests.chaos.watcher import Watcher


@dataclass
class Scene:
    """The things that a fault acts on.

    Attributes
    ----------
    pipeline, load, watcher
        The pipeline, its load, and the watcher of its lists.
    random
        Random numbers for the choices of faults, made from the seed.
    down_seconds
        How long a server stays down in faults that keep it down.
    """

    pipeline: Pipeline
    load: Load
    watcher: Watcher
    random: random.Random
    down_seconds: float


class Fault:
    """A fault that can be injected and healed."""

    name: ClassVar[str]
    place: ClassVar[str]
    """Kind of process or server that it acts on; two faults of one kind never come together."""

    alone: ClassVar[bool] = False
    """Whether it never comes together with another one."""

    may_end_with: ClassVar[frozenset[int]] = frozenset({START_AGAIN_STATUS})
    """Exit statuses with which processes may end because of it; their supervisor starts them again."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.pipeline = scene.pipeline

    @property
    def seconds(self) -> float:
        """Seconds that it lasts."""
        return 0.0

    def inject(self) -> None:
        """Inject the fault."""
        raise NotImplementedError

    def heal(self) -> None:
        """Heal the fault; by default there is nothing to heal."""
