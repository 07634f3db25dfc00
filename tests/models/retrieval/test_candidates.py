import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.arrays import NONE, Indices
from afresh.models.layout import HISTORY
from afresh.models.retrieval.asking import Items, User, history_of
from afresh.models.retrieval.candidates import (
    LIMIT,
    LISTED_FOLLOWERS,
    LISTED_HEADS,
    RELATED_CANDIDATES,
    gather,
    in_order,
    strongest,
)
from afresh.models.scorers.cases import catalogue, user

NOTHING = np.zeros(0, np.int32)


def found_for(who: User, items: Items, excluded: Indices = NOTHING) -> Indices:
    places = np.full(len(items.keys), NONE, np.int32)
    found = gather(history_of(who), items, excluded, places)
    assert (places == NONE).all()
    assert len(found) <= LIMIT
    return found


def test_all_items_of_a_small_catalogue_are_candidates_in_the_order_of_their_keys() -> None:
    items = catalogue()
    found = found_for(user(), items, np.array([3, 4], np.int32))
    assert set(found.tolist()) == set(range(30)) - {3, 4}
    assert (np.diff(items.keys[found].astype(np.int64)) > 0).all()


def test_a_large_catalogue_of_any_size_gives_a_few_hundred_candidates() -> None:
    sizes = []
    for size in (1000, 4000):
        items = catalogue(size)
        who = user(size, length=HISTORY)
        found = found_for(who, items, who.history)
        assert len(set(found.tolist())) == len(found)
        assert not set(found.tolist()) & set(who.history.tolist())
        sizes.append(len(found))
    assert max(sizes) < RELATED_CANDIDATES + sum(LISTED_HEADS) + 200


def test_candidates_are_related_or_followers_or_alike_or_popular() -> None:
    items, who = catalogue(3000), user(3000, length=3)
    found = found_for(who, items)
    near = {*items.related[who.history].ravel().tolist(), *items.akin[who.history].ravel().tolist()}
    followers = set(items.followers[who.history].ravel().tolist())
    heads = set(items.heads.ravel().tolist())
    assert set(found.tolist()) <= near | followers | heads | set(who.history.tolist())
    assert set(items.followers[who.history, :LISTED_FOLLOWERS].ravel().tolist()) - {-1} <= set(found.tolist())
    assert set(items.related[who.history].ravel().tolist()) - {-1} <= set(found.tolist())
    assert set(items.heads[0, : LISTED_HEADS[0]].tolist()) <= set(found.tolist())


def test_items_that_are_not_available_are_no_candidates() -> None:
    items = catalogue(1000)
    hidden = items._replace(available=np.arange(1000) % 2 == 0)
    found = found_for(user(1000), hidden)
    assert (found % 2 == 0).all()


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 60))
def test_the_strongest_are_those_of_the_largest_sums_and_then_of_the_lowest_keys(
    drawn: list[int], k: int
) -> None:
    count = len(drawn)
    items, sums = np.arange(count, dtype=np.int32), np.array(drawn, np.float32)
    keys = np.random.default_rng(count).permutation(count).astype(np.uint64) << np.uint64(50)
    order = np.lexsort((keys, -sums))[:k]
    assert sorted(strongest(items, sums, keys, k).tolist()) == sorted(order.tolist())
    assert in_order(items, keys).tolist() == np.argsort(keys).tolist()
