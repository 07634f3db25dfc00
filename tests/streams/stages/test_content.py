from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afresh.state.keys import key_of
from afresh.state.rows import content
from afresh.state.rows.content import ContentRow, Vector
from afresh.streams.kafka.limits import BATCH_BYTES
from afresh.streams.kafka.sender import OutgoingRecord, partition_of
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
    return [text_request_decoder.decode(value) for records in found.values() for _, value in records if value]


def newest(pipeline: Pipeline, topic: str) -> dict[bytes | None, bytes | None]:
    found = pipeline.log.values(pipeline.topics.named(topic).name)
    return {key: value for records in found.values() for key, value in records}


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


@pytest.mark.parametrize("key", [b"\xff\xfe", b"x" * 1_000_000])
async def test_a_deletion_whose_key_cannot_be_an_item_goes_to_the_dead_letters_only(
    pipeline: Pipeline, key: bytes
) -> None:
    """In the changelog, a key that is no text would stop every Catalogue; a huge key would not fit into a batch."""
    put(pipeline, None, key)
    put(pipeline, GOOD)
    await pipeline.drain()
    changelogs = pipeline.log.values(pipeline.topics.content.name).values()
    assert [written for changelog in changelogs for written, _ in changelog if written] == [b"i1"]
    assert pipeline.catalogue.ids == ["i1"]
    assert [letter.key for letter in pipeline.letters()] == [key]


async def test_a_deleted_item_is_unavailable_until_it_is_fed_again(pipeline: Pipeline) -> None:
    pipeline.item("i1", text="a pig")
    await pipeline.drain()
    embed(pipeline, "i1", requests(pipeline)[0].text)
    await pipeline.drain()
    pipeline.feed(pipeline.topics.items.name, "i1", None)
    await pipeline.drain()
    assert not pipeline.catalogue.available.any()
    row = row_of(pipeline, "i1")
    assert (row.deleted, row.title, row.vectors) == (True, "", [])
    assert newest(pipeline, "texts") == newest(pipeline, "embeddings") == {b"i1": None}

    pipeline.item("i1", text="a pig")
    await pipeline.drain()
    assert pipeline.catalogue.available.tolist() == [True]
    assert row_of(pipeline, "i1").vectors == []
    assert [request.text for request in requests(pipeline)] == ["i1. a pig"] * 2


async def test_an_item_fed_deleted_and_fed_again_in_one_run_is_there(pipeline: Pipeline) -> None:
    put(pipeline, GOOD)
    put(pipeline, None)
    put(pipeline, GOOD.replace(b"Babe", b"Babe 2"))
    await pipeline.drain()
    assert pipeline.catalogue.available.tolist() == [True]
    assert row_of(pipeline, "i1").title == "Babe 2"


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
    assert row_of(pipeline, "i1").vectors == []
    assert pipeline.catalogue.embedded == 0
    assert newest(pipeline, "texts") == newest(pipeline, "embeddings") == {b"i1": None}


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
    assert row_of(pipeline, "i1").vectors == []
    embed(pipeline, "i1", "new", version="7")
    await pipeline.drain()
    (vector,) = row_of(pipeline, "i1").vectors
    assert (len(vector.vector), vector.encoder, vector.encoder_version) == (8, "minilm", "7")


async def test_a_text_that_has_no_vector_leaves_the_item_with_the_one_before(pipeline: Pipeline) -> None:
    put(pipeline, b'{"id":"a","domain":"films","title":"Old"}', b"a")
    await pipeline.drain()
    embed(pipeline, "a", "Old")
    put(pipeline, b'{"id":"a","domain":"films","title":"Poison"}', b"a")
    await pipeline.drain()
    embed(pipeline, "a", "Poison", width=0)
    await pipeline.drain()
    (vector,) = row_of(pipeline, "a").vectors
    assert (vector.content, len(vector.vector)) == (content.content_hash("Old"), 8)


async def test_an_embedding_of_a_deleted_or_unknown_item_is_ignored(pipeline: Pipeline) -> None:
    pipeline.item("i1")
    await pipeline.drain()
    pipeline.feed(pipeline.topics.items.name, "i1", None)
    await pipeline.drain()
    embed(pipeline, "i1", "i1")
    embed(pipeline, "unknown", "unknown")
    await pipeline.drain()
    assert b"unknown" not in pipeline.rows()["content"][partition_of(b"unknown", 2)]
    assert pipeline.catalogue.embedded == 0
    assert not pipeline.catalogue.available.any()
    assert newest(pipeline, "embeddings") == newest(pipeline, "texts") == {b"i1": None, b"unknown": None}
    assert len(pipeline.log.values(pipeline.topics.embeddings.name)) < 10, "no answer to the answer"


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
    assert pipeline.catalogue.popularity(np.array([row], np.int32)) == pytest.approx([4.0])
    pipeline.event(id="e9", user="newcomer", item="never taken")
    await pipeline.drain()
    assert [item.id for item in pipeline.store.lists["web:newcomer"].items] == ["late"]


