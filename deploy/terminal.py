"""Makes text safe to show on a terminal."""

from __future__ import annotations

from rich.text import Text


def plain(text: str) -> Text:
    """Strip markup and control characters: ids come from strangers, and a terminal obeys control characters."""
    return Text("".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text))
