"""Shows a deployment: its backlog, its workers, the accuracy of its lists, and what the guard has done."""

from afresh.deploy.status.collect import look
from afresh.deploy.status.status import Status
from afresh.deploy.status.view import tables
from afresh.deploy.status.watch import watch

__all__ = ["Status", "look", "tables", "watch"]
