"""Deployments of earlier versions as they stood in Kafka and Redis, byte by byte.

``v0.1.0.jsonl.gz`` was written by version 0.1.0 itself (the tag v0.1.0), whose agents worked over topics in memory, as
those of ``tests.replay.memory`` do: 26 items in two domains, embeddings for some of them, 180 events of six users, two
of whom are linked to one, and whatever else a deployment meets: duplicates, events and items that can not be used, an
item deleted and one told anew, a rollback, a worker that died between two steps, and another one in its place.

Its first line says how it was made. A line each follows for the records of all topics, in their order, with bytes in
base64; then one for each list in Redis. Such a file is never made anew: what an earlier version wrote does not change.
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
"""Topic and partition."""


@dataclass(frozen=True)
class Recorded:
    """A deployment as it was recorded.

    Attributes
    ----------
    partitions, list_size
        Settings that differ from the defaults.
    run
        Length of the runs in which records were taken in, at most.
    partitions_of
        All records ever written, by topic and partition.
    cut
        How many of them were there when the second worker was about to read the changelogs.
    committed
        Offsets committed at that moment.
    bursts
        Ends of the partitions of the events each time that the second worker set to work.
    redis
        Lists as they stood in Redis at the end, by key.
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
        """Settings of the deployment."""
        return Settings(
            _env_file=None,
            partitions=self.partitions,
            list_size=self.list_size,
            data_dir=folder,
            encoder="none",
        )

    def log(self) -> Log:
        """All topics as they stood at the end."""
        return self._log({place: len(records) for place, records in self.partitions_of.items()})

    def log_at_cut(self) -> Log:
        """All topics as they stood when the second worker was about to read the changelogs."""
        return self._log(self.cut)

    def _log(self, ends: dict[Place, int]) -> Log:
        log = Log()
        for place, end in ends.items():
            log.partitions[place] = self.partitions_of[place][:end]
        return log

    def records(self, topic: str) -> Iterator[KafkaRecord]:
        """All records of a topic, named without its namespace, one partition after the other."""
        for (name, _), records in self.partitions_of.items():
            if name == f"afresh.{topic}":
                yield from records


def v0_1_0() -> Recorded:
    """Load the deployment of 0.1.0."""
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
