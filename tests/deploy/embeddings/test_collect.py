"""That all is read from Kafka, ``tests/kafka/test_embeddings.py`` shows."""

import numpy as np

from afresh.deploy.embeddings.collect import Embedded, _readers
from afresh.state.encoders import Named, Plan
from afresh.state.rows import content
from afresh.state.rows.content import ContentRow, Vector

NEW = Named("universal", "2")


def vector(version: str, of: int) -> Vector:
    return Vector(content.TEXT, "universal", version, of, np.ones(2, "<f2").tobytes())


def test_only_vectors_of_the_present_text_count() -> None:
    row = ContentRow(title="Babe", content=5, vectors=[vector("2", 5), vector("1", 4)])
    assert _readers(b"i1", content.pack(row)) == (NEW,)
    for other in (ContentRow(deleted=True), ContentRow(title="")):
        assert _readers(b"i1", content.pack(other)) is None
    assert _readers(b"", b"the partition's own") is None


def test_the_time_left_follows_from_what_the_newest_encoder_has_not_read() -> None:
    def left(plan: Plan | None, speed: float) -> float | None:
        return Embedded(plan, "", 100, {NEW: 40}, 0, speed).seconds_left

    assert left(Plan([NEW]), 5.0) == 12.0
    assert left(Plan([NEW]), 0.0) is None
    assert left(None, 5.0) is None
