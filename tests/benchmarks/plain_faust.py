"""The job on plain Faust, event by event: ``python -m tests.benchmarks.plain_faust BROKER PREFIX``.

It is written as in Faust's documentation: one agent, and a Table in memory. Topics carry bytes, so that Faust's own
JSON costs nothing.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import faust

from tests.benchmarks.job import PARTITIONS, encode_record, fold

# With a log level of WARNING or above Faust sets the root logger to DEBUG, which takes a quarter of the CPU time. So
# the level is INFO, and these loggers are silenced.
NOISY = ["aiokafka", "faust", "mode", "asyncio"]


def make_app(broker: str, prefix: str, folder: Path) -> Any:
    """Make the Faust app that folds ``{prefix}.events`` into ``{prefix}.records``."""
    app: Any = faust.App(
        f"{prefix}.faust",
        broker=f"kafka://{broker}",
        datadir=folder,
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
    )
    source = app.topic(f"{prefix}.events", key_type=bytes, value_type=bytes)
    records = app.topic(f"{prefix}.records", key_type=bytes, value_type=bytes)
    rows = app.Table("users", key_type=bytes, value_type=bytes, partitions=PARTITIONS)

    async def profile(stream: Any) -> None:
        async for user, value in stream.items():
            rows[user], record = fold(rows.get(user), value)
            await records.send(key=record.item.encode(), value=encode_record(record))

    app.agent(source)(profile)
    return app


def main() -> None:
    """Run until SIGTERM."""
    broker, prefix = sys.argv[1:]
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        faust.Worker(make_app(broker, prefix, Path(folder)), loglevel="INFO").execute_from_commandline()


if __name__ == "__main__":
    main()
