"""Derived from all items together: which belong together, which follow which, and which votes are believed."""
