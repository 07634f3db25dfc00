import msgspec
import numpy as np
import pytest

from afresh.models import scorers
from afresh.models.fusion import guard
from afresh.models.fusion.fusion import Fusion
from afresh.state.judged.guard import LEAST_JUDGED, Guard, Rollback, WeightsSnapshot
from afresh.state.versions import RowVersionError

MINUTE = 60_000
BLOCK = 50


def learned(examples: int, weight: float = 0.0) -> Fusion:
    """Make a fusion that has seen this many examples; a weight tells it from others."""
    fusion = scorers.new_fusion()
    fusion.examples = examples
    fusion.omega[1, 0] = weight
    return fusion


class Play:
    """Gives the guard blocks of examples, one a minute, as the judge does."""

    def __init__(self) -> None:
        self.guard, self.fusion, self.now = Guard(), learned(0), 0

    def blocks(
        self, number: int, hits: int, popular: int, rate: float = 0.2, weight: float | None = None
    ) -> None:
        for _ in range(number):
            for place in range(BLOCK):
                made_with = self.fusion.version
                self.fusion.examples += 1
                self.guard.count_example(place < hits, place >= BLOCK - popular, made_with)
            if weight is not None:
                self.fusion.omega[1, 0] = weight
            self.now += MINUTE
            self.fusion = self.guard.end_block(self.fusion, rate, self.now, 10 * MINUTE)
            # The state of the guard passes through the changelog.
            self.guard = msgspec.msgpack.decode(msgspec.msgpack.encode(self.guard), type=Guard)

    @property
    def weight(self) -> float:
        return float(self.fusion.omega[1, 0])


def good_past() -> Play:
    play = Play()
    play.blocks(30, hits=10, popular=4, weight=1.0)
    play.blocks(30, hits=10, popular=4, weight=2.0)
    return play


def test_weights_go_back_to_the_snapshot_that_proved_good() -> None:
    play = good_past()
    play.blocks(40, hits=0, popular=4, weight=-9.0)
    assert play.guard.rollbacks >= 1
    assert play.guard.last is not None
    assert play.guard.last.cause == "guard"


def test_the_first_rollback_restores_the_whole_learner_and_the_count_goes_on() -> None:
    play = good_past()
    while not play.guard.rollbacks:
        play.blocks(1, hits=0, popular=4, weight=-9.0)
    good = Fusion.from_bytes(play.guard.good.fusion)
    assert play.weight in (1.0, 2.0)
    examples, play.fusion.examples = play.fusion.examples, good.examples
    version, play.fusion.version = play.fusion.version, good.version
    assert play.fusion.to_bytes() == good.to_bytes()
    assert examples > good.examples
    assert version > good.version
    assert play.guard.on_trial


def test_a_snapshot_that_cannot_be_read_is_an_error_that_says_what_to_do() -> None:
    play = good_past()
    play.guard.good = WeightsSnapshot(1, b"short", 0.2)
    with pytest.raises(RowVersionError, match=r"A snapshot of the weights has a layout .*: start the afresh"):
        play.guard.roll_back(play.fusion, play.now, "command")


def test_weights_start_anew_from_popularity_if_lists_stay_broken() -> None:
    play = good_past()
    while play.guard.rollbacks < 2:
        play.blocks(1, hits=0, popular=4)
    assert (play.fusion.omega == scorers.popularity_prior()).all()
    assert play.guard.last is not None
    assert play.guard.last.to == 0


def test_weights_that_proved_good_after_a_rollback_are_no_longer_on_trial() -> None:
    play = good_past()
    while not play.guard.rollbacks:
        play.blocks(1, hits=0, popular=4)
    play.blocks(LEAST_JUDGED // BLOCK + 10, hits=10, popular=4)
    assert (play.guard.rollbacks, play.guard.on_trial) == (1, False)


def test_lists_made_before_a_rollback_do_not_count_against_the_weights_after_it() -> None:
    play = good_past()
    play.guard.roll_back(play.fusion, play.now, "command")
    for _ in range(10 * BLOCK):
        play.guard.count_example(served=False, popular=True, made_with=play.guard.since - 1)
    assert play.guard.block == (0, 0, 0, 0)


@pytest.mark.parametrize(("hits", "popular"), [(10, 4), (5, 4), (8, 20)])
def test_weights_stay_unless_lists_are_worse_than_before_and_than_popularity(hits: int, popular: int) -> None:
    play = good_past()
    play.blocks(100, hits=hits, popular=popular, weight=3.0)
    assert (play.guard.rollbacks, play.weight) == (0, 3.0)


def test_no_snapshot_is_taken_before_enough_examples_are_judged() -> None:
    play, found = Play(), []
    for blocks in (LEAST_JUDGED // BLOCK - 1, 1):
        play.blocks(blocks, hits=10, popular=4)
        found.append((bool(play.guard.newest.fusion), bool(play.guard.good.fusion)))
    assert found == [(False, False), (True, False)]


def test_a_suspicious_fusion_makes_no_snapshot() -> None:
    play, suspicious = good_past(), 0
    while not play.guard.rollbacks:
        before = play.guard.newest.time
        play.blocks(1, hits=4, popular=8)
        if guard.suspicious(np.frombuffer(play.guard.wealth).reshape(guard.start().shape)):
            suspicious += 1
            assert play.guard.newest.time == before
    assert suspicious >= 5


def test_a_person_can_go_back_at_any_time() -> None:
    play = Play()
    play.fusion = play.guard.roll_back(learned(7, 3.0), 99, "command")
    assert (play.fusion.omega == scorers.popularity_prior()).all()
    assert play.fusion.examples == 7
    assert play.guard.last == Rollback(99, "command", 0)


def test_weights_go_back_to_a_snapshot_of_scorers_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    play = good_past()
    before = play.guard.good
    with monkeypatch.context() as patch:
        patch.setattr(scorers, "NAMES", tuple(reversed(scorers.NAMES)))
        play.guard.carry()
        play.fusion = play.guard.roll_back(play.fusion, 99, "command")
    assert play.guard.last == Rollback(99, "command", before.time)
    assert play.fusion.omega[1, -2] == Fusion.from_bytes(before.fusion).omega[1, 0] != 0


def test_a_snapshot_of_other_scorers_that_cannot_be_read_is_refused() -> None:
    state = Guard(WeightsSnapshot(1, b"broken"), scorers=["another"])
    with pytest.raises(RowVersionError, match="snapshot"):
        state.carry()
