"""Compares how many examples the fusions and verdicts have counted with how many there were.

What they have learned is not recomputed, because it depends on the lists that were in Redis at the moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from afresh.deploy.ledger.comparing import UNREADABLE
from afresh.deploy.ledger.reading import Rows, agent_state_of
from afresh.deploy.ledger.report import MOMENT, Report
from afresh.models.fusion.fusion import Fusion
from afresh.state.judged.kept import unpack
from afresh.state.judged.verdicts import ALL, Verdicts

WEIGHTS = "weights"


def check_weights(found: Mapping[int, Rows], counts: Mapping[int, int], report: Report) -> dict[int, Fusion]:
    """Compare the counts of each partition; return the fusions, by partition.

    Parameters
    ----------
    found
        Rows of the users' changelog, by partition.
    counts
        Number of examples of each partition; a partition whose interactions are gone has none.
    report
        Gets the counts and differences.
    """
    tally = report.tally(WEIGHTS, MOMENT)
    learned: dict[int, Fusion] = {}
    for partition, rows in found.items():
        tally.expected += 1
        try:
            kept = unpack(agent_state_of(rows))
            due = counts.get(partition, kept.fusion.examples)
            faults = list(_faults(kept.fusion, kept.verdicts, due))
        except UNREADABLE as error:
            kept, faults = unpack(b""), [f"has a row that cannot be read ({error})"]
        learned[partition] = kept.fusion
        for fault in faults:
            report.differ(WEIGHTS, f"partition {partition} {fault}")
        tally.wrong += bool(faults)
        tally.equal += not faults
    return learned


def _faults(fusion: Fusion, verdicts: Verdicts, due: int) -> Iterator[str]:
    if fusion.examples != due:
        yield f"has counted {fusion.examples:,} examples instead of {due:,}"
    judged = dict(zip(verdicts.slices, verdicts.judged.tolist(), strict=True))
    every = judged.pop(ALL)
    if verdicts.unjudged + every != due:
        yield f"has judged {every:,} examples and left out {verdicts.unjudged:,}, which together are not {due:,}"
    kinds = {name.partition(":")[0] for name in judged}
    for kind in sorted(kinds):
        together = sum(count for name, count in judged.items() if name.partition(":")[0] == kind)
        if together != every:
            yield f"has judged {together:,} examples by {kind} instead of {every:,}"
