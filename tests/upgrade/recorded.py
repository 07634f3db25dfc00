"""Recorded deployments of earlier versions: the contents of Kafka and Redis, byte by byte.

Version 0.1.0 itself (the tag v0.1.0) wrote ``v0.1.0.jsonl.gz``. Its agents worked over topics in memory, as those of
``tests.replay.memory`` do. The file has 26 items in two domains, embeddings for some of them, and 180 events of six
users, two of whom are linked to one canonical user. It also has what else a deployment meets: duplicates, events and
items that cannot be used, a deleted item, an item described anew, a rollback, a worker that died between two steps,
and another worker in its place.

The first line says how the file was made. One line follows for each record of all topics, in their order, with bytes
in base64. Then one line follows for each list in Redis. Such a file is never written again: what an earlier version
wrote does not change.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.structs import ConsumerRecord

from afresh.streams.runs.run import KafkaRecord
from afresh.streams.settings import Settings
from tests.replay.memory import Log

Place = tuple[str, int]
"""A topic and a partition."""


@dataclass(frozen=True)
class Recorded:
    """A recorded deployment.

    Attributes
    ----------
    partitions, list_size
        Settings that differ from the defaults.
    run
        Maximum length of the runs in which records were taken in.
    partitions_of
        All records ever written, by topic and partition.
    cut
        Number of records in each partition when the second worker began to read the changelogs.
    committed
        Committed offsets at that moment.
    bursts
        End offsets of the event partitions, each time that the second worker began to work.
    redis
        Lists in Redis at the end, by key.
    """

    partitions: int
    list_size: int
    run: int
    partitions_of: dict[Place, list[KafkaRecord]]
    cut: dict[Place, int]
    committed: dict[Place, int]
    bursts: list[list[int]]
    redis: dict[str, bytes]

    def settings(self, folder: Path) -> Settings:
        """Return the settings of the deployment."""
        return Settings(
            _env_file=None,
            partitions=self.partitions,
            list_size=self.list_size,
            data_dir=folder,
            encoder="none",
        )

    def log(self) -> Log:
        """Return all topics as they were at the end."""
        return self._log({place: len(records) for place, records in self.partitions_of.items()})

    def log_at_cut(self) -> Log:
        """Return all topics as they were when the second worker began to read the changelogs."""
        return self._log(self.cut)

    def _log(self, ends: dict[Place, int]) -> Log:
        log = Log()
        for place, end in ends.items():
            log.partitions[place] = self.partitions_of[place][:end]
        return log

    def records(self, topic: str) -> Iterator[KafkaRecord]:
        """Return all records of a topic, given its name without the namespace, partition by partition."""
        for (name, _), records in self.partitions_of.items():
            if name == f"afresh.{topic}":
                yield from records


def v0_1_0() -> Recorded:
    """Load the recorded deployment of 0.1.0."""
    return _load("v0.1.0.jsonl.gz")


def _load(name: str) -> Recorded:
    text = gzip.decompress((Path(__file__).parent / name).read_bytes()).decode()
    made, *lines = map(json.loads, text.splitlines())
    partitions: dict[Place, list[KafkaRecord]] = {}
    for line in lines:
        if "topic" in line:
            partitions.setdefault((line["topic"], line["partition"]), []).append(_record(line))
    return Recorded(
        made["partitions"],
        made["list_size"],
        made["run"],
        partitions,
        _by_place(made["cut"]),
        _by_place(made["committed"]),
        made["bursts"],
        {line["redis"]: b64decode(line["value"]) for line in lines if "redis" in line},
    )


def _record(line: dict[str, Any]) -> KafkaRecord:
    key, value = (None if line[name] is None else b64decode(line[name]) for name in ("key", "value"))
    headers = tuple((name, b64decode(each)) for name, each in line["headers"])
    return ConsumerRecord(
        topic=line["topic"],
        partition=line["partition"],
        offset=line["offset"],
        timestamp=line["timestamp"],
        timestamp_type=0,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=headers,
    )


def _by_place(offsets: dict[str, int]) -> dict[Place, int]:
    return {
        (topic, int(partition)): offset
        for (topic, _, partition), offset in ((name.rpartition("/"), each) for name, each in offsets.items())
    }
