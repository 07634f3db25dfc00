from __future__ import annotations

import subprocess
from pathlib import Path

from tests.sources import copy_sources


def test_make_clean_removes_leftovers_of_tools_but_no_links_and_no_sources(tmp_path: Path) -> None:
    folder = copy_sources(tmp_path / "with a space")
    sources = set(folder.rglob("*"))
    for left in (
        "build/lib",
        ".src/afresh.egg-info",
        "models/__pycache__",
        "models/lists/__pycache__",
        ".venv",
    ):
        (folder / left).mkdir(parents=True)
        (folder / left / "file").touch()
    subprocess.run(["make", "clean"], cwd=folder, check=True, capture_output=True)
    assert set(folder.rglob("*")) == sources
    for name in ("models", "state", "streams", "deploy"):
        assert (folder / ".src" / "afresh" / name).readlink() == Path(f"../../{name}")
