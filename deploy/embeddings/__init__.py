"""Versions of embeddings: which encoders read all texts, from which one lists are made, and how far they have come."""

from afresh.deploy.embeddings.collect import look
from afresh.deploy.embeddings.plans import refresh, use
from afresh.deploy.embeddings.view import show

__all__ = ["look", "refresh", "show", "use"]
