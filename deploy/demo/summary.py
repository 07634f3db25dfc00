"""The final figures of a demo."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from afresh.deploy.demo.notes import Notes
from afresh.deploy.demo.scrape import Readings
from afresh.state.errors import AfreshError


@dataclass(frozen=True)
class Summary:
    """Final figures of a demo; a figure that was not measured is ``None``.

    Attributes
    ----------
    events, dlq
        Events sent, and records in the dead-letter topic.
    users, items, embedded
        Users and items that the worker knows, and items with an embedding.
    hit_rate_10, ndcg_10
        HR@10 and NDCG@10 of the lists that Redis held right before each event.
    popularity_hit_rate_10, popularity_ndcg_10
        The same figures for popularity, counted from the events sent before.
    hit_rate_10_first_half, hit_rate_10_last_half, popularity_hit_rate_10_last_half
        The same figures over one half of the events.
    events_per_second
        Events sent, divided by the time until Redis held the last event's list.
    latency_p50_seconds, latency_p99_seconds
        Time from sending an event until the player sees the list that takes it in.
    links, links_late
        Pairs of accounts linked that had the same list afterwards, and those that did not within ten seconds.
    links_p50_seconds, links_longest_seconds
        Time from sending a link until Redis held the same list for both accounts.
    late
        Closed loop: events given up after a second without an answer. Open loop: users whose list never took in
        their last event.
    """

    events: int
    dlq: int
    users: int
    items: int
    embedded: int
    hit_rate_10: float | None
    popularity_hit_rate_10: float | None
    ndcg_10: float | None
    popularity_ndcg_10: float | None
    hit_rate_10_first_half: float | None
    hit_rate_10_last_half: float | None
    popularity_hit_rate_10_last_half: float | None
    events_per_second: float
    latency_p50_seconds: float | None
    latency_p99_seconds: float | None
    late: int
    links: int
    links_late: int
    links_p50_seconds: float | None
    links_longest_seconds: float | None

    def sentences(self) -> list[str]:
        """Return the figures as sentences."""
        return [
            f"{self.events:,} events, {self.events_per_second:,.0f} a second; {self.dlq:,} dead letters; "
            f"{self.users:,} users; {self.items:,} items, {self.embedded:,} of them embedded.",
            self._latency(),
            self._quality(),
            *self._links(),
        ]

    def _latency(self) -> str:
        if self.latency_p50_seconds is None or self.latency_p99_seconds is None:
            return f"Open loop: {self.late:,} users' lists never took in their last event."
        p50, p99 = 1000 * self.latency_p50_seconds, 1000 * self.latency_p99_seconds
        return f"From event to Redis: p50 {p50:.0f} ms, p99 {p99:.0f} ms; {self.late:,} took over a second."

    def _links(self) -> list[str]:
        if self.links_p50_seconds is None or self.links_longest_seconds is None:
            return []
        p50, longest = 1000 * self.links_p50_seconds, 1000 * self.links_longest_seconds
        return [
            f"{self.links:,} people logged in with a second account: both had the same list after {p50:.0f} ms (p50), "
            f"{longest:.0f} ms at most; {self.links_late:,} not within 10 seconds."
        ]

    def _quality(self) -> str:
        if self.hit_rate_10 is None or self.popularity_hit_rate_10 is None:
            return "Hit rate: not judged."
        return (
            f"The item taken was among the first ten of the user's list in {self.hit_rate_10:.1%} of cases; "
            f"in a list of the most popular it would have in {self.popularity_hit_rate_10:.1%}."
        )

    def write(self, file: Path) -> None:
        """Write the figures as JSON."""
        file.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")


def summarise(notes: Notes, readings: Readings, dlq: int) -> Summary:
    """Combine the player's notes with the worker's metrics."""
    progress, judge = notes.progress, notes.judge
    (served, popular), (first, last) = judge.over(), judge.halves()
    p50, p99 = progress.latencies() or (None, None)
    return Summary(
        events=progress.sent,
        dlq=dlq,
        users=readings.total("afresh_rows", table="users"),
        items=readings.total("afresh_catalogue_items"),
        embedded=readings.total("afresh_catalogue_embedded_items"),
        hit_rate_10=_rounded(served.hit_rate),
        popularity_hit_rate_10=_rounded(popular.hit_rate),
        ndcg_10=_rounded(served.ndcg),
        popularity_ndcg_10=_rounded(popular.ndcg),
        hit_rate_10_first_half=_rounded(first[0].hit_rate),
        hit_rate_10_last_half=_rounded(last[0].hit_rate),
        popularity_hit_rate_10_last_half=_rounded(last[1].hit_rate),
        events_per_second=round(progress.rate, 1),
        latency_p50_seconds=_rounded(p50),
        latency_p99_seconds=_rounded(p99),
        late=progress.late,
        links=len(notes.links.seconds),
        links_late=notes.links.late,
        links_p50_seconds=_rounded(median(notes.links.seconds)) if notes.links.seconds else None,
        links_longest_seconds=_rounded(max(notes.links.seconds)) if notes.links.seconds else None,
    )


def require_writable(file: Path) -> None:
    """Raise now if a file cannot be written: otherwise a long demo would fail at its end.

    Raises
    ------
    AfreshError
        If the file cannot be written.
    """
    try:
        with file.open("ab"):
            pass
    except OSError as error:
        raise AfreshError(f"{file} cannot be written ({error.strerror}); name another file") from error


def _rounded(figure: float | None) -> float | None:
    return None if figure is None or math.isnan(figure) else round(figure, 6)
