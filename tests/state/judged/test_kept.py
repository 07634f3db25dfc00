import msgspec
import numpy as np
import pytest

from afresh.models import scorers
from afresh.models.fusion.fusion import Fusion
from afresh.state.judged import kept as judged_rows
from afresh.state.judged.guard import Guard, Rollback, WeightsSnapshot
from afresh.state.judged.kept import JudgeRow, Kept
from afresh.state.judged.verdicts import LIST_LENGTH, RANKINGS, Verdicts
from afresh.state.versions import RowVersionError


def test_without_a_row_everything_is_new() -> None:
    kept = judged_rows.unpack(b"")
    assert kept.fusion.to_bytes() == scorers.new_fusion().to_bytes()
    assert kept.verdicts.totals()["all"] == (0, 0)


@pytest.mark.parametrize("version", [judged_rows.JUDGE_ROW_VERSION - 1, judged_rows.JUDGE_ROW_VERSION + 1])
def test_a_row_of_another_version_is_refused(version: int) -> None:
    with pytest.raises(RowVersionError, match=f"version {version}"):
        judged_rows.unpack(msgspec.msgpack.encode(JudgeRow(version=version)))


def moved() -> Kept:
    """Make a state in which everything differs from a new one."""
    kept = judged_rows.unpack(b"")
    kept.fusion.omega += 0.5
    kept.fusion.skip()
    kept.verdicts.count_example(
        np.full(len(RANKINGS), LIST_LENGTH), kept.verdicts.slices_of(0, 0, "a", "web")
    )
    kept.verdicts.unjudged += 1
    kept.guard.count_example(served=True, popular=False, made_with=0)
    kept.guard.rollbacks += 1
    kept.source(3).examples = 7
    kept.received = 50
    return kept


def test_packing_and_unpacking_changes_no_bit() -> None:
    packed = moved().pack()
    again = judged_rows.unpack(packed)
    assert again.pack() == packed
    assert (again.sources[3].examples, again.received) == (7, 50)


def without(packed: bytes, name: str) -> bytes:
    """Return the row that a program without this scorer would have kept."""
    row = msgspec.msgpack.decode(packed, type=JudgeRow)
    place = row.scorers.index(name)
    omega = 2 * place, 2 * place + 1
    ranks = place + len(RANKINGS) - len(scorers.NAMES)
    row.scorers.remove(name)
    row.verdicts.rankings.remove(name)
    learned = Fusion.from_bytes(row.fusion)
    left = np.delete(np.arange(learned.omega.shape[1]), omega)
    row.fusion = learned.carried(
        left, np.arange(len(left)), np.zeros((len(learned.omega), len(left)))
    ).to_bytes()
    sums = np.frombuffer(row.verdicts.block).reshape(len(row.verdicts.slices), -1)
    row.verdicts.block = np.delete(sums, [1 + ranks, 1 + ranks + len(RANKINGS)], axis=1).tobytes()
    row.verdicts.recent = np.zeros_like(np.frombuffer(row.verdicts.block)).tobytes()
    return msgspec.msgpack.encode(row)


@pytest.mark.parametrize("name", [scorers.NAMES[0], scorers.NAMES[5], scorers.NAMES[-1]])
def test_a_scorer_that_was_not_there_starts_at_its_prior_and_what_others_have_learned_goes_on(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = moved()
    before.fusion.version = 8
    kept = judged_rows.unpack(without(before.pack(), name))
    new = np.repeat([each == name for each in scorers.NAMES], 2)
    assert (kept.fusion.omega[:, ~new] == before.fusion.omega[:, ~new]).all()
    assert (kept.fusion.omega[:, new] == scorers.prior()[:, new]).all()
    assert (kept.fusion.examples, kept.fusion.version) == (1, 8)
    assert kept.verdicts.totals() == before.verdicts.totals()
    assert kept.verdicts.rates()["all"]["served"] == before.verdicts.rates()["all"]["served"]
    assert f"at their priors start: {name}" in caplog.text


def test_weights_of_scorers_in_another_order_stay_with_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    before = moved()
    before.fusion.omega[:] = np.arange(before.fusion.omega.size).reshape(before.fusion.omega.shape)
    packed = before.pack()
    with monkeypatch.context() as patch:
        patch.setattr(scorers, "NAMES", tuple(reversed(scorers.NAMES)))
        kept = judged_rows.unpack(packed)
    pairs = before.fusion.omega.reshape(len(kept.fusion.omega), -1, 2)
    assert (kept.fusion.omega == pairs[:, ::-1].reshape(kept.fusion.omega.shape)).all()


def old_bytes(fusion: Fusion) -> bytes:
    """Pack a fusion as versions did that learned in each partition."""
    counters = np.array([*fusion.omega.shape, fusion.examples, fusion.refused, 0], "<i8")
    return counters.tobytes() + np.stack([fusion.omega, fusion._squares, 0 * fusion.omega]).tobytes()


def of_partition(examples: int, shift: float, rollbacks: int = 0) -> bytes:
    """Make what version 2 kept for a partition that has seen examples, one of them unjudged."""
    fusion = scorers.new_fusion()
    fusion.omega += shift
    fusion.examples = examples
    verdicts = Verdicts()
    for _ in range(examples - 1):
        verdicts.count_example(np.zeros(len(RANKINGS), np.int64), verdicts.slices_of(0, 0, "films", "web"))
    verdicts.unjudged = 1
    snapshot = WeightsSnapshot(1000 + examples, old_bytes(fusion), rate=shift)
    last = Rollback(rollbacks, "guard", 0) if rollbacks else None
    guard = Guard(snapshot, snapshot, list(scorers.NAMES), rollbacks=rollbacks, last=last, since=examples)
    row = JudgeRow(2, list(scorers.NAMES), old_bytes(fusion), verdicts.row(), guard)
    return msgspec.msgpack.encode(row)


def test_what_partitions_learned_becomes_their_mean_weighted_by_examples_with_their_snapshots() -> None:
    kept = judged_rows.unpack(b"")
    for partition, (examples, shift, rollbacks) in enumerate([(300, 1.0, 2), (100, 2.0, 3), (0, 9.0, 0)]):
        if examples:
            packed = of_partition(examples, shift, rollbacks)
            kept.merge(judged_rows.unpack_of_partition(packed), partition)
    np.testing.assert_allclose(kept.fusion.omega, scorers.prior() + 1.25)
    assert (kept.fusion.examples, kept.verdicts.unjudged, kept.verdicts.totals()["all"]) == (400, 2, (398, 0))
    assert {number: each.examples for number, each in kept.sources.items()} == {0: 300, 1: 100}
    for snapshot in (kept.guard.newest, kept.guard.good):
        np.testing.assert_allclose(Fusion.from_bytes(snapshot.fusion).omega, scorers.prior() + 1.25)
        assert snapshot.rate == pytest.approx(1.25)
    assert (kept.guard.rollbacks, kept.guard.last) == (5, Rollback(3, "guard", 0))
    assert kept.guard.since == 0, "versions of weights are counted anew"
    assert judged_rows.unpack(kept.pack()).pack() == kept.pack()
