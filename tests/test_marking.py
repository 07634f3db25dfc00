from __future__ import annotations

from pathlib import Path

import pytest

from afresh.deploy.servers import local_redis
from afresh.streams.settings import Settings


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
