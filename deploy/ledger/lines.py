"""Reports what became of every line of a file of events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from afresh.deploy.ledger.events import name_of
from afresh.deploy.ledger.report import LineTally, Report


def check_lines(lines: Iterable[bytes], outcomes: Mapping[str, str], report: Report) -> None:
    """Look for the events of a file in the topic.

    Parameters
    ----------
    lines
        Lines as ``afresh replay`` sends them.
    outcomes
        What became of the events of the topic (counted, duplicates or refused), by name.
    report
        Gets the counts and differences.
    """
    told = report.file = LineTally()
    seen: set[str] = set()
    for number, line in enumerate(lines, start=1):
        name = name_of(line)
        outcome = outcomes.get(name, "missing")
        told.total += 1
        if outcome == "missing":
            told.missing += 1
            report.differ("file", f"the event {_short(name, line)} (number {number:,}) is not in Kafka")
        elif outcome == "refused":
            told.refused += 1
        elif name in seen:
            told.duplicates += 1
        else:
            told.counted += 1
        seen.add(name)


def _short(name: str, line: bytes) -> str:
    return repr(name) if not name.startswith("\0") else f"that begins with {line[:40]!r}"
