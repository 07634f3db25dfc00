"""The ledger: proves from Kafka and Redis alone that every event was counted exactly once.

What it compares, and with what:

* functions of their input topic, recomputed from it with each record taken once, bit by bit: the received window
  (``events``), users' rows (``interactions``), behaviour rows (``examples``), content rows (``items``, ``embeddings``);
* what depends on the moment, by its counts alone: weights and verdicts, which must have counted every example once;
* what follows from the newest state: users' lists and popular lists, within the rounding of batched maths.

Which canonical user an event got depends on the moment, too: it must be one that the event's user was ever linked to.
"""

from afresh.deploy.ledger.auditing import audit
from afresh.deploy.ledger.report import Report, report_table

__all__ = ["Report", "audit", "report_table"]
