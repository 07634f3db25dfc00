from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from afresh.models.encoder.base import Kind
from afresh.state.encoders import Named
from afresh.streams.kafka.sender import Outgoing, partition_of
from afresh.streams.messages import LONGEST_QUESTION, Answer, Question, TextVector, answer_decoder, encode
from afresh.streams.runs.run import KafkaRecord
from afresh.streams.settings import Settings
from afresh.streams.stages import answering as module
from afresh.streams.stages import readers as readers_module
from afresh.streams.stages.answering import LATE_MS, LONGEST_KEY, Answering
from afresh.streams.stages.readers import Readers
from afresh.streams.topics import Topic
from tests.streams.making import record, run_of

NOW_MS = 1_700_000_000_000


class PromptedEncoder:
    """An encoder whose vectors are the lengths of the texts, behind a number for their kind."""

    name = "lengths"

    def __init__(self, version: str = "7") -> None:
        self.version = version
        self.calls: list[tuple[list[str], Kind, bool]] = []

    def encode(self, texts: list[str], kind: Kind = "document", *, soon: bool = False) -> Any:
        self.calls.append((texts, kind, soon))
        vectors = np.array([[kind == "query", len(text)] for text in texts], np.float32)
        vectors[[text == "" for text in texts]] = 0
        vectors[[text == "poison" for text in texts]] = np.nan
        return vectors


class Asker:
    """Answers questions without a broker."""

    def __init__(self, readers: Readers, encoder: PromptedEncoder) -> None:
        self.readers, self.encoder = readers, encoder
        self.sent: list[dict[bytes, Answer]] = []
        self.partitions: dict[bytes, int] = {}
        topic = Topic("test.answers", 3, 1)
        self.answering = Answering(readers, topic, self.send, now=lambda: NOW_MS / 1000)

    async def send(self, outgoing: Outgoing) -> None:
        self.sent.append({})
        for (topic, partition), records in outgoing.batches.items():
            assert topic == "test.answers"
            for each in records:
                self.sent[-1][each.key or b""] = answer_decoder.decode(each.value or b"")
                self.partitions[each.key or b""] = partition

    async def ask(self, *questions: KafkaRecord) -> dict[bytes, Answer]:
        run, event = run_of(*questions)
        await self.answering.process(run)
        assert event.acks == 1
        return {key: answer for sent in self.sent for key, answer in sent.items()}


def asked(
    key: bytes, text: str = "text", kind: Kind = "query", encoders: Any = (), **more: Any
) -> KafkaRecord:
    return record(encode(Question(text, kind, list(encoders))), key, **more)


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("afresh_questions_total", {"outcome": outcome}) or 0.0


@pytest.fixture
def asker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asker:
    encoder = PromptedEncoder()
    monkeypatch.setattr(readers_module, "load_encoder", lambda _: encoder)
    return Asker(Readers(Settings(_env_file=None, data_dir=tmp_path)), encoder)


def vector(*numbers: float) -> bytes:
    return np.array(numbers, "<f2").tobytes()


async def test_a_question_is_answered_by_its_key_in_the_partition_of_that_key(asker: Asker) -> None:
    answers = await asker.ask(asked(b"k1", "four"), asked(b"k2", "fives", "document"))
    assert answers == {
        b"k1": Answer([TextVector("lengths", "7", vector(1, 4))]),
        b"k2": Answer([TextVector("lengths", "7", vector(0, 5))]),
    }
    assert asker.partitions == {key: partition_of(key, 3) for key in answers}


async def test_questions_that_come_together_are_encoded_in_one_call_for_each_kind_beside_other_texts(
    asker: Asker,
) -> None:
    await asker.ask(asked(b"1", "a"), asked(b"2", "b", "document"), asked(b"3", "c"))
    assert sorted(asker.encoder.calls) == [(["a", "c"], "query", True), (["b"], "document", True)]


async def test_a_question_is_read_by_the_encoders_that_it_is_for_and_otherwise_by_all(asker: Asker) -> None:
    other = PromptedEncoder("8")
    asker.readers._readers["8"] = asker.readers._reader(Named("others", "8"), other)  # type: ignore[arg-type]
    answers = await asker.ask(
        asked(b"all"), asked(b"one", encoders=["8"]), asked(b"none", encoders=["9", "7"])
    )
    assert {key: [each.encoder_version for each in answer.vectors] for key, answer in answers.items()} == {
        b"all": ["7", "8"],
        b"one": ["8"],
        b"none": ["7", "9"],
    }
    missing = answers[b"none"].vectors[1]
    assert (missing.encoder, missing.vector) == ("", b"")
    assert "has not loaded this version" in missing.reason


