import random
from collections import Counter

from tests.chaos.audit import Audit, decode
from tests.chaos.load import poison


def test_an_event_lost_and_one_counted_twice_are_found() -> None:
    found = Audit()
    found.compare("user", Counter(ann=3, bob=1), Counter(ann=2, bob=2, eve=1))
    assert (found.lost, found.doubled, found.rows_wrong) == (1, 2, 3)
    assert not found.clean


def test_equal_counts_are_clean() -> None:
    found = Audit()
    found.compare("user", Counter(ann=3), Counter(ann=3))
    assert found.clean


def test_poison_is_never_an_event() -> None:
    chance = random.Random(1)
    assert all(decode(poison(chance), 65_536) is None for _ in range(500))
