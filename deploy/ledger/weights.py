"""Compares how many examples the fusion and the verdicts have counted with how many there were.

What they have learned is not recomputed, because it depends on the lists that were in Redis at the moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from afresh.deploy.ledger.comparing import UNREADABLE
from afresh.deploy.ledger.reading import Rows, agent_state_of
from afresh.deploy.ledger.report import MOMENT, Report
from afresh.models.fusion.weights import Weights
from afresh.state.judged.kept import Kept, unpack
from afresh.state.judged.verdicts import ALL
from afresh.state.rows import weights as rows

WEIGHTS = "weights"


def check_weights(found: Rows, counts: Mapping[int, int], report: Report) -> Weights:
    """Compare the counts of each partition; return the weights that lists are made with.

    Parameters
    ----------
    found
        Rows of the weights' changelog.
    counts
        Number of examples of each partition; a partition whose interactions are gone has none.
    report
        Gets the counts and differences.
    """
    tally = report.tally(WEIGHTS, MOMENT)
    tally.expected += 1
    try:
        kept = unpack(agent_state_of(found))
        learned = kept.fusion.weights()
        faults = [*_counts(kept, counts), *_sums(kept), *_followed(found, learned)]
    except UNREADABLE as error:
        learned, faults = unpack(b"").fusion.weights(), [f"cannot be read ({error})"]
    for fault in faults:
        report.differ(WEIGHTS, f"what was learned {fault}")
    tally.wrong += bool(faults)
    tally.equal += not faults
    return learned


def _counts(kept: Kept, counts: Mapping[int, int]) -> Iterator[str]:
    for partition, due in sorted(counts.items()):
        counted = kept.source(partition).examples
        if counted != due:
            yield f"has counted {counted:,} examples of partition {partition} instead of {due:,}"


def _sums(kept: Kept) -> Iterator[str]:
    examples = kept.fusion.examples
    together = sum(source.examples for source in kept.sources.values())
    if together != examples:
        yield f"has counted {examples:,} examples, but {together:,} by partition"
    judged = dict(zip(kept.verdicts.slices, kept.verdicts.judged.tolist(), strict=True))
    every = judged.pop(ALL)
    unjudged = kept.verdicts.unjudged
    if unjudged + every != examples:
        yield f"has judged {every:,} examples and left out {unjudged:,}, which together are not {examples:,}"
    for kind in sorted({name.partition(":")[0] for name in judged}):
        of_kind = sum(count for name, count in judged.items() if name.partition(":")[0] == kind)
        if of_kind != every:
            yield f"has judged {of_kind:,} examples by {kind} instead of {every:,}"


def _followed(found: Rows, learned: Weights) -> Iterator[str]:
    """Compare the row that workers follow with what was learned."""
    packed = found.get(rows.WEIGHTS_KEY)
    published = rows.unpack(packed) if packed is not None else None
    if published is None:
        if learned.version:
            yield "is in no row that workers follow"
    elif published.weights.version != learned.version or (published.weights.omega != learned.omega).any():
        yield (
            f"has version {learned.version}, and workers follow version {published.weights.version} or other numbers"
        )
