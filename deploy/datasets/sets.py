"""The named sets of data, as lines of events and items like any other input.

MovieLens is fetched with pip and kept in the user's cache folder. ``films`` and ``arts-office`` are read from a
folder that is not part of the project: ``AFRESH_DATA``, or else ``../shared/data`` beside a checkout.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from afresh.deploy.datasets import movielens
from afresh.deploy.servers.kafka import beside
from afresh.state.errors import AfreshError
from afresh.streams.messages import Event, Item

VARIABLE = "AFRESH_DATA"
BESIDE = "../shared/data"

ML_1M_EVENTS = 300_000
"""How many events of ML-1M are used: the first ones, because the goals of the set refer to them."""

ORDER_EPOCH_MS = 1_577_836_800_000
ORDER_STEP_MS = 60_000
"""Times for a set that gives only the order of its events: one event each minute, from 2020-01-01 on."""

Row = dict[str, str]
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class SetLines:
    """Lines of JSON of a set.

    Attributes
    ----------
    events
        Events as ``afresh replay`` takes them.
    items
        Items as ``afresh items`` takes them.
    """

    events: list[bytes]
    items: list[bytes]


def load(name: str) -> SetLines:
    """Load a named set.

    Raises
    ------
    AfreshError
        If no set has this name, or its data is missing.
    """
    if name not in SETS:
        raise AfreshError(f"no set is called {name!r}; choose one of {', '.join(SETS)}")
    return SETS[name]()


def _lines(events: list[Event], items: list[Item]) -> SetLines:
    return SetLines([_encode(event) for event in events], [_encode(item) for item in items])


def _ml_100k() -> SetLines:
    data = movielens.load()
    return _lines(data.events, data.items)


def _ml_1m() -> SetLines:
    data = movielens.load(movielens.ML_1M, ML_1M_EVENTS)
    return _lines(data.events, data.items)


def _films() -> SetLines:
    def what(row: Row) -> dict[str, object]:
        return {"type": "rating", "value": float(row["rating"]), "time": int(row["timestamp"]) * 1000}

    return _folder("films", what)


def _arts_office() -> SetLines:
    def what(row: Row) -> dict[str, object]:
        return {"type": "purchase", "time": ORDER_EPOCH_MS + int(row["timestamp"]) * ORDER_STEP_MS}

    return _folder("arts-office", what)


SETS: dict[str, Callable[[], SetLines]] = {
    "ml-100k": _ml_100k,
    "ml-1m": _ml_1m,
    "films": _films,
    "arts-office": _arts_office,
}


def _folder(name: str, what: Callable[[Row], dict[str, object]]) -> SetLines:
    """Read a set of tab-separated tables; the README in its folder describes them."""
    folder = data_folder() / name
    items = [
        Item(id=row["item_id"], domain=row["domain"], title=row["title"], text=row["text"])
        for row in _table(folder / "items.tsv.gz")
    ]
    events = [
        _encode(
            {
                "id": f"{name}-{number}",
                "user": row["user_id"],
                "item": row["item_id"],
                "platform": row["platform"],
                "domain": row["domain"],
            }
            | what(row)
        )
        for number, row in enumerate(_table(folder / "events.tsv.gz"), start=1)
    ]
    return SetLines(events, [_encode(item) for item in items])


def data_folder() -> Path:
    """Return the folder of the sets that are not fetched.

    Raises
    ------
    AfreshError
        If ``AFRESH_DATA`` is not set, and the program does not run from a checkout.
    """
    named = os.environ.get(VARIABLE)
    folder = Path(named).expanduser() if named else beside(BESIDE)
    if folder is None:
        raise AfreshError(f"this set cannot be fetched; set {VARIABLE} to the folder that holds the sets")
    return folder


def _table(file: Path) -> Iterator[Row]:
    try:
        with gzip.open(file, "rt", encoding="utf-8-sig", newline="") as lines:
            yield from csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    except FileNotFoundError as error:
        raise AfreshError(f"there is no {file}; set {VARIABLE} to the folder that holds the sets") from error
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise AfreshError(f"{file} cannot be read ({error}); replace it with a new copy") from error
