"""The job on quixstreams: ``python -m tests.benchmarks.quix BROKER PREFIX``. It needs the extra ``bench``."""

from __future__ import annotations

import sys
import tempfile
from typing import Any

from quixstreams import Application
from quixstreams.models import Serializer

from tests.benchmarks.job import Record, encode_record, fold

Base: Any = Serializer  # Any, because its type is known only where quixstreams is installed.


class RecordSerializer(Base):  # type: ignore[misc]
    """Encodes records as JSON with msgspec, so that quixstreams' own JSON costs nothing."""

    def __call__(self, value: Record, ctx: Any) -> bytes:
        return encode_record(value)


def take_in(value: bytes, _key: bytes, _timestamp: int, _headers: Any, state: Any) -> Record:
    """Fold one event into the state of its key."""
    row, record = fold(state.get_bytes("row"), value)
    state.set_bytes("row", row)
    return record


def make_app(broker: str, prefix: str, folder: str) -> Any:
    """Make the quixstreams app that folds ``{prefix}.events`` into ``{prefix}.records``."""
    app = Application(
        broker_address=broker,
        consumer_group=f"{prefix}.quix",
        auto_offset_reset="earliest",
        state_dir=folder,
        loglevel="WARNING",
    )
    source = app.topic(f"{prefix}.events", key_deserializer="bytes", value_deserializer="bytes")
    records = app.topic(f"{prefix}.records", key_serializer="bytes", value_serializer=RecordSerializer())
    frame = app.dataframe(source)
    frame = frame.apply(take_in, stateful=True, metadata=True)
    frame.to_topic(records, key=lambda record: record.item.encode())
    return app


def main() -> None:
    """Run until SIGTERM."""
    broker, prefix = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        make_app(broker, prefix, folder).run()


if __name__ == "__main__":
    main()
