"""The ledger: proves from Kafka and Redis alone that every event was counted exactly once.

It makes three kinds of comparison:

* Some rows are functions of their input topic. The ledger recomputes them, takes each record once, and compares bit by
  bit. These are the received window (from ``events``), users' rows (``interactions``), behaviour rows (``examples``)
  and content rows (``items``, ``embeddings``).
* Weights and verdicts depend on the moment. The ledger compares their counts only: they must have counted every example
  once.
* Users' lists and popular lists follow from the newest state. The ledger compares them within the rounding of batched
  maths.

What is sent on between users' rows must arrive once: every event of a linked account, and every row that moves. In the
end, every account must be in the row that the standing links give it.
"""

from afresh.deploy.ledger.auditing import audit
from afresh.deploy.ledger.report import Report, report_table

__all__ = ["Report", "audit", "report_table"]
