"""What an audit found: counts, and the first few differences of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import msgspec
from rich.console import Group
from rich.table import Table

from afresh.deploy.terminal import plain

NAMED = 5
"""Differences of one kind that are told one by one; of the others the number is told."""

FUNCTION = "function of its input"
MOMENT = "depends on the moment"
STATE = "of the newest state"


@dataclass
class Events:
    """What became of the events.

    Attributes
    ----------
    total
        Records of the topic.
    refused, dead_letters
        Records that can not be used, of items too, and how many of them are among the dead letters.
    duplicates
        Events of an id that was already there, dropped.
    accepted
        All others.
    once, twice, missing
        How often the accepted ones are counted in their users' rows; one counted three times is two in ``twice``.
    examples
        Of the accepted ones, how many are to be learned from.
    repeated
        Records between agents that came again after a crash, recognised by their source.
    """

    total: int = 0
    refused: int = 0
    dead_letters: int = 0
    duplicates: int = 0
    accepted: int = 0
    once: int = 0
    twice: int = 0
    missing: int = 0
    examples: int = 0
    repeated: int = 0


@dataclass
class LineTally:
    """What became of the lines of a file of events."""

    total: int = 0
    counted: int = 0
    duplicates: int = 0
    refused: int = 0
    missing: int = 0


@dataclass
class Tally:
    """Rows or lists of one kind, beside those that there should be.

    Attributes
    ----------
    kind
        Whether they are a function of their input or depend on the moment.
    expected
        How many there should be.
    equal, wrong, missing
        What the expected ones are; a list that is older than the state is wrong.
    surplus
        What should not be there.
    """

    kind: str = FUNCTION
    expected: int = 0
    equal: int = 0
    wrong: int = 0
    missing: int = 0
    surplus: int = 0


@dataclass
class Report:
    """What an audit found.

    Attributes
    ----------
    events
        What became of the events.
    file
        What became of the lines of the file, if there is one.
    tallies
        Rows and lists, by their name.
    differences
        Sentences, the first few of each kind; empty if everything is as it must be.
    settled_seconds
        How long it took until nothing changed any more, if that was waited for.
    """

    events: Events = field(default_factory=Events)
    file: LineTally | None = None
    tallies: dict[str, Tally] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    settled_seconds: float | None = None
    _found: Counter[str] = field(default_factory=Counter)

    def differ(self, kind: str, sentence: str) -> None:
        """Note a difference."""
        self._found[kind] += 1
        if self._found[kind] <= NAMED:
            self.differences.append(f"{kind}: {sentence}")

    def tell_the_rest(self) -> None:
        """Tell the number of the differences that are not told one by one."""
        for kind, count in self._found.items():
            if count > NAMED:
                self.differences.append(f"{kind}: {count - NAMED:,} more")

    def tally(self, name: str, kind: str = FUNCTION) -> Tally:
        """Counts of rows or lists of a name."""
        return self.tallies.setdefault(name, Tally(kind))

    def check_list(self, name: str, whose: str, packed: bytes | None, fault: Callable[[bytes], str]) -> None:
        """Count a list that there should be; ``fault`` says what is wrong with it, nothing if it is right."""
        tally = self.tally(name, STATE)
        tally.expected += 1
        if packed is None:
            tally.missing += 1
            self.differ(name, f"{whose} has none")
        elif found := fault(packed):
            tally.wrong += 1
            self.differ(name, f"that of {whose} {found}")
        else:
            tally.equal += 1

    def as_json(self) -> bytes:
        """Everything, as JSON."""
        public = {name: value for name, value in asdict(self).items() if not name.startswith("_")}
        return msgspec.json.format(msgspec.json.encode(public))


def report_table(report: Report) -> Group:
    """Show a report."""
    parts = [_numbers("events", asdict(report.events))]
    if report.file is not None:
        parts.append(_numbers("lines of the file", asdict(report.file)))
    parts.append(_tallies(report))
    return Group(*parts, *(plain(sentence) for sentence in report.differences))


def _numbers(title: str, numbers: dict[str, int]) -> Table:
    table = Table(title=title, show_header=False)
    for name, number in numbers.items():
        table.add_row(name.replace("_", " "), f"{number:>9,}")
    return table


def _tallies(report: Report) -> Table:
    table = Table(title="rows and lists")
    for name in ("", "kind"):
        table.add_column(name)
    for name in ("expected", "equal", "wrong or stale", "missing", "surplus"):
        table.add_column(name, justify="right")
    for name, tally in report.tallies.items():
        numbers = (tally.expected, tally.equal, tally.wrong, tally.missing, tally.surplus)
        table.add_row(name, tally.kind, *(f"{number:,}" for number in numbers))
    return table
