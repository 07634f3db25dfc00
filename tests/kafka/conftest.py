"""The cluster that tests with real servers share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from afresh.deploy.servers.kafka import Installation
from tests.kafka.cluster import Cluster, local_cluster


@pytest.fixture(scope="session")
def cluster(kafka_installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run three brokers for all tests; who kills one starts it again."""
    with local_cluster(kafka_installation, tmp_path_factory.mktemp("cluster")) as made:
        yield made
