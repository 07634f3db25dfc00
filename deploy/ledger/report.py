"""The report of an audit: counts, and the first few differences of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import msgspec
from rich.console import Group
from rich.table import Table

from afresh.deploy.terminal import plain

NAMED = 5
"""Differences of one kind that the report shows in full. Of the others it shows only the number."""

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
    refused
        Records that must be refused; includes records of items.
    dead_letters
        Refused records that are among the dead letters.
    duplicates
        Events that were dropped because an event with their id came before.
    accepted
        All other events.
    once, twice, missing
        Accepted events by how often their users' rows count them. An event that is counted three times adds two to
        ``twice``.
    examples
        Accepted events that are learned from.
    repeated
        Records between agents that came again after a crash. Their source tells that they are repeated.
    unchecked
        Events, or records made from them, that cannot be checked, because a topic was deleted and made again.
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
    unchecked: int = 0


@dataclass
class LineTally:
    """What became of the lines of a file of events.

    Attributes
    ----------
    total
        Lines of the file.
    counted, duplicates, refused
        Lines whose event Kafka holds, by what became of the event.
    missing
        Lines whose event is not in Kafka.
    """

    total: int = 0
    counted: int = 0
    duplicates: int = 0
    refused: int = 0
    missing: int = 0


@dataclass
class Tally:
    """Counts of the rows or lists of one kind.

    Attributes
    ----------
    kind
        ``FUNCTION``, ``MOMENT`` or ``STATE``: what the rows or lists depend on.
    expected
        How many there should be.
    equal, wrong, missing
        How many of the expected ones are equal, wrong or missing. A list that is older than the state is wrong.
    surplus
        How many there are that should not be there.
    unchecked
        How many cannot be recomputed, because they were made from a topic that was deleted and made again.
    """

    kind: str = FUNCTION
    expected: int = 0
    equal: int = 0
    wrong: int = 0
    missing: int = 0
    surplus: int = 0
    unchecked: int = 0


@dataclass
class Report:
    """What an audit found.

    Attributes
    ----------
    events
        What became of the events.
    file
        What became of the lines of the file; None without a file.
    tallies
        Counts of rows and lists, by their name.
    differences
        Sentences, the first few of each kind; empty if everything is right.
    settled_seconds
        Seconds until nothing changed any more; None if the audit did not wait, or the deployment did not settle.
    """

    events: Events = field(default_factory=Events)
    file: LineTally | None = None
    tallies: dict[str, Tally] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    settled_seconds: float | None = None
    _found: Counter[str] = field(default_factory=Counter)

    def differ(self, kind: str, sentence: str) -> None:
        """Add a difference; beyond the first few of a kind, only count it."""
        self._found[kind] += 1
        if self._found[kind] <= NAMED:
            self.differences.append(f"{kind}: {sentence}")

    def tell_the_rest(self) -> None:
        """Add, for each kind, the number of the differences that are only counted."""
        for kind, count in self._found.items():
            if count > NAMED:
                self.differences.append(f"{kind}: {count - NAMED:,} more")

    def tally(self, name: str, kind: str = FUNCTION) -> Tally:
        """Return the counts of the rows or lists with a name; ``kind`` is used for a new name."""
        return self.tallies.setdefault(name, Tally(kind))

    def check_list(self, name: str, whose: str, packed: bytes | None, fault: Callable[[bytes], str]) -> None:
        """Count a list that must exist.

        Parameters
        ----------
        name
            Name of the tally.
        whose
            Owner of the list, for the sentence of a difference.
        packed
            The list; None if it is missing.
        fault
            Function that says what is wrong with a list; it returns "" if the list is right.
        """
        tally = self.tally(name, STATE)
        tally.expected += 1
        if packed is None:
            tally.missing += 1
            self.differ(name, f"{whose} has no list")
        elif found := fault(packed):
            tally.wrong += 1
            self.differ(name, f"the list of {whose} {found}")
        else:
            tally.equal += 1

    def as_json(self) -> bytes:
        """Return the whole report as JSON."""
        public = {name: value for name, value in asdict(self).items() if not name.startswith("_")}
        return msgspec.json.format(msgspec.json.encode(public))


def report_table(report: Report) -> Group:
    """Return a report as tables and sentences for a terminal."""
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
    for name in ("expected", "equal", "wrong or stale", "missing", "surplus", "unchecked"):
        table.add_column(name, justify="right")
    for name, tally in report.tallies.items():
        numbers = (
            tally.expected,
            tally.equal,
            tally.wrong,
            tally.missing,
            tally.surplus,
            tally.unchecked,
        )
        table.add_row(name, tally.kind, *(f"{number:,}" for number in numbers))
    return table
