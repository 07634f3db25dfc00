from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from afresh.deploy.servers.prometheus import local_prometheus
from afresh.state.errors import AfreshError


def test_where_there_is_no_prometheus_the_error_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(AfreshError, match="apt-get install prometheus"), local_prometheus(tmp_path, {}):
        pass
