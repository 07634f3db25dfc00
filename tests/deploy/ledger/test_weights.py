from __future__ import annotations

import msgspec
import numpy as np
import pytest

from afresh.deploy.ledger.reading import PARTITION_ROW, Rows
from afresh.deploy.ledger.report import MOMENT, Report
from afresh.deploy.ledger.weights import WEIGHTS, check_weights
from afresh.models import scorers
from afresh.models.fusion.weights import Weights
from afresh.state.judged.kept import unpack
from afresh.state.rows import weights as row_of_weights
from afresh.state.rows.weights import WEIGHTS_KEY
from afresh.state.store.marks import PartitionRow

SEVEN = {0: 4, 1: 3}
"""Examples by partition, as they are due."""


def rows(
    sources: dict[int, int],
    judged: int,
    unjudged: int,
    *,
    examples: int | None = None,
    by_user: int | None = None,
    version: int = 0,
    followed: Weights | None = None,
) -> Rows:
    """Make the rows of one who has counted these numbers of examples."""
    kept = unpack(b"")
    for partition, count in sources.items():
        kept.source(partition).examples = count
    kept.fusion.examples = sum(sources.values()) if examples is None else examples
    kept.fusion.version = version
    kept.verdicts.unjudged = unjudged
    for place in kept.verdicts.slices_of(0, 0, "films", "web"):
        kept.verdicts.judged[place] = judged
    if by_user is not None:
        kept.verdicts.judged[1] = by_user
    found = {PARTITION_ROW: msgspec.msgpack.encode(PartitionRow(agent_state=kept.pack()))}
    if followed is not None:
        found[WEIGHTS_KEY] = row_of_weights.pack(followed, 0)
    return found


def checked(found: Rows) -> Report:
    report = Report()
    check_weights(found, SEVEN, report)
    return report


def test_counts_that_add_up_are_right_and_their_kind_is_the_moment() -> None:
    report = checked(rows(SEVEN, 5, 2, version=3, followed=Weights(scorers.prior(), 3)))
    assert report.differences == []
    tally = report.tallies[WEIGHTS]
    assert (tally.kind, tally.expected, tally.equal, tally.wrong) == (MOMENT, 1, 1, 0)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (rows({0: 5, 1: 3}, 5, 3), "has counted 5 examples of partition 0 instead of 4"),
        (rows({0: 4}, 4, 0), "has counted 0 examples of partition 1 instead of 3"),
        (rows(SEVEN, 5, 3, examples=8), "has counted 8 examples, but 7 by partition"),
        (rows(SEVEN, 5, 1), "has judged 5 examples and left out 1, which together are not 7"),
        (rows(SEVEN, 5, 2, by_user=4), "has judged 4 examples by user instead of 5"),
        (rows(SEVEN, 5, 2, version=3), "is in no row that workers follow"),
        (
            rows(SEVEN, 5, 2, version=3, followed=Weights(scorers.prior(), 2)),
            "has version 3, and workers follow version 2",
        ),
        (
            rows(SEVEN, 5, 2, version=3, followed=Weights(scorers.prior() + 1, 3)),
            "workers follow version 3 or other numbers",
        ),
        ({PARTITION_ROW: b"\xc1"}, "cannot be read"),
    ],
)
def test_counts_that_do_not_add_up_are_named(found: Rows, said: str) -> None:
    report = checked(found)
    assert any(said in difference for difference in report.differences), report.differences
    assert report.tallies[WEIGHTS].wrong == 1


def test_the_weights_are_returned_even_if_the_counts_are_wrong() -> None:
    learned = check_weights(rows({0: 9}, 5, 2, version=6), SEVEN, Report())
    assert learned.version == 6
    assert np.array_equal(learned.omega, scorers.prior())
