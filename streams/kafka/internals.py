"""Table of everything in Faust, mode and aiokafka that we override, replace or reach into.

Their makers promise none of it, so a new version may change it without notice. A test compares every name and
signature here with the installed libraries, and searches our code for names that the table lacks. Read the table
before raising a version: it shows what depends on the library. We use nothing private of kafka-python.

To print the table: ``python -m afresh.streams.kafka.internals``.
"""

from __future__ import annotations

import sys

from afresh.streams.kafka.reaches_of_consumers import REACHES_OF_CONSUMERS
from afresh.streams.kafka.reaches_of_tables import REACHES_OF_TABLES

REACHES = (*REACHES_OF_CONSUMERS, *REACHES_OF_TABLES)


def as_markdown() -> str:
    """Return the table as Markdown."""
    lines = ["| where | what | why | issue | test |", "|---|---|---|---|---|"]
    for reach in REACHES:
        kinds = {"overrides": reach.overrides, "sets": reach.sets, "uses": reach.uses}
        what = "; ".join(
            f"{kind} {', '.join(f'`{name}`' for name in names)}" for kind, names in kinds.items() if names
        )
        lines.append(f"| `{reach.where}` | {what} | {reach.why} | {reach.issue} | `{reach.test}` |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
