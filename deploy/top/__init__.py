"""Shows the events and the lists of one user as they happen."""

from afresh.deploy.top.sources import Sources, open_sources
from afresh.deploy.top.watch import watch

__all__ = ["Sources", "open_sources", "watch"]
