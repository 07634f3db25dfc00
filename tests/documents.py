"""The documents, as tests read them: their sections, and the blocks of code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parent.parent

DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "OPERATING.md")

_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes
    ----------
    section
        The heading above it.
    language, text
        As the block says; the indentation of a list is taken away.
    """

    section: str
    language: str
    text: str


def read(name: str) -> str:
    """Text of a file, by its path."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[Block]:
    """All blocks of a language, in their order."""
    return [block for block in _all_blocks(text) if block.language == language]


def _all_blocks(text: str) -> Iterator[Block]:
    for found in _BLOCK.finditer(text):
        section = [*_HEADING.findall(without_blocks(text[: found.start()])), ""]
        yield Block(section[-2] if len(section) > 1 else "", found[2], dedent(found[3]))


def without_blocks(text: str) -> str:
    """All but the blocks of code."""
    return _BLOCK.sub("", text)


def headings(text: str) -> list[str]:
    """All headings, in their order."""
    return _HEADING.findall(without_blocks(text))
