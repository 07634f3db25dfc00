"""Rows of realistic size to fill changelogs with, packed as the agents pack them; the same every time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from afresh.state.keys import key_of
from afresh.state.records import Interaction, Scalar
from afresh.state.rows import behaviour, content, users
from afresh.state.rows.behaviour import PAIR_BYTES, ROW
from afresh.state.rows.content import ContentRow, Vector
from afresh.state.rows.users import UserRow
from afresh.streams.kafka.sender import partition_of
from tests.benchmarks.events import START_MS, STEP_MS, Keyed

RECENT = 50
"""Items that each user took; the row remembers all of them in order."""

NEIGHBOURS = 50
"""Neighbours of each item."""

EMBEDDING, THEME = 384, 50
"""Length of an embedding, and number of items whose embeddings lie near each other: texts are never like noise."""

NOISE = 0.8
"""Length of what sets an embedding apart from those of its theme, as a share of theirs: the nearest have cosines of
0.6, as titles of films have."""

TEXT = "A crew that wakes up early hears a signal from a moon nobody has a name for, and goes to look. " * 4

DISTINCT = 2_000
"""Number of different rows of users and behaviour. They are used again and again, because making one takes longer than
recovering it."""


def user_rows(number: int, items: int, seed: int = 0) -> Iterator[Keyed]:
    """Yield users who each took ``RECENT`` items."""
    random = np.random.default_rng(seed)
    made = min(DISTINCT, number)
    rows = [users.pack(_user(each, random.integers(0, items, RECENT).tolist())) for each in range(made)]
    for each in range(number):
        yield b"web:user-%d" % each, rows[each % made]


def _user(number: int, items: list[int]) -> UserRow:
    row = UserRow()
    for offset, item in enumerate(items):
        time = START_MS + offset * STEP_MS
        taken = Interaction(
            source=0,
            offset=offset,
            received=time,
            event=f"event-{number}-{offset}",
            type="view",
            time=time,
            user=f"web:user-{number}",
            item=f"item-{item}",
            platform="web",
            domain="films",
        )
        users.fold(row, taken, source=0, offset=offset)
    return row


def behaviour_rows(number: int, partitions: int, seed: int = 0) -> Iterator[Keyed]:
    """Yield items with ``NEIGHBOURS`` neighbours each, numbered as in their partitions."""
    random = np.random.default_rng(seed)
    keys = np.array([key_of(f"item-{each}") for each in range(number)], np.uint64)
    array = np.zeros(min(DISTINCT, number), ROW)
    array["version"] = behaviour.BEHAVIOUR_ROW_VERSION
    array["examples"], array["mass"], array["time"] = 100, 50.0, START_MS
    array["counts"] = random.random(array["counts"].shape)
    shape = len(array), NEIGHBOURS
    array["pairs"]["key"][:, :NEIGHBOURS] = random.choice(keys, shape)
    array["pairs"]["weight"][:, :NEIGHBOURS] = random.random(shape)
    length = behaviour.LEAST_BYTES + NEIGHBOURS * PAIR_BYTES
    numbers: Counter[int] = Counter()
    for each in range(number):
        key = b"item-%d" % each
        partition = partition_of(key, partitions)
        row = array[each % len(array)]
        row["number"] = numbers[partition]
        numbers[partition] += 1
        yield key, row.tobytes()[:length]


def content_rows(number: int, seed: int = 0, text: str = TEXT, encoder_version: str = "1") -> Iterator[Keyed]:
    """Yield items with a text and an embedding; the default text has some 400 characters."""
    attributes: dict[str, Scalar | list[Scalar]] = {"genres": ["Horror", "Drama"], "year": 1979}
    for each, vector in enumerate(_embeddings(number, seed)):
        title = f"Film {each}"
        # Of another hash, workers would have every text read again.
        hashed = content.content_hash(content.text_for_encoder(title, text, attributes))
        row = ContentRow(
            domain="films",
            title=title,
            text=text,
            attributes=attributes,
            content=hashed,
            vectors=[Vector(content.TEXT, "minilm", encoder_version, hashed, vector)],
        )
        yield b"item-%d" % each, content.pack(row)


def _embeddings(number: int, seed: int) -> Iterator[bytes]:
    """Yield packed embeddings, all different, theme by theme."""
    random = np.random.default_rng(seed)
    for start in range(0, number, THEME):
        own = random.normal(size=(min(THEME, number - start), EMBEDDING))
        drawn = random.normal(size=EMBEDDING) + NOISE * own
        for vector in (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype("<f2"):
            yield vector.tobytes()


def packed_bytes(items: int, partitions: int) -> dict[str, float]:
    """Return the mean size of each kind of row in Kafka, in bytes."""
    kinds = {
        "user": user_rows(DISTINCT, items),
        "item, behaviour": behaviour_rows(DISTINCT, partitions),
        "item, content": content_rows(DISTINCT),
    }
    return {name: float(np.mean([len(row) for _, row in made])) for name, made in kinds.items()}
