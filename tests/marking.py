"""Separates unit tests from tests that start servers, and has files with long tests come first.

``make unit`` runs only unit tests, and they cannot start a server.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import NoReturn
from unittest.mock import patch

import pytest

from afresh.deploy.servers.process import ServerProcess

SERVERS = {
    "kafka_installation",
    "prometheus",
    "kafka",
    "embedded_broker",
    "embedded_settings",
    "settings",
    "redis_server",
    "own_redis",
}
"""Fixtures that find or start servers, or that parameters name. All other fixtures with servers use one of these."""

DOCTESTS = {"afresh.deploy.servers": "servers", "afresh.models.encoder.loading.load": "slow"}
"""Marks of doctests: the product itself has no marks."""


LONG = ("servers", "slow")
"""Marks of long tests."""


class Marking:
    """A plugin, because pytest does not call the hooks of a ``conftest.py`` for doctests outside its folder."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark the tests that use servers, and order the files."""
        for item in items:
            mark = DOCTESTS.get(item.name) if isinstance(item, pytest.DoctestItem) else None
            if mark or not SERVERS.isdisjoint(fixtures_of(item)):
                item.add_marker(mark or "servers")
        long = {item.path for item in items if any(map(item.get_closest_marker, LONG))}
        # Processes share the files. If a long one came last, the others would have nothing to do for minutes.
        items.sort(key=lambda item: item.path not in long)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Refuse to start a server in a test without the mark ``servers``."""
        if item.get_closest_marker("servers"):
            return (yield)
        with patch.object(ServerProcess, "start", refuse):
            return (yield)


def fixtures_of(item: pytest.Item) -> Iterator[object]:
    """Yield the names of all fixtures that a test uses; some are parameters, for ``request.getfixturevalue``."""
    if isinstance(item, pytest.Function):
        yield from item.fixturenames
        if hasattr(item, "callspec"):
            yield from (each for each in item.callspec.params.values() if isinstance(each, str))


def refuse(process: ServerProcess) -> NoReturn:
    """Stand in for the start of a server."""
    raise AssertionError(f"{process.name} is started by a unit test: mark the test with pytest.mark.servers")
