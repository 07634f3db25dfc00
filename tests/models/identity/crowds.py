"""People with tastes, hours and a pace, some of whom use two platforms in turns."""

from __future__ import annotations

import numpy as np

from afresh.models.identity.fingerprints import Fingerprint

DAY = 86_400
ITEMS = 600


def fingerprint(
    name: str, times: list[int], items: list[int] | None = None, older: list[int] | None = None
) -> Fingerprint:
    """Make an account ``platform:user``; its items are numbered on unless they are given."""
    taken = np.array(items if items is not None else range(len(times)), np.uint32)
    return Fingerprint(
        name,
        name.partition(":")[0],
        taken,
        np.array(times, np.uint32),
        np.full(len(times), np.nan, np.float32),
        np.array(older or [], np.uint32),
    )


def people(count: int, doubled: int, seed: int) -> list[Fingerprint]:
    """Make people, some of whom use two platforms in turns; they are called ``web:N`` and ``app:N``."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        tables = _sessions(random)
        if number < doubled:
            made += [_account("web", number, tables[::2]), _account("app", number, tables[1::2])]
        else:
            made.append(_account("web" if number % 2 else "app", number, tables))
    return made


def _sessions(random: np.random.Generator) -> list[np.ndarray]:
    """Make eight sessions of ten events: times, items, none of which comes twice, and values."""
    taste, level, hour, pace = (
        random.integers(0, 6),
        random.normal(3, 1),
        random.integers(0, 24),
        random.integers(5, 300),
    )
    likes = np.where(np.arange(ITEMS) % 6 == taste, 8.0, 1.0)
    items = random.choice(ITEMS, 80, replace=False, p=likes / likes.sum()).reshape(8, 10)
    day, made = random.integers(0, 2000), []
    for row in items:
        day += random.integers(1, 3)
        times = (
            day * DAY + hour * 3600 + random.integers(0, 7200) + np.cumsum(random.integers(1, 2 * pace, 10))
        )
        made.append(np.stack([times, row, random.normal(level, 0.5, 10)]))
    return made


def _account(platform: str, number: int, sessions: list[np.ndarray]) -> Fingerprint:
    times, items, values = np.concatenate(sessions, axis=1)
    nothing = np.zeros(0, np.uint32)
    return Fingerprint(
        f"{platform}:{number}",
        platform,
        items.astype(np.uint32),
        times.astype(np.uint32),
        values.astype(np.float32),
        nothing,
    )
