import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prometheus_client import REGISTRY

from afresh.state.encoders import Named
from afresh.state.errors import AfreshError
from afresh.streams.kafka.sender import partition_of
from afresh.streams.kafka.writes import Writes
from afresh.streams.messages import (
    Embedding,
    TextRequest,
    embedding_decoder,
    encode,
    plan_decoder,
    text_request_decoder,
)
from afresh.streams.settings import Settings
from afresh.streams.stages import readers as module
from afresh.streams.stages.embed import Embed
from afresh.streams.stages.gathering import Gathering
from afresh.streams.stages.readers import Reader
from tests.streams.making import FakeProducer, record, run_of


class FakeEncoder:
    """An encoder whose vectors are the lengths of the texts."""

    name, version = "lengths", "7"

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def encode(self, texts: list[str]) -> Any:
        self.batches.append(texts)
        return np.array([[len(text), 1.0] for text in texts], np.float32)


class Embedded:
    """An embed agent without a broker and without a model."""

    def __init__(self, settings: Settings, encoder: FakeEncoder) -> None:
        self.encoder = encoder
        self.agent = Embed(settings)
        self.producer = FakeProducer()
        self.producers_started = 0
        producers = SimpleNamespace(start=self.start_producer)
        self.agent.app = SimpleNamespace(  # type: ignore[assignment]
            producers=producers, writes=Writes(), limits=None
        )

    async def start_producer(self) -> FakeProducer:
        self.producers_started += 1
        return self.producer

    async def process(self, *requests: TextRequest | None, key: bytes = b"deleted") -> bool:
        records = [
            record(encode(each), each.item.encode(), offset=n) if each else record(None, key, offset=n)
            for n, each in enumerate(requests)
        ]
        run, event = run_of(*records)
        await self.agent.process(run)
        return event.acks == 1

    def sent(self) -> dict[str, Embedding]:
        values = [value for each in self.producer.values("afresh.embeddings").values() for value in each]
        return {each.item: each for each in (embedding_decoder.decode(value or b"") for value in values)}


def use(embedded: Embedded, encode: Any) -> None:
    readers = embedded.agent.readers
    readers._readers = {"7": Reader(readers.own, Gathering(encode, 2), {})}


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Embedded:
    encoder = FakeEncoder()
    monkeypatch.setattr(module, "load_encoder", lambda _: encoder)
    return Embedded(Settings(_env_file=None, data_dir=tmp_path, encoder_batch=2, partitions=3), encoder)


async def test_a_text_comes_back_as_a_vector_with_its_hash_and_encoder(embedded: Embedded) -> None:
    assert await embedded.process(TextRequest("é 🎬", 2**64 - 1, "four"))
    vector = np.array([4.0, 1.0], "<f2").tobytes()
    assert embedded.sent() == {"é 🎬": Embedding("é 🎬", 2**64 - 1, "lengths", "7", vector)}
    ((_, partition, [(key, _)]),) = embedded.producer.batches
    assert key == "é 🎬".encode()
    assert partition == partition_of(key, 3)


async def test_only_the_newest_text_of_an_item_is_encoded(embedded: Embedded) -> None:
    await embedded.process(TextRequest("a", 1, "old"), TextRequest("b", 1, "b"), TextRequest("a", 2, "newer"))
    assert sorted(text for batch in embedded.encoder.batches for text in batch) == ["b", "newer"]
    assert embedded.sent()["a"].content == 2


async def test_texts_are_encoded_in_batches_of_similar_length(embedded: Embedded) -> None:
    await embedded.process(*(TextRequest(f"i{n}", n, "x" * n) for n in (9, 1, 7, 2, 3)))
    assert [[len(text) for text in batch] for batch in embedded.encoder.batches] == [[1, 2], [3, 7], [9]]
    assert len(embedded.sent()) == 5
    assert embedded.producers_started == 1


async def test_a_text_request_without_a_value_is_skipped(embedded: Embedded) -> None:
    assert await embedded.process(None)
    assert embedded.encoder.batches == []


async def test_the_text_of_an_item_that_was_deleted_meanwhile_is_not_encoded(embedded: Embedded) -> None:
    assert await embedded.process(TextRequest("a", 1, "a"), TextRequest("b", 1, "b"), None, key=b"a")
    assert embedded.encoder.batches == [["b"]]


async def test_a_record_of_somebody_else_ends_the_worker_in_a_sentence(embedded: Embedded) -> None:
    run, event = run_of(record(encode(TextRequest("a", 1, "a")), b"a"), record(b"{}", b"b", offset=1))
    with pytest.raises(AfreshError, match=r"the record at offset 1 of .* is none of afresh's"):
        await embedded.agent.process(run)
    assert (event.acks, embedded.encoder.batches) == (0, [])


async def test_nothing_waits_any_more_of_a_run_that_a_rebalance_ends(embedded: Embedded) -> None:
    def ended(texts: list[str]) -> Any:
        raise asyncio.CancelledError

    before = REGISTRY.get_sample_value("afresh_embedding_queue")
    use(embedded, ended)
    with pytest.raises(asyncio.CancelledError):
        await embedded.process(TextRequest("a", 1, "a"), TextRequest("b", 1, "b"))
    assert REGISTRY.get_sample_value("afresh_embedding_queue") == before


