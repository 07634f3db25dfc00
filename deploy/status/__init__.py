"""One look at a deployment: what waits, who works, how the lists are received, and what the guard has done."""

from afresh.deploy.status.collect import look
from afresh.deploy.status.status import Status
from afresh.deploy.status.view import tables

__all__ = ["Status", "look", "tables"]
