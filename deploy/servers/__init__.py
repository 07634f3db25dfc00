"""Servers for development, the demo and the tests: no root, no Docker, loopback only, always stopped at the end.

Examples
--------
>>> from pathlib import Path
>>> from tempfile import TemporaryDirectory
>>> with TemporaryDirectory() as folder, local_kafka(Path(folder), kind="embedded") as kafka:
...     print(kafka.kind, kafka.address.partition(":")[0])
embedded 127.0.0.1
"""

from afresh.deploy.servers.choice import Servers, broker_and_redis
from afresh.deploy.servers.kafka import genuine_kafka, local_kafka
from afresh.deploy.servers.redis import local_redis
from afresh.deploy.servers.server import Server

__all__ = ["Server", "Servers", "broker_and_redis", "genuine_kafka", "local_kafka", "local_redis"]
