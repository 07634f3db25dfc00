"""On the genuine Kafka: rows of a newer program end a worker with one sentence, and are not overwritten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest

from afresh.deploy.ledger import audit
from afresh.deploy.servers.process import ServerProcess
from afresh.state.errors import AfreshError
from afresh.state.store.marks import OWN_KEYS, PARTITION_ROW_KEY
from afresh.state.versions import ADVICE
from afresh.streams.settings import Settings
from tests.kafka.deployment import Deployment, deployment, ended, learned, told_to_stop, wait


def packed_by_msgpack(row: bytes) -> bytes:
    version, *fields = msgspec.msgpack.decode(row)
    return msgspec.msgpack.encode([version + 1, *fields])


def page(row: bytes) -> bytes:
    number, *keys = np.frombuffer(row, "<u8").tolist()
    return np.array([number | 1 << 56, *keys], "<u8").tobytes()


PLANTED: list[tuple[str, bool, Callable[[bytes], bytes], str]] = [
    ("received", False, page, "page of event ids"),
    ("users", False, packed_by_msgpack, "user's row"),
    ("users", True, packed_by_msgpack, "partition's row"),
    ("behaviour", False, lambda row: bytes([row[0] + 1]) + row[1:], "item's behaviour row"),
    ("content", False, packed_by_msgpack, "item's content row"),
]
"""Cases: a table, whether its partition row is meant, a function that writes the row as a newer program, its name."""


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(settings.model_copy(update={"partitions": 1}), tmp_path) as made:
        yield made


def newest(made: Deployment, table: str) -> dict[bytes, bytes]:
    return {each.key: each.value for each in made.records(getattr(made.topics, table))}


def write(made: Deployment, table: str, key: bytes, row: bytes) -> None:
    made.producer.send(getattr(made.topics, table).name, row, key, partition=0).get(timeout=60)


def refused(process: ServerProcess) -> str:
    """Start a process that must end by itself; return the last line of its log."""
    with suppress(AfreshError):
        process.start()
    status, said = ended(process)
    assert status == 2
    return said


def test_rows_of_a_newer_program_are_refused_with_a_sentence_and_stay_unchanged(made: Deployment) -> None:
    process = made.process()
    with made.running(process) as page:
        made.item("i1")
        made.answer("ann", made.event("ann", "i1"))
        wait(lambda: learned(page.read()) == 1, "the example to be learned from")
        wait(lambda: newest(made, "content"), "the item to be kept")
        assert told_to_stop(process, 20.0) == 0
        for table, own, newer, name in PLANTED:
            rows = newest(made, table)
            key = PARTITION_ROW_KEY if own else next(key for key in rows if key not in OWN_KEYS)
            planted = newer(rows[key])
            write(made, table, key, planted)
            # A new event makes the worker need every row.
            made.event("ann", "i1")
            said = refused(process)
            assert f"{name} has version" in said
            assert ADVICE in said
            assert newest(made, table)[key] == planted
            write(made, table, key, rows[key])
        process.start()
        made.ready(process)
        assert made.answer("ann", made.event("ann", "i1")).revision == 2 + len(PLANTED)
        assert audit(made.settings, wait_seconds=60.0).differences == []
