from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afresh.state.keys import key_of
from afresh.state.rows import content
from afresh.state.rows.content import ContentRow
from afresh.streams.kafka.sender import BATCH_BYTES, OutgoingRecord, partition_of
from afresh.streams.messages import Embedding, TextRequest, encode, text_request_decoder
from afresh.streams.settings import Settings
from tests.replay.memory import Pipeline
from tests.streams.making import packed_size


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(Settings(_env_file=None, partitions=2, data_dir=tmp_path, list_size=5))


def put(pipeline: Pipeline, value: bytes | None, key: bytes | None = b"i1", partition: int = 0) -> None:
    pipeline.log.append(pipeline.topics.items.name, partition, OutgoingRecord(key, value))


def requests(pipeline: Pipeline) -> list[TextRequest]:
    found = pipeline.log.values(pipeline.topics.texts.name)
    return [text_request_decoder.decode(value or b"") for records in found.values() for _, value in records]


def row_of(pipeline: Pipeline, item: str) -> ContentRow:
    packed = pipeline.rows()["content"][partition_of(item.encode(), 2)][item.encode()]
    return content.unpack(packed)


def embed(pipeline: Pipeline, item: str, text: str, version: str = "1", width: int = 4) -> None:
    vector = np.ones(width, "<f2").tobytes()
    pipeline.feed(
        pipeline.topics.embeddings.name,
        item,
        encode(Embedding(item, content.content_hash(text), "minilm", version, vector)),
    )


GOOD = b'{"id":"i1","domain":"films","title":"Babe"}'

REFUSED: dict[str, tuple[str, bytes, bytes | None]] = {
    "no JSON": ("malformed", b"{broken", b"i1"),
    "no domain": ("invalid", b'{"id":"i1"}', b"i1"),
    "version": ("version", b'{"id":"i1","domain":"films","version":2}', b"i1"),
    "1 MiB": ("too_large", b'{"id":"i1","domain":"films","text":"' + b"x" * 2**20 + b'"}', b"i1"),
    "key of another item": ("key", GOOD, b"i2"),
    "key that is no text": ("key", GOOD, b"\xff"),
    "no key": ("key", GOOD, None),
}
"""One record for each reason; ``tests/streams/test_checks.py`` has the other cases."""


@pytest.mark.parametrize(("reason", "value", "key"), REFUSED.values(), ids=REFUSED.keys())
async def test_an_unusable_item_goes_to_the_dead_letters_and_nothing_else_is_lost(
    pipeline: Pipeline, reason: str, value: bytes, key: bytes | None
) -> None:
    put(pipeline, b'{"id":"before","domain":"films"}', b"before")
    put(pipeline, value, key)
    put(pipeline, b'{"id":"after","domain":"films"}', b"after")
    await pipeline.drain()
    (letter,) = pipeline.letters()
    assert (letter.key, letter.value, letter.partition) == (key, value, 0)
    headers = {name: found.decode() for name, found in letter.headers}
    assert (headers["reason"], headers["topic"]) == (reason, pipeline.topics.items.name)
    assert (headers["partition"], headers["offset"]) == ("0", "1")
    assert pipeline.catalogue.ids == ["before", "after"]


@pytest.mark.parametrize("key", [None, b""])
async def test_a_deletion_without_a_key_goes_to_the_dead_letters(
    pipeline: Pipeline, key: bytes | None
) -> None:
    put(pipeline, None, key)
    await pipeline.drain()
    assert [letter.headers[0] for letter in pipeline.letters()] == [("reason", b"key")]


@pytest.mark.parametrize("key", [b"never there", b"\xff\xfe", b"x" * 1_000_000])
async def test_deleting_an_unknown_item_writes_nothing(pipeline: Pipeline, key: bytes) -> None:
    """In the changelog, a key that is no text would stop every Catalogue; a huge key would not fit into a batch."""
    put(pipeline, None, key)
    put(pipeline, GOOD)
    await pipeline.drain()
    changelog = pipeline.log.values(pipeline.topics.content.name)[0]
    assert [written for written, _ in changelog if written] == [b"i1"]
    assert pipeline.catalogue.ids == ["i1"]


async def test_a_deleted_item_is_unavailable_until_it_is_fed_again(pipeline: Pipeline) -> None:
    pipeline.item("i1", text="a pig")
    await pipeline.drain()
    embed(pipeline, "i1", requests(pipeline)[0].text)
    await pipeline.drain()
    pipeline.feed(pipeline.topics.items.name, "i1", None)
    await pipeline.drain()
    assert not pipeline.catalogue.available.any()
    assert pipeline.tables["content"].rows[partition_of(b"i1", 2)].get(b"i1") is None

    pipeline.item("i1", text="a pig")
    await pipeline.drain()
    assert pipeline.catalogue.available.tolist() == [True]
    assert row_of(pipeline, "i1").embedding == b""
    assert [request.text for request in requests(pipeline)] == ["i1. a pig"] * 2


