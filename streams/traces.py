"""Traces: follow some events from ingest to Redis, through all stages and processes.

Which events are followed, and the id of the trace, follow from a hash of the event's id. So every stage of every
process decides alike, spans of one event meet in one trace, and no record carries anything for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from xxhash import xxh3_128_intdigest

from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings

if TYPE_CHECKING:
    from afresh.streams.spans import SpanSender

_HASHES = 2**64

INGEST, PROFILE, LIST, REDIS = "ingest", "profile", "list", "redis"
"""Names of spans, in the order of an event's way."""


class Traces:
    """Follows a share of all events.

    Parameters
    ----------
    sender
        Sends the spans.
    share
        Share of the events that are followed.
    """

    def __init__(self, sender: SpanSender, share: float) -> None:
        self._sender = sender
        self._below = int(share * _HASHES)

    def trace_of(self, event: str) -> int | None:
        """Return the id of an event's trace; None if the event is not followed."""
        trace = xxh3_128_intdigest(event.encode("utf-8", "surrogatepass")) or 1
        return trace if trace % _HASHES < self._below else None

    def followed(self, name: str) -> Followed:
        """Begin spans of the events of a part; they begin now."""
        return Followed(self, name)

    def send(self, trace: int, name: str, began: int, ended: int, **fields: str | int) -> None:
        """Send a span of a trace, from one time to another, in ns since 1970."""
        self._sender.send(trace, name, began, ended, fields, first=name == INGEST)

    def listed(self, events: Iterable[str], began: int, made: int) -> None:
        """Send the spans of lists that Redis has just taken.

        Parameters
        ----------
        events
            Newest event of each list.
        began, made
            When the lists were begun and made, in ns since 1970.
        """
        taken = time.time_ns()
        for event in events:
            if (trace := self.trace_of(event)) is not None:
                self.send(trace, LIST, began, made)
                self.send(trace, REDIS, made, taken)

    def close(self) -> None:
        """Send what waits."""
        self._sender.close()


class Followed:
    """Events of a part that are followed, until Kafka has acknowledged what came of them."""

    def __init__(self, traces: Traces, name: str) -> None:
        self._traces = traces
        self._name = name
        self._began = time.time_ns()
        self._events: list[tuple[int, int, int]] = []

    def note(self, event: str, partition: int, offset: int) -> None:
        """Note an event, with its partition and offset among the events, if it is followed."""
        if (trace := self._traces.trace_of(event)) is not None:
            self._events.append((trace, partition, offset))

    def written(self) -> None:
        """Send the spans: they end now."""
        now = time.time_ns()
        for trace, partition, offset in self._events:
            self._traces.send(trace, self._name, self._began, now, partition=partition, offset=offset)


def open_traces(settings: Settings) -> Traces | None:
    """Begin to follow events, if the settings ask for it.

    Raises
    ------
    AfreshError
        When the packages for it are not installed.
    """
    if settings.traces is None:
        return None
    try:
        from afresh.streams.spans import SpanSender
    except ModuleNotFoundError as error:
        raise AfreshError(
            f"AFRESH_TRACES needs a package that is not there ({error.name}); install afresh[traces], or leave "
            "AFRESH_TRACES empty"
        ) from error
    return Traces(SpanSender(settings.traces, settings.namespace), settings.trace_share)
