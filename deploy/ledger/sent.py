"""What one partition of the interactions sends on to another must arrive there once, as it was sent."""

from __future__ import annotations

from collections.abc import Collection

from afresh.deploy.ledger.events import Place, digest
from afresh.deploy.ledger.report import Report
from afresh.state.records import SENT_ON, Way


class SentOnwards:
    """The records that were sent on, and those that arrived, each by the place that it is counted by."""

    def __init__(self) -> None:
        self._due: dict[Place, int] = {}
        self._came: dict[Place, int | None] = {}
        self._at = Place(0, 0)

    def begin(self, partition: int, offset: int) -> None:
        """Begin with the record at an offset of a partition: what is sent on next is made from it."""
        self._at = Place(partition, offset * SENT_ON)

    def way(self, number: int) -> Way:
        """Return the way of the next record that is sent on, after the moves up to a number."""
        partition, place = self._at
        self._at = Place(partition, place + 1)
        return Way(partition, place, number)

    def send(self, way: Way, value: bytes) -> None:
        """Note what must arrive."""
        self._due[Place(way.partition, way.place)] = digest(value)

    def arrived(self, way: Way, value: bytes, *, exact: bool = True) -> bool:
        """Note what arrives; return False if it came before.

        Not ``exact`` is a row that an earlier version began: it cannot be recomputed whole.
        """
        place = Place(way.partition, way.place)
        if place in self._came:
            return False
        self._came[place] = digest(value) if exact else None
        return True

    def check(self, known: Collection[int], report: Report) -> None:
        """Compare what arrived with what was sent on from the partitions that are known whole."""
        came = {place: found for place, found in self._came.items() if place.partition in known}
        due = {place: found for place, found in self._due.items() if place.partition in known}
        for partition, place in due.keys() - came.keys():
            report.differ("sent on", f"what was made from {partition}@{place // SENT_ON} has not arrived")
        for partition, place in came.keys() - due.keys():
            report.differ("sent on", f"something says that it was made from {partition}@{place // SENT_ON}")
        for partition, place in due.keys() & came.keys():
            if came[Place(partition, place)] not in (None, due[Place(partition, place)]):
                report.differ(
                    "sent on", f"what was made from {partition}@{place // SENT_ON} is not what was sent"
                )
