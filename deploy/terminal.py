"""What is shown on a terminal."""

from __future__ import annotations

from rich.text import Text


def plain(text: str) -> Text:
    """Text without markup and control characters: ids come from strangers, and a terminal obeys."""
    return Text("".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text))
