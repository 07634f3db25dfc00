"""Compares rows as they stand with rows as they must be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import numpy as np

from afresh.deploy.ledger.reading import PARTITION_ROW, Rows
from afresh.deploy.ledger.report import Report
from afresh.state.rows import behaviour
from afresh.state.rows.behaviour import ROW
from afresh.state.versions import RowVersionError

UNREADABLE = (msgspec.MsgspecError, RowVersionError, ValueError)
"""What unpacking a row that nobody wrote on purpose may raise."""

Fields = Callable[[bytes], Mapping[str, Any]]


def compare(
    report: Report,
    name: str,
    whose: str,
    due: Mapping[bytes, bytes],
    found: Rows,
    fields: Fields,
    anew: Callable[[bytes], bytes] = bytes,
) -> None:
    """Compare the rows of a partition, bit by bit.

    Parameters
    ----------
    report
        Where counts and differences go.
    name
        Of the table.
    whose
        What a key names, such as ``user``.
    due, found
        Rows as they must be and as they are, by key.
    fields
        Unpacks a row into its fields.
    anew
        Packs a row as this program does, whichever program wrote it: one that nothing has changed since is no other.
    """
    tally = report.tally(name)
    tally.expected += len(due)
    for key, row in due.items():
        actual = found.get(key)
        if actual is None:
            tally.missing += 1
            report.differ(name, f"the row of {whose} {shown(key)} is missing")
        elif actual == row or _packed_anew(actual, anew) == row:
            tally.equal += 1
        else:
            tally.wrong += 1
            report.differ(
                name, f"the row of {whose} {shown(key)} is wrong: {_difference(row, actual, fields)}"
            )
    for key in found.keys() - due.keys() - {PARTITION_ROW}:
        tally.surplus += 1
        report.differ(name, f"nothing in the input makes the row of {whose} {shown(key)}")


def shown(key: bytes) -> str:
    """Name a key in a sentence."""
    return repr(key.decode(errors="replace"))


def _packed_anew(found: bytes, anew: Callable[[bytes], bytes]) -> bytes | None:
    try:
        return anew(found)
    except UNREADABLE:
        return None


def _difference(due: bytes, found: bytes, fields: Fields) -> str:
    try:
        actual = fields(found)
    except UNREADABLE as error:
        return f"it can not be read ({error})"
    return differing(fields(due), actual) or "its bytes differ"


def differing(due: Mapping[str, Any], found: Mapping[str, Any], leave_out: Iterable[str] = ()) -> str:
    """Name the fields that differ, with their values where these are short."""
    return ", ".join(
        f"{name} {_value(found[name])} instead of {_value(due[name])}"
        for name in due
        if name not in leave_out and not _same(due[name], found[name])
    )


def _same(due: Any, found: Any) -> bool:
    return bool(np.array_equal(due, found)) if isinstance(due, np.ndarray) else bool(due == found)


def _value(value: Any) -> str:
    text = repr(value) if isinstance(value, bool | int | float | str | np.generic) else ""
    return text if 0 < len(text) <= 80 else "…"


def struct_fields(row: msgspec.Struct) -> dict[str, Any]:
    """Fields of an unpacked row."""
    return {name: getattr(row, name) for name in row.__struct_fields__}


def behaviour_fields(packed: bytes) -> dict[str, Any]:
    """Fields of a behaviour row."""
    (row,) = behaviour.unpack([packed])
    return {name: row[name] for name in ROW.names or ()}


def page_fields(packed: bytes) -> dict[str, Any]:
    """Fields of a page of the received window."""
    numbers = np.frombuffer(packed, "<u8")
    return {"number": numbers[:1], "keys": numbers[1:]}
