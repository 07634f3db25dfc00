from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from afresh.models.arrays import NONE, Indices, Reals
from afresh.models.layout import HALF_LIVES_MS
from afresh.models.retrieval.asking import Items
from afresh.state.catalogue import domains as module
from afresh.state.catalogue.domains import Domains

SIZE = 4

NAMES = ["films", "books"]


class World:
    """Items whose arrays change, and the domains that are told which moved."""

    def __init__(self, count: int) -> None:
        keys = np.random.default_rng(count).permutation(count).astype(np.uint64) + 1
        fields: dict[str, Any] = {
            "available": np.zeros(count, np.bool_),
            "domain": np.full(count, NONE, np.int32),
            "examples": np.zeros(count, np.uint32),
            "counts": np.zeros((count, len(HALF_LIVES_MS)), np.float32),
            "count_times": np.zeros(count, np.int64),
            "trust": np.ones(count, np.float32),
            "keys": keys,
        }
        none = dict.fromkeys(Items._fields, np.empty(0))
        self.items = Items(**(none | fields))
        self.domains = Domains()
        for name in NAMES:
            self.domains.number(name)

    def change(self, item: int, **fields: Any) -> None:
        for name, value in fields.items():
            getattr(self.items, name)[item] = value
        self.domains.move(np.array([item], np.int32))

    def head(self, number: int, size: int = SIZE) -> list[int]:
        self.domains.look(self.items)
        found: list[int] = self.domains.head(number, size, self.items).tolist()
        return found

    def expected(self, number: int, size: int = SIZE) -> list[int]:
        items = self.items
        inside = np.flatnonzero(items.available & (items.domain == number))
        ages = (2_000_000_000 - items.count_times[inside]) / HALF_LIVES_MS[0]
        counts = items.counts[inside, 0].astype(np.float64) * items.trust[inside] * np.exp2(-ages)
        best: list[int] = inside[np.lexsort((items.keys[inside], -counts))][:size].tolist()
        return best

    def takes(self, number: int) -> tuple[int, int]:
        inside = self.items.available & (self.items.domain == number)
        taken = self.items.examples[inside]
        return int((taken == 0).sum()), int((taken == 1).sum())


changes = st.tuples(
    st.integers(0, 11),
    st.fixed_dictionaries(
        {},
        optional={
            "available": st.booleans(),
            "domain": st.sampled_from([NONE, 0, 1]),
            "examples": st.integers(0, 3),
            # Powers of two, so that equal counts are equal to the last bit however they are computed.
            "counts": st.sampled_from([0.0, 1.0, 2.0, 8.0, 64.0]),
            "trust": st.sampled_from([1.0, 0.25]),
            "count_times": st.sampled_from([0, int(HALF_LIVES_MS[0])]),
        },
    ),
)


@given(
    st.lists(st.tuples(st.lists(changes, max_size=5), st.booleans(), st.booleans()), max_size=12),
    st.integers(SIZE - 2, SIZE + 2),
)
@limits(deadline=None, max_examples=300)
def test_heads_and_takes_are_those_of_all_items_whatever_has_moved(
    steps: Sequence[tuple[list[tuple[int, dict[str, Any]]], bool, bool]], kept: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "KEPT", kept)
        world = World(12)
        for moved, asked, new_version in steps:
            for item, fields in moved:
                world.change(item, **fields)
            if new_version:
                world.items.trust[:] = 1.0
                world.domains.forget()
            if asked:
                for number in range(len(NAMES)):
                    assert world.head(number) == world.expected(number)
        world.domains.look(world.items)
        for number in range(len(NAMES)):
            assert world.head(number, 12) == world.expected(number, 12)
            assert world.domains.takes(number) == world.takes(number)


def test_domains_whose_items_moved_are_named_until_somebody_has_seen_to_them() -> None:
    world = World(3)
    world.change(0, available=True, domain=0)
    world.domains.look(world.items)
    assert world.domains.changed == {0}
    world.domains.changed.clear()
    world.change(0, domain=1)
    world.domains.look(world.items)
    assert world.domains.changed == {0, 1}


def test_of_many_items_only_those_that_moved_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(5000)
    world.items.available[:] = True
    world.items.domain[:] = 0
    world.items.counts[:] = np.arange(5000)[:, None]
    world.domains.move(np.arange(5000, dtype=np.int32))
    assert world.head(0) == [4999, 4998, 4997, 4996]
    looked: list[int] = []
    rates = module.rates

    def noted(items: Items, indices: Indices) -> Reals:
        looked.append(len(indices))
        return rates(items, indices)

    monkeypatch.setattr(module, "rates", noted)
    world.change(7, counts=4997.5)
    assert world.head(0) == [4999, 4998, 7, 4997]
    assert looked == [module.KEPT + 1]


def test_a_domain_without_items_has_an_empty_head() -> None:
    world = World(2)
    assert world.head(1) == []
    assert world.domains.takes(1) == (0, 0)
