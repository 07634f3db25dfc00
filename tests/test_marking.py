from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from afresh.deploy.servers import local_redis
from afresh.streams.settings import Settings
from tests.marking import Marking


def test_a_unit_test_cannot_start_a_server(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="is started by a unit test"), local_redis(tmp_path):
        pass


@pytest.mark.servers
def test_a_test_with_the_mark_servers_can_start_a_server(tmp_path: Path) -> None:
    with local_redis(tmp_path) as server:
        assert server.process is not None
        assert server.process.pid is not None


@pytest.mark.parametrize("fixture", ["redis_server", "none"])
def test_a_test_with_a_parameter_that_names_a_server_fixture_is_marked(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    marked = request.node.get_closest_marker("servers") is not None
    assert marked is (fixture == "redis_server")


def test_a_test_with_a_fixture_that_uses_servers_is_marked(
    embedded_settings: Settings, request: pytest.FixtureRequest
) -> None:
    assert request.node.get_closest_marker("servers") is not None


def test_files_with_long_tests_come_first_and_the_tests_of_a_file_stay_together() -> None:
    def item(file: str, mark: str = "") -> Any:
        return SimpleNamespace(name="test", path=Path(file), get_closest_marker=lambda name: name == mark)

    items = [
        item("a.py"),
        item("b.py"),
        item("b.py", "slow"),
        item("c.py"),
        item("d.py", "servers"),
        item("d.py"),
    ]
    Marking().pytest_collection_modifyitems(items)
    assert [each.path.stem for each in items] == ["b", "b", "d", "d", "a", "c"]
