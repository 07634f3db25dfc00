from itertools import pairwise

from afresh.state.moments import OLDEST, Moment


def test_the_time_of_kafka_decides_then_the_partition_then_the_offset() -> None:
    in_order = [OLDEST, Moment(1, 0, 9), Moment(1, 1, 3), Moment(1, 1, 4), Moment(2, 0, 0)]
    assert all(one < other for one, other in pairwise(in_order))


def test_the_oldest_moment_is_before_times_that_producers_chose_in_0_1_0() -> None:
    assert Moment(-(2**53), 0, 0) > OLDEST
