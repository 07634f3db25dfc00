"""The disk of a process, as metrics: how much is free where its data folder is."""

from __future__ import annotations

import shutil
from pathlib import Path

from afresh.streams import metrics


def show_disk(folder: Path) -> None:
    """Let the metrics show the disk that a folder is on; they are NaN while the folder cannot be looked at.

    Parameters
    ----------
    folder
        The data folder; it may be made later.
    """
    metrics.DISK_FREE.set_function(lambda: _bytes(folder, "free"))
    metrics.DISK_SIZE.set_function(lambda: _bytes(folder, "total"))


def _bytes(folder: Path, which: str) -> float:
    # An error here would take the whole page away, with everything that says what is wrong.
    try:
        return float(getattr(shutil.disk_usage(folder), which))
    except OSError:
        return float("nan")