async def test_a_poison_text_is_answered_without_a_vector_and_stops_no_other(
    embedded: Embedded, caplog: pytest.LogCaptureFixture
) -> None:
    before = REGISTRY.get_sample_value("afresh_embeddings_refused_total") or 0

    def poisoned(texts: list[str]) -> Any:
        return np.array([[np.nan if text == "poison" else 1.0] for text in texts], np.float32)

    use(embedded, poisoned)
    assert await embedded.process(TextRequest("a", 1, "poison"), TextRequest("b", 2, "fine"))
    assert {item: each.vector for item, each in embedded.sent().items()} == {"a": b"", "b": b"\0\x3c"}
    assert REGISTRY.get_sample_value("afresh_embeddings_refused_total") == before + 1
    assert "no finite vector of the text of item a" in caplog.text


async def test_an_encoder_that_fails_ends_the_worker_with_its_message(embedded: Embedded) -> None:
    def fails(texts: list[str]) -> Any:
        raise ValueError("the encoder cannot go on")

    use(embedded, fails)
    with pytest.raises(AfreshError, match="cannot go on"):
        await embedded.process(TextRequest("a", 1, "text"))


async def test_a_run_is_done_only_when_its_vectors_are_acknowledged(embedded: Embedded) -> None:
    def refuse(texts: list[str]) -> Any:
        raise MemoryError

    use(embedded, refuse)
    run, event = run_of(record(encode(TextRequest("a", 1, "text")), b"a"))
    with pytest.raises(MemoryError):
        await embedded.agent.process(run)
    assert event.acks == 0


def test_an_embed_worker_at_rest_looks_whether_kafka_takes_writes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "load_encoder", lambda _: FakeEncoder())
    app = Embed(Settings(_env_file=None, data_dir=tmp_path)).app
    tasks: list[Any] = list(app._app_tasks)
    assert "App.prove_writes" in {task.__qualname__ for task in tasks}


def test_an_embed_worker_is_ready_while_kafka_takes_writes(embedded: Embedded) -> None:
    app = SimpleNamespace(started=False, assigned=set, refuses_writes=lambda: "Kafka takes no writes")
    embedded.agent.app = app  # type: ignore[assignment]
    assert embedded.agent.not_ready() == "no partitions assigned"
    app.started = True
    assert embedded.agent.not_ready() == "no partitions assigned"
    app.assigned = lambda: {0}
    embedded.agent._ready.set()
    assert embedded.agent.not_ready() == "Kafka takes no writes"
    embedded.agent._ready.clear()
    app.refuses_writes = str
    assert embedded.agent.not_ready() == "encoders not loaded"
    embedded.agent._ready.set()
    assert embedded.agent.not_ready() == ""


def two_encoders(embedded: Embedded) -> FakeEncoder:
    """Let another encoder read texts, too."""
    other = FakeEncoder()
    readers = embedded.agent.readers
    readers._readers["8"] = Reader(Named("others", "8"), Gathering(other.encode, 2), {})
    return other


def versions(embedded: Embedded) -> set[tuple[str, str]]:
    values = [value for each in embedded.producer.values("afresh.embeddings").values() for value in each]
    return {
        (each.item, each.encoder_version) for each in (embedding_decoder.decode(v or b"") for v in values)
    }


async def test_a_text_is_read_by_the_encoders_that_it_is_for_and_otherwise_by_all(embedded: Embedded) -> None:
    two_encoders(embedded)
    await embedded.process(TextRequest("a", 1, "a"), TextRequest("b", 1, "b", ["8"]))
    assert versions(embedded) == {("a", "7"), ("a", "8"), ("b", "8")}


async def test_a_new_text_does_not_wait_for_an_encoder_that_is_not_loaded_yet(embedded: Embedded) -> None:
    assert await embedded.process(TextRequest("a", 1, "a", ["8", "7"]))
    assert versions(embedded) == {("a", "7")}
    ((value,),) = embedded.producer.values("afresh.texts.again").values()
    assert text_request_decoder.decode(value or b"") == TextRequest("a", 1, "a", ["8"])
    other = two_encoders(embedded)
    run, event = run_of(record(value, b"a"))
    await embedded.agent.process_again(run)
    assert (event.acks, other.batches) == (1, [["a"]])


async def test_the_encoder_of_the_settings_is_told_once_and_again_when_the_settings_name_another(
    embedded: Embedded,
) -> None:
    for own in (Named("lengths", "7"), Named("lengths", "7"), Named("lengths", "8")):
        embedded.agent.readers.own = own
        await embedded.agent.announce()
    values = [value for each in embedded.producer.values("afresh.encoders").values() for value in each]
    plans = [plan_decoder.decode(value or b"") for value in values]
    assert [[each.version for each in plan.wanted] for plan in plans] == [["7"], ["8", "7"]]
    assert embedded.agent.readers.plan == plans[-1]
