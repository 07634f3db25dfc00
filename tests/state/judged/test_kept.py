import msgspec
import numpy as np
import pytest

from afresh.models import scorers
from afresh.state.judged import kept as judged_rows
from afresh.state.judged import verdicts
from afresh.state.judged.kept import JudgeRow
from afresh.state.judged.verdicts import LIST_LENGTH, RANKINGS
from afresh.state.versions import RowVersionError


def test_without_a_row_everything_is_new() -> None:
    kept = judged_rows.unpack(b"")
    assert kept.fusion.to_bytes() == scorers.new_fusion().to_bytes()
    assert verdicts.totals([kept.verdicts])["all"] == (0, 0)


def test_a_row_of_a_newer_version_is_refused() -> None:
    newer = msgspec.msgpack.encode(JudgeRow(version=judged_rows.JUDGE_ROW_VERSION + 1))
    with pytest.raises(RowVersionError, match=f"version {judged_rows.JUDGE_ROW_VERSION + 1}"):
        judged_rows.unpack(newer)


def moved(kept: judged_rows.Kept) -> judged_rows.Kept:
    """Change everything that the judge changes, in place."""
    kept.fusion.omega += 0.5
    kept.fusion.skip()
    kept.verdicts.count_example(
        np.full(len(RANKINGS), LIST_LENGTH), kept.verdicts.slices_of(0, 0, "a", "web")
    )
    kept.verdicts.unjudged += 1
    kept.guard.count_example(served=True, popular=False, made_at=0)
    kept.guard.rollbacks += 1
    return kept


def test_changing_a_copy_leaves_the_original_unchanged_to_the_last_bit() -> None:
    kept = moved(judged_rows.unpack(b""))
    packed, copy = kept.pack(), kept.copy()
    assert copy.pack() == packed
    assert moved(copy).pack() != packed
    assert kept.pack() == packed
    assert judged_rows.unpack(packed).pack() == packed
