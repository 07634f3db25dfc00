"""Logs for the tests of evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

START_MS = 1_700_000_000_000


def event(number: int, user: str, item: str, **fields: Any) -> dict[str, Any]:
    """Make an event; each number is a minute later than the one before."""
    return {
        "id": f"e{number}",
        "type": "view",
        "time": START_MS + 60_000 * number,
        "user": user,
        "item": item,
        "platform": "web",
        "domain": "films",
    } | fields


def shop(events: int = 300, users: int = 20, items: int = 40) -> list[dict[str, Any]]:
    """Make events in two domains and on two platforms; each user likes the items of one group."""
    random = np.random.default_rng(3)
    made = []
    for number in range(events):
        user = int(random.integers(users))
        item = int(random.integers(items // 4)) * 4 + user % 4
        domain = "films" if item < items // 2 else "books"
        platform = "web" if user < users // 2 else "app"
        made.append(event(number, f"u{user}", f"i{item}", domain=domain, platform=platform))
    return made


def catalogue(items: int = 40) -> list[dict[str, Any]]:
    """Make the items of the shop."""
    return [
        {
            "id": f"i{number}",
            "domain": "films" if number < items // 2 else "books",
            "title": f"Story {number % 4}",
        }
        for number in range(items)
    ]


def lines(records: Iterable[dict[str, Any]]) -> list[bytes]:
    """Encode records as lines of JSON."""
    return [json.dumps(record).encode() for record in records]


def write(file: Path, records: Iterable[dict[str, Any]]) -> str:
    """Write records to a file as lines of JSON; return its path."""
    file.write_bytes(b"\n".join(lines(records)) + b"\n")
    return str(file)
