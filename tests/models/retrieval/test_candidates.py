from dataclasses import replace

import numpy as np

from afresh.models.layout import HISTORY
from afresh.models.retrieval.candidates import LISTED_FOLLOWERS, LISTED_HEADS, RELATED_CANDIDATES, gather
from afresh.models.scorers.cases import catalogue, user
from tests.models.making import asking


def test_all_items_of_a_small_catalogue_are_candidates_in_the_order_of_their_keys() -> None:
    items = catalogue()
    found = gather(asking(user(), items), np.array([3, 4], np.int32))
    assert set(found.tolist()) == set(range(30)) - {3, 4}
    assert (np.diff(items.keys[found].astype(np.int64)) > 0).all()


def test_a_large_catalogue_of_any_size_gives_a_few_hundred_candidates() -> None:
    sizes = []
    for size in (1000, 4000):
        items = catalogue(size)
        who = user(size, length=HISTORY)
        asked = asking(who, items)
        found = gather(asked, who.history)
        assert len(set(found.tolist())) == len(found)
        assert not set(found.tolist()) & set(who.history.tolist())
        sizes.append(len(found))
    assert max(sizes) < RELATED_CANDIDATES + sum(LISTED_HEADS) + 200


def test_candidates_are_related_or_followers_or_alike_or_popular() -> None:
    items, who = catalogue(3000), user(3000, length=3)
    found = gather(asking(who, items), np.zeros(0, np.int32))
    near = {*items.related[who.history].ravel().tolist(), *items.akin[who.history].ravel().tolist()}
    followers = set(items.followers[who.history].ravel().tolist())
    heads = set(items.heads.ravel().tolist())
    assert set(found.tolist()) <= near | followers | heads | set(who.history.tolist())
    assert set(items.followers[who.history, :LISTED_FOLLOWERS].ravel().tolist()) - {-1} <= set(found.tolist())
    assert set(items.related[who.history].ravel().tolist()) - {-1} <= set(found.tolist())
    assert set(items.heads[0, : LISTED_HEADS[0]].tolist()) <= set(found.tolist())


def test_items_that_are_not_available_are_no_candidates() -> None:
    items = catalogue(1000)
    hidden = replace(items, available=np.arange(1000) % 2 == 0)
    found = gather(asking(user(1000), hidden), np.zeros(0, np.int32))
    assert (found % 2 == 0).all()
