from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from afresh.deploy.servers import prometheus as servers
from afresh.deploy.servers.prometheus import local_prometheus
from afresh.state.errors import AfreshError
from tests.streams.making import read_page


def test_where_there_is_no_prometheus_the_error_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(AfreshError, match="apt-get install prometheus"), local_prometheus(tmp_path, {}):
        pass


def test_a_prometheus_is_given_away_once_it_answers_questions(prometheus: str, tmp_path: Path) -> None:
    with local_prometheus(tmp_path, {}) as address:
        port = int(address.rpartition(":")[2])
        assert read_page(port, "/api/v1/query?query=1")[0] == 200
        _, said = read_page(port, "/api/v1/rules")
        assert "file:///" in said
        assert "/deploy/runbooks.md#afreshdown" in said


def test_a_prometheus_that_cannot_start_says_where_its_log_is(
    prometheus: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(servers, "rules", lambda *_: "groups: no list")
    with pytest.raises(AfreshError, match="Prometheus"), local_prometheus(tmp_path, {}):
        pass
