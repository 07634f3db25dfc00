"""One look at a deployment: what waits, who works, how the lists are received, and what the guard has done."""

from deploy.status.collect import look
from deploy.status.status import Status
from deploy.status.view import tables

__all__ = ["Status", "look", "tables"]
