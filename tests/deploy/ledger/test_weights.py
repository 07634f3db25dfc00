from __future__ import annotations

import msgspec
import pytest

from afresh.deploy.ledger.reading import PARTITION_ROW, Rows
from afresh.deploy.ledger.report import MOMENT, Report
from afresh.deploy.ledger.weights import WEIGHTS, check_weights
from afresh.models import scorers
from afresh.state.judged.kept import JudgeRow
from afresh.state.judged.verdicts import Verdicts
from afresh.state.store.marks import PartitionRow


def rows(examples: int, judged: int, unjudged: int, by_user: int | None = None) -> Rows:
    """Make the rows of a partition whose judge has counted these numbers of examples."""
    fusion, verdicts = scorers.new_fusion(), Verdicts()
    fusion.examples, verdicts.unjudged = examples, unjudged
    for place in verdicts.slices_of(0, 0, "films", "web"):
        verdicts.judged[place] = judged
    if by_user is not None:
        verdicts.judged[1] = by_user
    kept = JudgeRow(scorers=list(scorers.NAMES), fusion=fusion.to_bytes(), verdicts=verdicts.row())
    return {PARTITION_ROW: msgspec.msgpack.encode(PartitionRow(agent_state=msgspec.msgpack.encode(kept)))}


def checked(found: Rows, examples: int) -> Report:
    report = Report()
    check_weights({0: found}, {0: examples}, report)
    return report


def test_counts_that_add_up_are_right_and_their_kind_is_the_moment() -> None:
    report = checked(rows(7, 5, 2), 7)
    assert report.differences == []
    tally = report.tallies[WEIGHTS]
    assert (tally.kind, tally.expected, tally.equal, tally.wrong) == (MOMENT, 1, 1, 0)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (rows(8, 5, 2), "partition 0 has counted 8 examples instead of 7"),
        (rows(7, 5, 1), "partition 0 has judged 5 examples and left out 1, which together are not 7"),
        (rows(7, 5, 2, by_user=4), "partition 0 has judged 4 examples by user instead of 5"),
        ({PARTITION_ROW: b"\xc1"}, "partition 0 has a row that cannot be read"),
    ],
)
def test_counts_that_do_not_add_up_are_named(found: Rows, said: str) -> None:
    report = checked(found, 7)
    assert any(said in difference for difference in report.differences), report.differences
    assert report.tallies[WEIGHTS].wrong == 1


def test_the_weights_of_every_partition_are_returned_even_if_they_are_wrong() -> None:
    report = Report()
    learned = check_weights({0: rows(7, 5, 2), 1: rows(9, 5, 2), 2: {}}, {0: 7, 1: 7, 2: 0}, report)
    assert {partition: each.examples for partition, each in learned.items()} == {0: 7, 1: 9, 2: 0}
