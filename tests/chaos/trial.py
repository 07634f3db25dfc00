"""One trial: plays a schedule under load, and notes everything that goes wrong."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from afresh.deploy.ledger import Report as Ledger
from afresh.deploy.ledger import audit
from afresh.deploy.ledger.lists import LISTS, POPULAR
from tests.chaos.encoder_faults import unsettled
from tests.chaos.fault import Fault, Scene
from tests.chaos.faults import FAULTS
from tests.chaos.load import Load
from tests.chaos.pipeline import PATIENCE_SECONDS, End, Pipeline
from tests.chaos.schedule import Step
from tests.chaos.watcher import Watcher

SETTLE_SECONDS = 300.0
"""Longest wait at the end, until the backlog is empty and every list is of the last state."""

POLL_SECONDS = 0.1

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """Result of a step: seconds from its healing until all processes were ready, and until events had their lists."""

    faults: tuple[str, ...]
    ready_seconds: float
    answered_seconds: float


@dataclass
class Report:
    """Results of a trial."""

    seed: int
    outcomes: list[Outcome] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def slowest(self) -> float:
        """Seconds of the slowest recovery."""
        return max((outcome.ready_seconds for outcome in self.outcomes), default=0.0)

    def summary(self) -> str:
        """Return the figures, one line each."""
        events = self.ledger.events
        wrong = {
            name: tally.wrong + tally.missing + tally.surplus for name, tally in self.ledger.tallies.items()
        }
        lists = wrong.pop(LISTS, 0) + wrong.pop(POPULAR, 0)
        counts = Counter(name for outcome in self.outcomes for name in outcome.faults)
        lines = [
            f"seed              {self.seed}",
            f"faults            {counts.total()}",
            *(f"  {name:<24}{count}" for name, count in sorted(counts.items())),
            f"events            {events.total}",
            f"lost              {events.missing + events.refused - events.dead_letters}",
            f"doubled           {events.twice}",
            f"rows wrong        {sum(wrong.values())}",
            f"stale lists       {lists}",
            f"ended by itself   {len(self.ends)}",
            f"slowest recovery  {self.slowest:.1f} s",
            f"failures          {len(self.failures)}",
        ]
        ends = Counter(f"{each.name} with status {each.status}" for each in self.ends)
        lines += [f"  {what}, {count} times" for what, count in sorted(ends.items())]
        return "\n".join([*lines, *(f"  {what}" for what in self.failures), self.verdict])

    @property
    def verdict(self) -> str:
        """What the ledger says, in one line."""
        if self.failures:
            return "not clean"
        return "clean: every event counted once, every row and every list right"


def wrong(ends: Iterable[End], *allowed: frozenset[int]) -> list[End]:
    """Choose the ends whose status no fault allows.

    Examples
    --------
    >>> wrong([End("worker", 75), End("worker", 1)], frozenset(), frozenset({75}))
    [End(name='worker', status=1)]
    """
    return [end for end in ends if not any(end.status in each for each in allowed)]


class Trial:
    """Plays a schedule.

    Parameters
    ----------
    pipeline
        The pipeline under test.
    seed
        Seed of the load and of the choices of faults.
    rate
        Events a second.
    down_seconds
        How long a server stays down in faults that keep it down.
    say
        Called with a line of text for each step and each failure.
    """

    def __init__(self, pipeline: Pipeline, seed: int, rate: float, down_seconds: float, say: Say) -> None:
        self.report = Report(seed, ends=pipeline.ends)
        self._pipeline = pipeline
        self._checked = 0
        self._say = say
        self._load = Load(pipeline.settings, seed, rate)
        self._watcher = Watcher(pipeline.servers.redis_address, pipeline.settings.namespace)
        self._scene = Scene(pipeline, self._load, self._watcher, random.Random(seed), down_seconds)
        self._started = time.monotonic()

    def run(self, steps: Iterable[Step], seconds: float) -> Report:
        """Play steps for ``seconds`` at most, let the workers finish the backlog, and audit the result."""
        self._wait(lambda: not self._pipeline.not_ready(), "the workers to be ready at first")
        self._started = time.monotonic()
        self._load.start()
        self._watcher.start()
        for step in steps:
            if time.monotonic() - self._started > seconds:
                break
            self._play(step)
        self._load.stop()
        self._settle()
        self._pipeline.tend()
        self._check_ends("the end, without any fault")
        self._watcher.stop()
        self.report.failures += self._watcher.wrong[:20]
        self.report.failures += [
            f"Kafka refused a record of the load: {each}" for each in self._load.refused[:20]
        ]
        return self.report

    def _play(self, step: Step) -> None:
        self._pipeline.sleep(step.pause_seconds)
        faults = [FAULTS[name](self._scene) for name in step.faults]
        for fault in faults:
            self._do(fault, fault.inject)
        self._pipeline.sleep(max(fault.seconds for fault in faults))
        for fault in reversed(faults):
            self._do(fault, fault.heal)
        name = "+".join(step.faults)
        healed = time.monotonic()
        self._wait(lambda: not self._pipeline.not_ready(), f"all to be ready after {name}")
        ready = time.monotonic() - healed
        self._probe(name)
        answered = time.monotonic() - healed
        self._check_ends(name, *(fault.may_end_with for fault in faults))
        self.report.outcomes.append(Outcome(step.faults, ready, answered))
        at = time.monotonic() - self._started
        ends = len(self.report.ends)
        self._say(f"{at:7.1f} s  {name:<42} ready {ready:5.1f} s, answered {answered:5.1f} s, ends {ends}")

    def _check_ends(self, when: str, *allowed: frozenset[int]) -> None:
        """Fail for each process that has ended since the last call with a status that it must not have."""
        new = self.report.ends[self._checked :]
        self._checked += len(new)
        for end in wrong(new, *allowed):
            self._fail(f"{end.name} ended with status {end.status} at {when}")

    def _do(self, fault: Fault, act: Callable[[], None]) -> None:
        """Inject or heal a fault; note an error, and go on."""
        try:
            act()
        except Exception as error:
            self._fail(f"{fault.name}: {error}")

    def _probe(self, name: str) -> None:
        """Send an event to every partition, and wait for the lists that take them in."""
        asked = {user: self._load.event(user, "item-1") for user in self._load.probe_users()}
        self._wait(
            lambda: self._pipeline.have_answered(asked),
            f"events of all partitions to be answered after {name}",
        )

    def _settle(self) -> None:
        """Wait until nothing is left to do, and audit the result."""
        self._wait(lambda: not unsettled(self._pipeline.settings), "lists to be made from the newest encoder")
        found = self.report.ledger = audit(self._pipeline.settings, wait_seconds=SETTLE_SECONDS)
        for difference in found.differences:
            self._fail(difference)

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        if not self._pipeline.wait_until(done, POLL_SECONDS):
            missing = ", ".join(self._pipeline.not_ready()) or "none"
            self._fail(f"waited {PATIENCE_SECONDS:g} s in vain for {what} (not ready: {missing})")

    def _fail(self, what: str) -> None:
        self._say(f"FAILURE: {what}")
        self.report.failures.append(what)