async def test_a_text_without_a_vector_is_answered_with_the_reason_and_stops_no_other(asker: Asker) -> None:
    answers = await asker.ask(asked(b"1", "poison"), asked(b"2", ""), asked(b"3", "fine"))
    told = {key: (each.vector, each.reason) for key, answer in answers.items() for each in answer.vectors}
    assert told == {
        b"1": (b"", "the encoder gives no finite vector of this text"),
        b"2": (b"", "the text has no tokens"),
        b"3": (vector(1, 4), ""),
    }


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "truncated"),
        (b"", "truncated"),
        (b'{"text": "json"}', "Expected `array`, got `int`"),
        (msgspec.msgpack.encode([5]), r"Expected `str`, got `int` - at `\$\[0\]`"),
        (msgspec.msgpack.encode(["text", "poem"]), "Invalid enum value 'poem'"),
        (msgspec.msgpack.encode(["x" * (LONGEST_QUESTION + 1)]), f"length <= {LONGEST_QUESTION}"),
        (msgspec.msgpack.encode(["text", "query", ["v"] * 9]), "length <= 8"),
        (b"\x91\xa2\xff\xfe", "utf-8"),
        (b"\x94\xa1x\xa5query\x90" + b"\x91" * 100_000, "maximum recursion depth"),
    ],
)
async def test_a_misshapen_question_is_answered_with_the_reason_and_stops_no_other(
    asker: Asker, value: bytes | None, reason: str
) -> None:
    before = counted("refused")
    answers = await asker.ask(record(value, b"odd", timestamp=NOW_MS), asked(b"fine"))
    assert answers[b"fine"].vectors
    assert answers[b"odd"].vectors == []
    with pytest.raises(ValueError, match=f"this is no question as afresh writes them: .*{reason}"):
        raise ValueError(answers[b"odd"].reason)
    assert counted("refused") == before + 1


async def test_the_reason_does_not_repeat_a_record_of_any_size(asker: Asker) -> None:
    value = msgspec.msgpack.encode(["text", "poem" * 100_000])
    answers = await asker.ask(record(value, b"large", timestamp=NOW_MS))
    assert len(encode(answers[b"large"])) < 400


@given(value=st.binary(max_size=40))
def test_any_bytes_are_a_question_or_an_answer_that_says_why_not(value: bytes) -> None:
    read = module._question(record(value))
    assert isinstance(read, Question) or read.reason


@pytest.mark.parametrize("key", [None, b"", b"k" * (LONGEST_KEY + 1)])
async def test_a_question_without_a_key_to_answer_to_is_dropped_and_counted(
    asker: Asker, key: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    before = counted("without a key")
    assert list(await asker.ask(record(encode(Question("text")), key), asked(b"fine"))) == [b"fine"]
    assert counted("without a key") == before + 1
    assert "1 records of test.events-0 are dropped: a question needs a key of 1 to 256 bytes" in caplog.text


async def test_a_question_that_nobody_waits_for_any_more_is_passed_over_and_counted(asker: Asker) -> None:
    before = counted("too old")
    late, due = NOW_MS - LATE_MS - 1, NOW_MS - LATE_MS
    assert list(await asker.ask(asked(b"late", timestamp=late), asked(b"due", timestamp=due))) == [b"due"]
    assert counted("too old") == before + 1
    await asker.ask(asked(b"late again", timestamp=late))
    assert len(asker.sent) == 1


async def test_the_first_of_many_questions_do_not_wait_for_the_last(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    await asker.ask(*(asked(b"%d" % number) for number in range(5)))
    assert [list(sent) for sent in asker.sent] == [[b"0", b"1"], [b"2", b"3"], [b"4"]]


async def test_questions_do_not_wait_for_the_texts_of_items_that_wait(asker: Asker) -> None:
    begun, go_on, encode = threading.Event(), threading.Event(), asker.encoder.encode

    def hold_back(texts: list[str]) -> Any:
        begun.set()
        assert go_on.wait(60)
        return encode(texts)

    reader = asker.readers["7"]
    reader.gathering._encode = hold_back
    items = asyncio.create_task(reader.gathering.vectors(["item"]))
    await asyncio.to_thread(begun.wait, 60)
    assert (await asker.ask(asked(b"k")))[b"k"].vectors
    assert not items.done()
    go_on.set()
    await items


async def test_the_time_of_an_answer_is_that_since_kafka_took_the_question(asker: Asker) -> None:
    def sum_of() -> float:
        return REGISTRY.get_sample_value("afresh_question_seconds_sum") or 0.0

    before = sum_of()
    await asker.ask(asked(b"1", timestamp=NOW_MS - 2_000), asked(b"2", timestamp=NOW_MS + 5_000))
    assert sum_of() == pytest.approx(before + 2.0)


def test_the_times_of_kafka_and_of_the_worker_are_both_since_1970() -> None:
    answering = Answering(SimpleNamespace(), Topic("test.answers", 1, 1), lambda _: None)  # type: ignore[arg-type, return-value]
    assert answering._due([record(b"", timestamp=0)]) == []