async def test_an_item_fed_deleted_and_fed_again_in_one_run_is_there(pipeline: Pipeline) -> None:
    put(pipeline, GOOD)
    put(pipeline, None)
    put(pipeline, GOOD.replace(b"Babe", b"Babe 2"))
    await pipeline.drain()
    assert pipeline.catalogue.available.tolist() == [True]
    packed = pipeline.rows()["content"][0][b"i1"]
    assert content.unpack(packed).title == "Babe 2"


async def test_an_item_without_text_requests_no_embedding_and_is_available(pipeline: Pipeline) -> None:
    pipeline.item("i1", title="")
    await pipeline.drain()
    assert requests(pipeline) == []
    assert row_of(pipeline, "i1").content == 0
    assert pipeline.catalogue.available.tolist() == [True]


async def test_an_item_that_loses_its_text_loses_its_embedding(pipeline: Pipeline) -> None:
    pipeline.item("i1", title="Babe")
    await pipeline.drain()
    embed(pipeline, "i1", "Babe")
    await pipeline.drain()
    assert pipeline.catalogue.embedded == 1
    pipeline.item("i1", title="")
    await pipeline.drain()
    row = row_of(pipeline, "i1")
    assert (row.embedding, row.encoder, row.encoder_version) == (b"", "", "")
    assert pipeline.catalogue.embedded == 0


async def test_only_a_text_that_changed_is_encoded_again(pipeline: Pipeline) -> None:
    pipeline.item("i1", text="a pig")
    pipeline.item("i1", text="a pig", available=False)
    pipeline.item("i1", text="two pigs")
    pipeline.item("i1", text="two pigs", attributes={"year": 1995})
    await pipeline.drain()
    assert [request.text for request in requests(pipeline)] == [
        "i1. a pig",
        "i1. two pigs",
        "i1. two pigs. year: 1995",
    ]
    assert [request.content for request in requests(pipeline)] == [key_of(r.text) for r in requests(pipeline)]


async def test_an_embedding_of_an_old_text_is_ignored(pipeline: Pipeline) -> None:
    pipeline.item("i1", title="new")
    await pipeline.drain()
    embed(pipeline, "i1", "old")
    await pipeline.drain()
    assert row_of(pipeline, "i1").embedding == b""
    embed(pipeline, "i1", "new", version="7")
    await pipeline.drain()
    row = row_of(pipeline, "i1")
    assert (len(row.embedding), row.encoder, row.encoder_version) == (8, "minilm", "7")


async def test_an_embedding_of_a_deleted_or_unknown_item_is_ignored(pipeline: Pipeline) -> None:
    pipeline.item("i1")
    await pipeline.drain()
    pipeline.feed(pipeline.topics.items.name, "i1", None)
    await pipeline.drain()
    embed(pipeline, "i1", "i1")
    embed(pipeline, "unknown", "unknown")
    await pipeline.drain()
    assert pipeline.tables["content"].count_rows() == 0
    assert pipeline.catalogue.embedded == 0
    assert not pipeline.catalogue.available.any()


async def test_an_event_of_an_unknown_item_is_kept_and_counts_when_the_item_comes(pipeline: Pipeline) -> None:
    for number in range(4):
        pipeline.event(id=f"e{number}", user=f"u{number}", item="late")
    await pipeline.drain()
    assert pipeline.letters() == []
    assert pipeline.store.lists["web:u0"].items == []

    pipeline.item("late", title="Late")
    pipeline.item("never taken")
    await pipeline.drain()
    row = pipeline.catalogue.known(key_of("late")).index
    assert pipeline.catalogue.popularity()[row] == pytest.approx(4.0)
    pipeline.event(id="e9", user="newcomer", item="never taken")
    await pipeline.drain()
    assert [item.id for item in pipeline.store.lists["web:newcomer"].items] == ["late"]


async def test_a_run_of_large_items_is_written_in_parts_that_fit_a_record_batch(tmp_path: Path) -> None:
    pipeline = Pipeline(Settings(_env_file=None, partitions=1, data_dir=tmp_path))
    sizes: list[int] = []
    runner: Any = pipeline.agents[pipeline.topics.items.name].__self__._runner  # type: ignore[attr-defined]
    write = runner.write

    async def measured(run: Any, outgoing: Any, table: Any, change: Any) -> None:
        sizes.append(packed_size(change.records()))
        await write(run, outgoing, table, change)

    runner.write = measured
    for number in range(60):
        pipeline.item(f"i{number}", text="🎬" * 16_000)
    await pipeline.step(pipeline.topics.items.name, 0, 100)
    assert pipeline.tables["content"].count_rows() == 60
    assert max(sizes) < BATCH_BYTES * 0.9
    assert len(sizes) > 3
