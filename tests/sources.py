"""A copy of the project, for tests that build it or run make in it."""

from __future__ import annotations

from pathlib import Path
from shutil import copy2, copytree, ignore_patterns

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (".src", "models", "state", "streams", "deploy", "tests")
FILES = ("pyproject.toml", "README.md", "CONTRIBUTING.md", "LICENSE", "Makefile", ".env.example")


def copy_sources(to: Path) -> Path:
    """Copy the sources without the leftovers of tools. This does not use Git, which may be missing."""
    to.mkdir(parents=True)
    for name in FOLDERS:
        copytree(ROOT / name, to / name, symlinks=True, ignore=ignore_patterns("__pycache__", "*.egg-info"))
    for name in FILES:
        copy2(ROOT / name, to / name)
    return to
