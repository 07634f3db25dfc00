import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from afresh.models.fusion.features import features
from afresh.state.lists import PopularList
from afresh.streams.serving.recommend import SERVED_BYTES
from afresh.streams.serving.served import ServedList, ServedLists


def served_list(candidates: int = 3) -> ServedList:
    rows = np.arange(candidates, dtype=np.int32)
    scores = np.zeros((candidates, 1), np.float32)
    return ServedList(rows, scores, scores.astype(np.float16), np.zeros(5), rows, rows)


@given(st.lists(st.sampled_from("abcd"), max_size=20), st.integers(1, 3))
def test_the_lists_of_the_users_served_last_are_remembered(users: list[str], limit: int) -> None:
    served, model = ServedLists(limit * served_list().bytes), dict[str, ServedList]()
    for user in users:
        made = served_list()
        served.remember(user, made)
        model.pop(user, None)
        model[user] = made
        model = dict(list(model.items())[-limit:])
        assert {each: served.of(each) for each in "abcd"} == {each: model.get(each) for each in "abcd"}


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 200)), max_size=40), st.integers(0, 20_000))
def test_the_lists_never_take_more_than_their_memory(drawn: list[tuple[str, int]], limit: int) -> None:
    served = ServedLists(limit)
    for user, size in drawn:
        served.remember(user, served_list(size))
        held = [each for name in "abcd" if (each := served.of(name)) is not None]
        assert sum(each.bytes for each in held) <= limit
        served.report()
        assert REGISTRY.get_sample_value("afresh_served_lists") == len(held)
        assert REGISTRY.get_sample_value("afresh_served_lists_bytes") == sum(each.bytes for each in held)


def test_features_come_back_as_they_were_the_roots_in_half_precision() -> None:
    scores = np.random.default_rng(1).random((3, 20)).astype(np.float32)
    values = features(scores)
    rows = np.arange(20, dtype=np.int32)
    made = ServedList(rows, values[:, 0::2], values[:, 1::2].astype(np.float16), np.zeros(5), rows, rows)
    assert np.array_equal(made.features()[:, 0::2], values[:, 0::2])
    np.testing.assert_allclose(made.features(), values, atol=1e-3)


def test_a_new_popular_list_replaces_that_of_its_domain_alone() -> None:
    served = ServedLists(SERVED_BYTES)
    made: dict[str, ServedList] = {}
    for domains in (["films", "books"], ["films"]):
        new = {domain: served_list() for domain in domains}
        served.remember_popular((PopularList(0, 0, "", domain, []), each) for domain, each in new.items())
        made |= new
        assert served.nobody == made
