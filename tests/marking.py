"""Tells unit tests from those that start servers: ``make unit`` runs only the former, and they cannot start one."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import NoReturn
from unittest.mock import patch

import pytest

from afresh.deploy.servers.process import ServerProcess

SERVERS = {
    "kafka_installation",
    "kafka",
    "embedded_broker",
    "embedded_settings",
    "settings",
    "redis_server",
    "own_redis",
}
"""Fixtures that find or start servers, and those that parameters name; all others are made from them."""

DOCTESTS = {"afresh.deploy.servers": "servers", "afresh.models.encoder.Encoder": "slow"}
"""Marks of examples in the product, which has none of its own."""


class Marking:
    """A plugin, since hooks of a ``conftest.py`` are not asked about doctests elsewhere."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark what uses servers."""
        for item in items:
            mark = DOCTESTS.get(item.name) if isinstance(item, pytest.DoctestItem) else None
            if mark or not SERVERS.isdisjoint(fixtures_of(item)):
                item.add_marker(mark or "servers")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Refuse to start a server where it would not be known that one is started."""
        if item.get_closest_marker("servers"):
            return (yield)
        with patch.object(ServerProcess, "start", refuse):
            return (yield)


def fixtures_of(item: pytest.Item) -> Iterator[object]:
    """Names of all fixtures that a test uses; some are parameters, for ``request.getfixturevalue``."""
    if isinstance(item, pytest.Function):
        yield from item.fixturenames
        if hasattr(item, "callspec"):
            yield from (each for each in item.callspec.params.values() if isinstance(each, str))


def refuse(process: ServerProcess) -> NoReturn:
    """Stand in for the start of a server."""
    raise AssertionError(f"{process.name} is started by a unit test: mark it with pytest.mark.servers")
