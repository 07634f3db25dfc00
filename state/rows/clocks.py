"""Clocks: by how much the clock of each platform is wrong, as one partition of events shows it.

The *difference* of an event is when Kafka took it, less the event's own time: the delay on the way, and what the
platform's clock lacks. A delay varies, and the error of a clock or a time zone is *steady*. So of each minute one
difference of each platform counts, and an offset is believed when the quartiles of the newest 32 lie within a minute:
then it is the lower one, to the minute, unless it is less than a minute. That offset stands until another is as steady.

* A phone or a queue that sends much at once, late, counts once in a minute, by an event that its id chooses. Its
  differences are as far apart as its events. So are those of a queue that catches up.
* Single devices with a wrong clock do not reach the quartiles.
* What differs by more than 14 h, the farthest time zone, is a backfill: it is neither counted nor moved.
* A platform whose events all come late by the same hours cannot be told from one whose clock is behind.

What is learned is a function of the events of the partition from ``since`` on, in their order.
"""

from __future__ import annotations

import msgspec

from afresh.state.versions import unpack_known

CLOCKS_VERSION = 1

PLATFORMS_LIMIT = 64
"""Number of platforms whose clocks are learned. Producers choose their names, and a row must stay small."""

SAMPLES = 32
"""Number of minutes that an offset is learned from: half an hour of events at least."""

MINUTE_S = 60
"""Farthest that the quartiles of steady differences are apart, and an offset from what they say, in seconds."""

FARTHEST_S = 14 * 3600 + 30
"""Largest difference that a clock can have, in seconds: a time zone is at most 14 h off, and half a minute is delay."""


class PlatformClock(msgspec.Struct, array_like=True):
    """What is known of the clock of a platform.

    Attributes
    ----------
    offset
        Seconds to add to the times of its events.
    minute
        Newest minute, since 1970, in which Kafka took an event of it.
    chosen, difference
        Key of the event that counts for this minute, the lowest so far, and its difference in seconds.
    samples
        Differences of the minutes before, newest last.
    """

    offset: int = 0
    minute: int = 0
    chosen: int = 0
    difference: int = 0
    samples: list[int] = []

    def note(self, key: int, difference: int, minute: int) -> None:
        """Note the difference of an event, in seconds, given its key and the minute in which Kafka took it."""
        if minute > self.minute:
            if self.minute:
                self._count(self.difference)
            self.minute = minute
        elif key >= self.chosen:
            return
        self.chosen, self.difference = key, difference

    def _count(self, difference: int) -> None:
        self.samples = [*self.samples[1 - SAMPLES :], difference]
        if len(self.samples) < SAMPLES:
            return
        ordered = sorted(self.samples)
        lower, upper = ordered[SAMPLES // 4], ordered[-1 - SAMPLES // 4]
        if upper - lower <= MINUTE_S < abs(lower - self.offset):
            self.offset = MINUTE_S * round(lower / MINUTE_S) if abs(lower) > MINUTE_S else 0


class Clocks(msgspec.Struct, array_like=True):
    """The clocks of all platforms, the agent state of ingest.

    Attributes
    ----------
    version
        Version of this layout.
    incarnation
        Incarnation of the topic of events.
    since, last
        All events after the offset ``since`` and up to ``last`` were noted.
    platforms
        By name, the first ``PLATFORMS_LIMIT`` of them.
    """

    version: int = CLOCKS_VERSION
    incarnation: int = 0
    since: int = -1
    last: int = -1
    platforms: dict[str, PlatformClock] = {}

    def corrected(self, platform: str, key: int, time: int, received: int) -> int:
        """Return the time of an event by a right clock, in ms, and note the event.

        Parameters
        ----------
        platform, key
            The event's platform, and the key of its id.
        time, received
            Its own time, and when Kafka took it, in ms.

        Examples
        --------
        >>> clocks = Clocks(platforms={"tv": PlatformClock(offset=3600)})
        >>> clocks.corrected("tv", 7, 1_700_000_000_000, 1_700_003_601_000) - 1_700_000_000_000
        3600000
        """
        difference = (received - time) // 1000
        if not -FARTHEST_S <= difference <= FARTHEST_S:
            return time
        clock = self.platforms.get(platform)
        if clock is None:
            if len(self.platforms) >= PLATFORMS_LIMIT:
                return time
            clock = self.platforms[platform] = PlatformClock()
        clock.note(key, difference, received // 60_000)
        return time + 1000 * clock.offset


_decoder = msgspec.msgpack.Decoder(Clocks)
pack = msgspec.msgpack.Encoder().encode
"""Pack the clocks."""


def unpack(packed: bytes) -> Clocks:
    """Unpack the clocks; empty bytes mean that nothing was noted.

    Raises
    ------
    RowVersionError
        They have an unknown version or layout.
    """
    return unpack_known(_decoder, packed, "A partition's clocks", CLOCKS_VERSION) if packed else Clocks()


def gone_on(packed: bytes, incarnation: int, last: int, first: int) -> Clocks:
    """Unpack clocks to go on with; begin anew if they lack events, because a program that knew no clocks took them.

    Parameters
    ----------
    packed
        The clocks.
    incarnation
        Incarnation of the topic of events.
    last
        Offset of the last event that the partition has taken in; -1 for none.
    first
        Offset of an event to be taken in.
    """
    clocks = unpack(packed)
    if (clocks.incarnation, clocks.last) == (incarnation, last) and packed:
        return clocks
    return Clocks(incarnation=incarnation, since=max(last, first - 1))
