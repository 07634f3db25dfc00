import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afresh.state.lists import PopularList
from afresh.streams.serving.served import ServedList, ServedLists


def served_list() -> ServedList:
    rows = np.arange(3, dtype=np.int32)
    return ServedList(rows, np.zeros((3, 2), np.float32), np.zeros(5), rows, rows)


@given(st.lists(st.sampled_from("abcd"), max_size=20), st.integers(1, 3))
def test_the_lists_of_the_users_served_last_are_remembered(users: list[str], limit: int) -> None:
    served, model = ServedLists(limit), dict[str, ServedList]()
    for user in users:
        made = served_list()
        served.remember(user, made)
        model.pop(user, None)
        model[user] = made
        model = dict(list(model.items())[-limit:])
        assert {each: served.of(each) for each in "abcd"} == {each: model.get(each) for each in "abcd"}


def test_new_popular_lists_replace_all_old_ones() -> None:
    served = ServedLists()
    for domains in (["films", "books"], ["films"]):
        made = {domain: served_list() for domain in domains}
        served.remember_popular((PopularList(0, 0, "", domain, []), each) for domain, each in made.items())
        assert served.nobody == made
