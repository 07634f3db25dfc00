from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from afresh.deploy.evaluate.engine import Engine
from afresh.state.lists import UserList
from afresh.state.records import Interaction
from afresh.state.rows.content import content_hash, text_for_encoder
from afresh.streams.messages import Item
from afresh.streams.settings import Settings

SETTINGS = Settings(_env_file=None, partitions=3)
ITEMS = [Item(id=f"i{number}", domain="films", title=f"Film {number}") for number in range(6)]


def engine(**options: Any) -> Engine:
    made = Engine(SETTINGS, 20, **options)
    made.announce(ITEMS, {})
    return made


def took(item: str, user: str = "web:ann", kind: str = "view", number: int = 0) -> Interaction:
    time = 1_700_000_000_000 + 60_000 * number
    return Interaction(0, number, time, f"e{number}", kind, time, user, item, "web", "films")


def ids(lists: list[UserList] | Any) -> list[str]:
    (made,) = lists
    return [item.id for item in made.items]


def test_an_item_is_known_after_it_was_announced() -> None:
    made = engine()
    assert made.knows("i1")
    assert not made.knows("i7")
    made.announce([Item(id="i7", domain="films")], {})
    assert made.knows("i7")


def test_the_last_announcement_of_an_item_wins() -> None:
    made = engine()
    made.announce([Item(id="i1", domain="films", available=False)], {})
    (lists,) = made.take_in([took("i2")])
    assert set(ids(lists)) == {"i0", "i2", "i3", "i4", "i5"}


def test_an_item_loses_its_embedding_when_its_text_changes() -> None:
    text = text_for_encoder("Film 1", "", {})
    vectors = {content_hash(text): np.array([1, 0], np.float16)}
    made = engine(encoder=("minilm", "1"))
    made.announce(ITEMS, vectors)
    assert made.catalogue.embedded == 1
    made.announce([Item(id="i1", domain="films", title="Another")], vectors)
    assert made.catalogue.embedded == 0


def test_a_list_does_not_know_its_own_interaction_but_knows_those_before() -> None:
    made = engine()
    first, second = (ids(made.take_in([took(item, number=number)])[0]) for number, item in enumerate("ab"))
    assert set(first) == set(second) == {item.id for item in ITEMS}
    (third,) = made.take_in([took("i3", number=2)])
    assert "i3" in ids(third)
    (fourth,) = made.take_in([took("i4", number=3)])
    assert "i3" not in ids(fourth)


@pytest.mark.parametrize(("kind", "lists"), [("view", 1), ("purchase", 1), ("dislike", 0), ("impression", 0)])
def test_only_an_interaction_that_takes_an_item_has_a_list(kind: str, lists: int) -> None:
    assert len(engine().take_in([took("i1", kind=kind)])[0]) == lists


def test_a_disliked_item_is_in_no_later_list() -> None:
    made = engine()
    (_, lists) = made.take_in([took("i1", kind="dislike"), took("i2", number=1)])
    assert "i1" not in ids(lists)


def test_each_variant_has_a_list_in_the_order_of_the_variants() -> None:
    made = engine(without=[[], ["popular"]])
    made.take_in([took("i1", user="web:bob")])
    (lists,) = made.take_in([took("i2", number=1)])
    whole, without = lists
    assert len(lists) == len(made.variants) == 2
    assert any(item.parts.get("popular") for item in whole.items)
    assert not any(item.parts.get("popular") for item in without.items)


def test_interactions_taken_in_together_do_not_see_each_other_but_later_ones_see_them() -> None:
    together = engine().take_in([took("i1", user="web:bob"), took("i2", number=1)])
    alone = engine().take_in([took("i2", number=1)])
    assert ids(together[1]) == ids(alone[0])
    later = engine()
    later.take_in([took("i1", user="web:bob")])
    assert ids(later.take_in([took("i2", number=1)])[0])[0] == "i1"


def test_each_example_is_told_as_one_of_the_users_partition() -> None:
    made = engine()
    for number in range(12):
        made.take_in([took(f"i{number % 6}", user=f"web:u{number}", number=number)])
    (variant,) = made.variants
    kept = variant.weighing.kept
    assert kept.fusion.examples == sum(each.examples for each in kept.sources.values()) == 12
    assert set(kept.sources) == {0, 1, 2}


def test_items_may_bring_vectors_of_their_own() -> None:
    settings = SETTINGS.model_copy(update={"item_vectors": {"image": 2}})
    made = Engine(settings, 20)
    images = {"i0": [1.0, 0.0], "i1": [1.0, 0.1], "i2": [0.0, 1.0]}
    made.announce(
        [Item(id=name, domain="films", vectors={"image": each}) for name, each in images.items()], {}
    )
    made.announce([Item(id="i3", domain="films")], {})
    made.take_in([took("i0")])
    (lists,) = made.take_in([took("i1", number=1)])
    assert ids(lists)[0] == "i1"
