"""Simulated users with tastes, who take items one after the other."""

from __future__ import annotations

import random
from collections.abc import Iterator

TASTES = 8
ITEMS = 400
USERS = 300
EVENTS_EACH = 40
PRESENT = 60
"""Number of users active at a time."""

Event = tuple[str, str]
"""A user and an item."""


def tastes(seed: int) -> list[tuple[list[str], list[float]]]:
    """Make the items of each taste, with popularities that fall with rank**-0.9, as in MovieLens."""
    draw = random.Random(seed)
    items = [f"i{number}" for number in range(ITEMS - 1)]
    draw.shuffle(items)
    items.append(f"i{ITEMS - 1}")
    chances = [(rank + 1) ** -0.9 for rank in range(ITEMS // TASTES)]
    return [(items[taste::TASTES], chances) for taste in range(TASTES)]


def people(seed: int = 1) -> Iterator[Event]:
    """Yield what users take: mostly items of their taste, sometimes others; new users replace old ones."""
    draw = random.Random(seed)
    liked = tastes(seed)
    left = {f"r{number}": EVENTS_EACH for number in range(USERS)}
    taken: dict[str, set[str]] = {user: set() for user in left}
    present = list(left)[:PRESENT]
    waiting = list(left)[PRESENT:]
    while present:
        user = draw.choice(present)
        taste = int(user[1:]) % TASTES if draw.random() < 0.8 else draw.randrange(TASTES)
        (item,) = draw.choices(*liked[taste])
        if item not in taken[user]:
            taken[user].add(item)
            yield user, item
        left[user] -= 1
        if not left[user]:
            present.remove(user)
            present += waiting[:1]
            del waiting[:1]
