"""Lists are scored in other threads while the Catalogue changes: each is the list that its stamp says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from afresh.models import scorers
from afresh.models.fusion.weights import Weights
from afresh.models.scorers.cases import catalogue as made_items
from afresh.models.scorers.cases import user
from afresh.models.scoring import Request, score_lists
from afresh.state.catalogue.alone import AloneCatalogue
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.lists import UserList
from afresh.state.rows.content import TEXT, Vector
from afresh.state.rows.users import pack
from afresh.streams.serving import pool as module
from afresh.streams.serving.lister import Lister, Recipient
from afresh.streams.serving.pool import FEW, ScoringPool
from afresh.streams.serving.recommend import Recommender
from tests.streams.making import FakeStore, FakeUsers, count, describe, user_row

NOTHING = np.empty(0, np.int32)
USERS = 24
CHANGES = 160


@pytest.mark.parametrize("requests", [0, 1, FEW, FEW + 1, 30])
async def test_every_request_gets_its_own_candidates(requests: int, monkeypatch: pytest.MonkeyPatch) -> None:
    items = made_items(400)
    asked = [Request(user(400, 5, seed), NOTHING, NOTHING) for seed in range(requests)]
    parts: list[int] = []

    def counted(part: Sequence[Request], of: Any) -> Any:
        parts.append(len(part))
        return score_lists(part, of)

    monkeypatch.setattr(module, "score_lists", counted)
    pool = ScoringPool()
    found = await pool.score_lists(asked, items)
    assert [each.indices.tolist() for each in found] == [
        each.indices.tolist() for each in score_lists(asked, items)
    ]
    assert sum(parts) == requests
    assert len(parts) == (1 if requests <= FEW else pool.threads)


def change(catalogue: AloneCatalogue, number: int) -> None:
    """Change the Catalogue in one of several ways; the same number changes it in the same way."""
    random = np.random.default_rng(number)
    names = [f"i{each}" for each in random.integers(0, 400 + number, 40)]
    if number % 16 == 15:
        catalogue.derive()
    elif number % 2:
        near = {
            name: {other: float(random.random()) for other in names[:20] if other != name} for name in names
        }
        count(catalogue, {name: float(random.integers(1, 50)) for name in names}, near)
    else:
        vector = random.normal(size=8).astype("<f2").tobytes()
        vectors = [Vector(TEXT, "e", "1", 0, vector)]
        describe(catalogue, *names, available=bool(random.random() < 0.7), vectors=vectors)


class Watched(Lister):
    """A lister that notes the version of the Catalogue beside each list."""

    def __init__(self, catalogue: Catalogue) -> None:
        super().__init__(catalogue, 10, now=lambda: 0.5)
        self.of = catalogue
        self.made: list[tuple[int, UserList]] = []

    async def make_beside(self, recipients: Any, learned: Weights, pool: ScoringPool) -> Any:
        version = self.of.version
        lists = await super().make_beside(recipients, learned, pool)
        self.made += [(version, each) for each, _ in lists]
        return lists


async def test_lists_are_those_of_their_stamp_while_everything_changes_at_full_speed() -> None:
    catalogue = AloneCatalogue()
    change(catalogue, 0)
    lister, users = Watched(catalogue), FakeUsers()
    recommender = Recommender(catalogue, FakeStore(), lister, users)  # type: ignore[arg-type]
    rows = {f"u{each}": user_row(*(f"i{each * 7 + place}" for place in range(30))) for each in range(USERS)}
    users.rows[0] = {name: pack(row) for name, row in rows.items()}
    versions = {catalogue.version: 0}

    async def change_it() -> None:
        for number in range(1, CHANGES):
            async with catalogue.still:
                change(catalogue, number)
                versions[catalogue.version] = number
            await asyncio.sleep(0)

    changing = asyncio.create_task(change_it())
    while not changing.done():
        recommender.request(0, dict.fromkeys(rows, 5))
        await recommender.turn()
    await changing

    moments = {versions[version] for version, _ in lister.made}
    assert len(moments) > 5, "lists were made in between"
    at_rest, number = AloneCatalogue(), -1
    for version, made in sorted(lister.made, key=lambda each: each[0]):
        while number < versions[version]:
            number += 1
            change(at_rest, number)
        right = Lister(at_rest, 10, now=lambda: 0.5)
        recipient = Recipient(made.user, 0, rows[made.user], 5)
        ((expected, _),) = right.make([recipient], Weights(scorers.prior()))
        assert msgspec.json.encode(made) == msgspec.json.encode(expected)
