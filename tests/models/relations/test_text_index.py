import numpy as np

from afresh.models.relations.text_index import TextIndex


def directions(count: int) -> np.ndarray:
    """Return vectors of a half circle; each is nearest to the one before and the one after."""
    angles = np.linspace(0, np.pi, count, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16)


def test_items_are_found_by_their_index_and_empty_places_say_so() -> None:
    index = TextIndex(2, threads=1)
    index.add(np.array([7, 3, 5]), directions(3))
    found = index.search(directions(3), 4)
    assert found.dtype == np.int32
    assert found[:, 0].tolist() == [7, 3, 5]
    assert found[:, 3].tolist() == [-1, -1, -1]
    assert index.search(directions(3)[:1], 4)[0, 0] == 7


def test_a_removed_item_is_found_no_more_and_may_come_again() -> None:
    index = TextIndex(2, threads=1)
    vectors = directions(50)
    index.add(np.arange(50), vectors)
    index.remove(np.arange(10, 20))
    assert len(index) == 40
    assert not np.isin(index.search(vectors, 45), np.arange(10, 20)).any()
    index.add(np.array([10]), vectors[:1])
    assert set(index.search(vectors[:2], 2)[0].tolist()) == {0, 10}


def test_vectors_of_small_numbers_lose_nothing() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 32)).astype(np.float32)
    index, small = TextIndex(32, threads=1), TextIndex(32, threads=1)
    index.add(np.arange(200), vectors)
    small.add(np.arange(200), vectors * np.float32(2**-10))
    np.testing.assert_array_equal(index.search(vectors, 10), small.search(vectors, 10))


def test_nothing_may_be_added_removed_and_searched_for() -> None:
    index = TextIndex(2, threads=1)
    none = np.zeros(0, np.intp)
    index.add(none, directions(0))
    index.remove(none)
    assert index.search(directions(2), 3).tolist() == [[-1] * 3] * 2
