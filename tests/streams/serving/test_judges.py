import pytest

from afresh.models import scorers
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.judged import kept as judged_rows
from afresh.state.judged.kept import unpack
from afresh.streams.serving.judges import Judges
from afresh.streams.serving.served import ServedLists
from afresh.streams.serving.weights import Weights
from tests.streams.making import FakeUsers, took


class Rows(FakeUsers):
    """Users with the judges' state of their partitions; counts how often it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.packed: dict[int, bytes] = {}
        self.asked = 0

    def judged(self, partition: int) -> bytes:
        self.asked += 1
        return self.packed.get(partition, b"")


@pytest.fixture
def users() -> Rows:
    return Rows()


@pytest.fixture
def weights() -> Weights:
    return Weights()


@pytest.fixture
def judges(users: Rows, weights: Weights) -> Judges:
    return Judges(users, ServedLists(), Catalogue().known, weights)


def examples(judges: Judges, partition: int = 0) -> int:
    return judges.begin(partition).fusion.examples


def test_what_a_judge_learned_is_used_only_once_it_is_kept(judges: Judges, weights: Weights) -> None:
    judge = judges.begin(0)
    judge.taken(took("i1"), 0)
    assert (examples(judges), 0 in weights) == (0, False)
    judges.keep(0, judge.kept)
    assert (examples(judges), weights.of(0).examples) == (1, 1)
    assert examples(judges, 1) == 0


def test_rows_are_unpacked_once_per_assignment(judges: Judges, users: Rows) -> None:
    for number in range(3):
        judge = judges.begin(0)
        judge.taken(took(f"i{number}"), 0)
        judges.keep(0, judge.kept)
    assert (users.asked, examples(judges)) == (1, 3)
    other = unpack(b"")
    other.fusion.examples = 40
    users.packed[0] = other.pack()
    users.generation += 1
    assert (examples(judges), users.asked) == (40, 2)


def test_weights_are_loaded_before_anything_is_judged_and_never_overwritten_later(
    judges: Judges, users: Rows, weights: Weights
) -> None:
    stored = unpack(b"")
    stored.fusion.omega += 1.0
    users.packed[5] = stored.pack()
    judges.look_up(5)
    assert (weights.of(5).omega == stored.fusion.omega).all()
    moved = judges.begin(5)
    moved.fusion.omega += 1.0
    judges.keep(5, moved.kept)
    judges.look_up(5)
    assert weights.of(5) is moved.fusion


def test_judges_of_partitions_that_moved_away_are_forgotten(judges: Judges, weights: Weights) -> None:
    for partition in (0, 1):
        judges.keep(partition, judged_rows.Kept(scorers.new_fusion(), *unpack(b"")[1:]))
    judges.keep_only({1})
    assert [partition in weights for partition in (0, 1)] == [False, True]