async def test_a_run_of_large_items_is_written_in_parts_that_fit_a_record_batch(tmp_path: Path) -> None:
    pipeline = Pipeline(Settings(_env_file=None, partitions=1, data_dir=tmp_path))
    sizes: list[int] = []
    runner: Any = pipeline.stages["content"]._runner
    write = runner.write

    async def measured(run: Any, outgoing: Any, table: Any, change: Any) -> None:
        sizes.append(packed_size(change.records()))
        await write(run, outgoing, table, change)

    runner.write = measured
    for number in range(60):
        pipeline.item(f"i{number}", text="🎬" * 16_000)
    await pipeline.drain(lambda: 100)
    assert pipeline.tables["content"].count_rows() == 60
    assert max(sizes) < BATCH_BYTES * 0.9
    assert len(sizes) > 3


@pytest.mark.parametrize("first", [0, 1])
async def test_of_two_records_of_an_item_in_two_partitions_the_newer_counts_whichever_is_read_first(
    pipeline: Pipeline, first: int
) -> None:
    put(pipeline, GOOD, partition=0)
    put(pipeline, GOOD.replace(b"Babe", b"Babe 2"), partition=1)
    items = pipeline.topics.items.name
    for partition in (first, 1 - first):
        await pipeline.step(items, partition, 10)
        await pipeline.drain()
    # The times are equal here, so that the partition decides.
    assert row_of(pipeline, "i1").title == "Babe 2"
    for partition in (1 - first, first):
        put(pipeline, None, partition=partition)
        await pipeline.drain()
    assert row_of(pipeline, "i1").deleted


@pytest.mark.parametrize("first", [0, 1])
async def test_an_older_record_of_a_deleted_item_that_is_read_later_does_not_bring_it_back(
    pipeline: Pipeline, first: int
) -> None:
    put(pipeline, GOOD, partition=0)
    put(pipeline, None, partition=1)
    for partition in (first, 1 - first):
        await pipeline.step(pipeline.topics.items.name, partition, 10)
        await pipeline.drain()
    assert row_of(pipeline, "i1").deleted
    assert not pipeline.catalogue.available.any()


async def test_vectors_of_three_versions_of_an_encoder_are_kept_the_newest_first(pipeline: Pipeline) -> None:
    pipeline.item("i1", title="Babe")
    await pipeline.drain()
    for version, width in (("0", 2), ("1", 4), ("2", 6), ("3", 8)):
        embed(pipeline, "i1", "Babe", version, width)
    await pipeline.drain()
    found = [(each.encoder_version, len(each.vector)) for each in row_of(pipeline, "i1").vectors]
    assert found == [("3", 16), ("2", 12), ("1", 8)]


def as_0_1_0(*fields: Any) -> bytes:
    """Pack a content row as 0.1.0 did: domain, title, text, attributes, available, content, and the embedding."""
    return encode([1, *fields])


async def test_rows_that_0_1_0_left_in_another_partition_are_moved_once_and_others_keep_their_vectors(
    tmp_path: Path,
) -> None:
    settings = Settings(_env_file=None, partitions=2, data_dir=tmp_path, list_size=5)
    pipeline = Pipeline(settings)
    topics, home = pipeline.topics, partition_of(b"i1", 2)
    changelog, texts = topics.content.name, content.content_hash("Babe")
    vector = np.ones(4, "<f2").tobytes()
    right = as_0_1_0("films", "Babe", "", {}, True, texts, vector, "minilm", "1")
    wrong = as_0_1_0("films", "Stray", "", {"year": 1995}, False, 7, b"", "", "")
    stray = next(name for name in (b"i2", b"i3", b"i4", b"i5") if partition_of(name, 2) == home)
    pipeline.log.append(changelog, home, OutgoingRecord(b"i1", right))
    for name in (b"i1", stray):
        pipeline.log.append(changelog, 1 - home, OutgoingRecord(name, wrong))
    # What 0.1.0 read of the items, and committed; the deletion of the stray item is still to come.
    put(pipeline, GOOD, partition=home)
    committed = {(topics.items.name, home): 1}

    upgraded = Pipeline(settings, pipeline.log, committed)
    await upgraded.drain()
    row = row_of(upgraded, "i1")
    assert (row.title, row.offset) == ("Babe", 0)
    assert row.vectors == [Vector(content.TEXT, "minilm", "1", texts, vector)]
    assert [(each.item, each.text) for each in requests(upgraded)] == [(stray.decode(), "Stray. year: 1995")]
    moved = row_of(upgraded, stray.decode())
    assert (moved.title, moved.attributes, moved.available) == ("Stray", {"year": 1995}, False)
    assert {b"i1", stray}.isdisjoint(upgraded.rows()["content"][1 - home])
    assert upgraded.catalogue.ids.count("i1") == 1
    assert upgraded.catalogue.available[upgraded.catalogue.ids.index("i1")]

    before = len(upgraded.log.partitions[topics.items_keyed.name, home])
    again = Pipeline(settings, upgraded.log, upgraded.committed)
    await again.drain()
    assert len(again.log.partitions[topics.items_keyed.name, home]) == before
    put(again, None, stray, partition=1 - home)
    await again.drain()
    assert row_of(again, stray.decode()).deleted
