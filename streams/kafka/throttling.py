"""Throttling: counts how long Kafka makes this process wait because of a quota, and says so seldom.

A broker answers a client that is over its quota with the time for which it will not listen to it. A fetch then brings
no records. aiokafka drops that time, so that a recovery under a quota looks like one that stands still. Importing this
module lets every client of aiokafka note it.

Under a very low quota a recovery really stands still: a broker never delivers a batch that is larger than what the
quota allows in ten seconds. Nothing but a higher quota helps, which takes effect once the connections are made anew.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from typing import Any, NamedTuple, cast

from aiokafka.client import AIOKafkaClient, ConnectionGroup

from afresh.streams import metrics
from afresh.streams.kafka.app import App
from afresh.streams.kafka.lag import Lag
from afresh.streams.kafka.recovery import RunTables

FIRST_SECONDS = 10.0
"""Time from the start to the first look."""

REPORT_SECONDS = 60.0
"""Shortest time between two sentences."""

LEAST_SECONDS = 1.0
"""Time throttled between two looks below which nothing is said: short waits are how a quota works."""

logger = logging.getLogger(__name__)


class Noted:
    """How long Kafka has told each client of this process to wait; clients run in several threads.

    Attributes
    ----------
    seconds
        Time by client, as quotas name them: its id, and its user if it has one.
    """

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self.seconds: dict[str, float] = {}

    def note(self, client: str, request: str, seconds: float) -> None:
        """Add what an answer has said."""
        metrics.THROTTLED_SECONDS.labels(request).inc(seconds)
        with self._one_at_a_time:
            self.seconds[client] = self.seconds.get(client, 0.0) + seconds

    def take(self) -> dict[str, float]:
        """Return the time by client since the last call."""
        with self._one_at_a_time:
            taken, self.seconds = self.seconds, {}
        return taken


NOTED = Noted()
"""What all clients of this process were told."""

_send = AIOKafkaClient.send


@functools.wraps(_send)
async def send(
    self: Any, node_id: Any, request: Any, *, group: ConnectionGroup = ConnectionGroup.DEFAULT
) -> Any:
    """Send a request as aiokafka does, and note how long Kafka makes the client wait."""
    response = await _send(self, node_id, request, group=group)
    # Not every answer has the field: versions before 1, and fetches that expect no answer.
    milliseconds = getattr(response, "throttle_time_ms", 0)
    if milliseconds:
        NOTED.note(_client(self), type(request).__name__.removesuffix("Request"), milliseconds / 1000)
    return response


AIOKafkaClient.send = send


def _client(client: Any) -> str:
    user = client._sasl_plain_username
    return f"client id {client._client_id}" + (f" of user {user}" if user else "")


class Remaining(NamedTuple):
    """How many records remain, and what to do with them."""

    to: str
    records: int


class Throttling:
    """Says in the log that Kafka throttles this process.

    Parameters
    ----------
    app
        The app, which may be recovering its tables.
    lag
        Knows what waits once they are recovered.
    """

    def __init__(self, app: App, lag: Lag) -> None:
        self._app = app
        self._lag = lag
        self._remained: Remaining | None = None

    async def run(self) -> None:
        """Say it at most once in ``REPORT_SECONDS``, until the app stops."""
        pause = FIRST_SECONDS
        while not self._app.should_stop:
            await asyncio.sleep(pause)
            said = self.report(pause)
            pause = REPORT_SECONDS if said else FIRST_SECONDS

    def report(self, seconds: float) -> bool:
        """Say how long Kafka has throttled us in the last seconds, and what remains; return whether that was needed."""
        noted = NOTED.take()
        remains, before = self._remaining(), self._remained
        self._remained = remains
        if sum(noted.values()) < LEAST_SECONDS:
            return False
        named = ", ".join(f"{name}: {each:.0f} s" for name, each in sorted(noted.items()))
        logger.warning(
            "Kafka throttles this process (%s, in the last %.0f s), %s; ask for a higher quota (consumer_byte_rate, "
            "producer_byte_rate or request_percentage)",
            *(named, seconds, _progress(remains, before)),
        )
        return True

    def _remaining(self) -> Remaining:
        tables = cast(RunTables, self._app.tables)
        if tables.actives_ready:
            return Remaining("process", self._lag.records)
        return Remaining("recover", tables.recovery.active_remaining_total())


def _progress(remains: Remaining, before: Remaining | None) -> str:
    said = f"and {remains.records:,} records remain to {remains.to}"
    if before is None or before.to != remains.to:
        return said
    fewer = before.records - remains.records
    if not fewer and remains.records and remains.to == "recover":
        return (
            f"{said}, not one fewer than before: batches larger than what the quota allows in 10 s never come"
        )
    return f"{said}, {fewer:,} fewer than before"
