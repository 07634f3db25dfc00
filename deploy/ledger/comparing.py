"""Compares the rows of a changelog with the rows as they must be."""

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
"""Errors that unpacking a damaged row may raise."""

LAST_BITS = 1e-5
LAST_BITS_OF_16 = 2e-3
"""Relative tolerance of fading numbers of 32 and of 16 bits. Added up in another order, or on another processor, they
differ in their last bits."""

Fields = Callable[[bytes], Mapping[str, Any]]


def _as_found(_due: bytes, found: bytes) -> bytes:
    return found


def compare(
    report: Report,
    name: str,
    whose: str,
    due: Mapping[bytes, bytes],
    found: Rows,
    fields: Fields,
    anew: Callable[[bytes, bytes], bytes] = _as_found,
) -> None:
    """Compare the rows of a partition, bit by bit.

    Parameters
    ----------
    report
        Gets the counts and differences.
    name
        Name of the table.
    whose
        What a key names, such as ``user``.
    due
        Rows as they must be, by key.
    found
        Rows as they are, by key.
    fields
        Unpacks a row into its fields.
    anew
        Gets a row as it must be, and the row found; packs the latter again as this version does. What an earlier
        version did not keep it takes from the former. A row is right if it is equal then.
    """
    tally = report.tally(name)
    tally.expected += len(due)
    for key, row in due.items():
        actual = found.get(key)
        if actual is None:
            tally.missing += 1
            report.differ(name, f"the row of {whose} {shown(key)} is missing")
        elif actual == row:
            tally.equal += 1
        elif fault := _fault(row, actual, fields, anew):
            tally.wrong += 1
            report.differ(name, f"the row of {whose} {shown(key)} is wrong: {fault}")
        else:
            tally.equal += 1
    for key in found.keys() - due.keys() - {PARTITION_ROW}:
        tally.surplus += 1
        report.differ(name, f"the row of {whose} {shown(key)} comes from nothing in the input")


def leave_unchecked(report: Report, name: str, found: Rows) -> None:
    """Count the rows of a partition that cannot be recomputed, because what they were made from is gone."""
    report.tally(name).unchecked += len(found.keys() - {PARTITION_ROW})


def shown(key: bytes) -> str:
    """Return a key as text for a sentence."""
    return repr(key.decode(errors="replace"))


def _fault(due: bytes, found: bytes, fields: Fields, anew: Callable[[bytes, bytes], bytes]) -> str:
    """Say how a row differs; "" if it does not once it is packed anew."""
    try:
        packed = anew(due, found)
        return "" if packed == due else differing(fields(due), fields(packed)) or "its bytes differ"
    except UNREADABLE as error:
        return f"it cannot be read ({error})"


def differing(due: Mapping[str, Any], found: Mapping[str, Any], leave_out: Iterable[str] = ()) -> str:
    """Name the fields that differ, with their values if these are short."""
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
    """Return the fields of an unpacked row, by name."""
    return {name: getattr(row, name) for name in row.__struct_fields__}


def behaviour_fields(packed: bytes) -> dict[str, Any]:
    """Unpack a behaviour row; return its fields by name."""
    (row,) = behaviour.unpack([packed])
    return {name: row[name] for name in ROW.names or ()}


def rounded_elsewhere(due: bytes, found: bytes) -> bytes:
    """Return the behaviour row as it must be, if the row found differs from it by rounding alone; else the row found.

    The exponential function of NumPy is another one on processors with AVX-512: the last bits of what fades differ from
    those of other machines.
    """
    ours, theirs = behaviour.unpack([due])[0], behaviour.unpack([found])[0]
    same = all(np.array_equal(ours[name], theirs[name]) for name in ("version", "number", "examples", "time"))
    same = same and np.array_equal(ours["pairs"]["key"], theirs["pairs"]["key"])
    fading = [
        (ours["mass"], theirs["mass"], LAST_BITS),
        (ours["counts"], theirs["counts"], LAST_BITS),
        (ours["pairs"]["weight"], theirs["pairs"]["weight"], LAST_BITS),
        (ours["pairs"]["next"], theirs["pairs"]["next"], LAST_BITS_OF_16),
    ]
    return due if same and all(np.allclose(a, b, rtol=bits, atol=0) for a, b, bits in fading) else found


def page_fields(packed: bytes) -> dict[str, Any]:
    """Unpack a page of the received window; return its number and its event keys."""
    numbers = np.frombuffer(packed, "<u8")
    return {"number": numbers[:1], "keys": numbers[1:]}
