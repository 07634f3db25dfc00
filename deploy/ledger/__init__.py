"""The ledger: proves from Kafka and Redis alone that every event was counted exactly once."""

from deploy.ledger.auditing import audit
from deploy.ledger.report import Report, report_table

__all__ = ["Report", "audit", "report_table"]
