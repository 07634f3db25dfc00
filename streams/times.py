"""Times of events: milliseconds since 1970, or RFC 3339 with an offset."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from afresh.streams.messages import AwareTime

EARLIEST_MS = 631_152_000_000
"""1990-01-01, the earliest time of an event, in ms since 1970: an older time means a wrong unit or a wrong clock."""

LAST_MS = 253_402_300_799_999
"""The end of the year 9999, in ms since 1970: the last time that RFC 3339 can write."""

_UNITS = {
    "seconds": (EARLIEST_MS // 1000, LAST_MS // 1000),
    "milliseconds": (EARLIEST_MS, LAST_MS),
    "microseconds": (EARLIEST_MS * 1000, LAST_MS * 1000),
    "nanoseconds": (EARLIEST_MS * 1_000_000, LAST_MS * 1_000_000),
}
"""Lowest and highest number of each unit. No number fits two units."""

_DIGITS = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_SECOND_60 = re.compile(r"(.{16}:)60(.*)", re.DOTALL)

_time_decoder = msgspec.json.Decoder(AwareTime)
_text_decoder = msgspec.json.Decoder(str)


def milliseconds(when: datetime | int) -> int:
    """Convert a time to ms since 1970; an integer is taken as it is."""
    return when if isinstance(when, int) else int(when.timestamp() * 1000)


def unit_of(number: Decimal | int) -> str | None:
    """Name the unit in which a number since 1970 is a time from 1990 to 9999; None if there is none.

    Examples
    --------
    >>> unit_of(1_700_000_000), unit_of(1_700_000_000_000), unit_of(7)
    ('seconds', 'milliseconds', None)
    """
    return next((name for name, (low, high) in _UNITS.items() if low <= number <= high), None)


def unusable(when: datetime | int) -> str:
    """Say in a sentence why a time is outside the range of times; name the unit if it looks like another one."""
    unit = unit_of(when) if isinstance(when, int) else None
    if unit in {None, "milliseconds"}:
        return f"The time {when} is before 1990 or too far ahead."
    return f"The time {when} looks like {unit}; send milliseconds since 1970."


def read_odd_text(raw: bytes) -> datetime:
    """Read a time that the strict decoder refuses: second 60, a leap second, is the second after it.

    Parameters
    ----------
    raw
        The string as it stands in the JSON.

    Raises
    ------
    msgspec.ValidationError
        When it is no time.
    """
    text = _text_decoder.decode(raw)
    if _DIGITS.fullmatch(text):
        raise msgspec.ValidationError(_digits(text))
    leap = _SECOND_60.fullmatch(text)
    if leap is None:
        return _time_decoder.decode(raw)
    before = _time_decoder.decode(msgspec.json.encode(f"{leap[1]}59{leap[2]}"))
    try:
        return before + timedelta(seconds=1)
    except OverflowError as error:
        raise msgspec.ValidationError("There is no second after the year 9999") from error


def _digits(text: str) -> str:
    unit = unit_of(Decimal(text))
    looks = f" that looks like {unit}" if unit else ""
    return f"The time {text[:40]!r} is a string of digits{looks}; send milliseconds since 1970 as a number"
