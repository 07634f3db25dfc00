from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from afresh.state.errors import AfreshError, UnavailableError
from afresh.streams import questions as module
from afresh.streams.kafka.rights import NotAllowedError
from afresh.streams.kafka.sender import Outgoing
from afresh.streams.messages import LONGEST_QUESTION, Answer, Question, TextVector, encode, question_decoder
from afresh.streams.questions import Questions
from afresh.streams.settings import Settings
from tests.streams.making import let_others_run, record

VECTOR = TextVector("lengths", "7", np.array([1.0], "<f2").tobytes())
SETTINGS = Settings(_env_file=None, partitions=3)


class FakeKafkaClient:
    """A consumer or a producer; embed workers answer what is sent with it, if there are any."""

    def __init__(self, answer: Callable[[Question], Any] | None) -> None:
        self.answer = answer
        self.polls: asyncio.Queue[Any] = asyncio.Queue()
        self.asked: list[Question] = []
        self.running = 0
        self.sought: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        self.running += 1

    async def stop(self) -> None:
        self.running -= 1

    def assign(self, places: Any) -> None:
        assert [place.topic for place in places] == ["afresh.answers"] * 3

    async def end_offsets(self, places: Any) -> dict[TopicPartition, int]:
        return {place: 5 + place.partition for place in places}

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.sought[place] = offset

    async def getmany(self, timeout_ms: int) -> dict[Any, list[Any]]:
        poll = await self.polls.get()
        if isinstance(poll, Exception):
            raise poll
        return {TopicPartition("afresh.answers", 0): poll}

    async def send(self, outgoing: Outgoing) -> None:
        """Take questions, as a sender does."""
        for records in outgoing.batches.values():
            for each in records:
                self.asked.append(question_decoder.decode(each.value or b""))
                if self.answer is not None:
                    answer = self.answer(self.asked[-1])
                    self.polls.put_nowait([record(b"of another", b"other"), record(answer, each.key)])


def client(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[Question], bytes | None] | None
) -> FakeKafkaClient:
    made = FakeKafkaClient(answer)
    for name in ("AIOKafkaConsumer", "AIOKafkaProducer", "Sender"):
        monkeypatch.setattr(module, name, lambda *_, **__: made)
    monkeypatch.setattr(module, "poll_long", lambda *_: None)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    return made


async def test_an_answer_comes_back_by_its_key_with_the_vectors_by_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kafka = client(monkeypatch, lambda _: encode(Answer([VECTOR])))
    async with Questions.open(SETTINGS) as questions:
        assert kafka.sought == {TopicPartition("afresh.answers", n): 5 + n for n in range(3)}
        assert await questions.vectors("a film", "document", ["7"]) == {"7": VECTOR}
        assert questions._waiting == {}
    assert kafka.asked == [Question("a film", "document", ["7"])]
    assert kafka.running == 0


async def test_many_may_ask_at_the_same_time_and_each_gets_its_own_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client(monkeypatch, lambda asked: encode(Answer([TextVector("", asked.text, b"v")])))
    async with Questions.open(SETTINGS) as questions:
        found = await asyncio.gather(*(questions.vectors(f"text {n}") for n in range(20)))
    assert [list(each) for each in found] == [[f"text {n}"] for n in range(20)]


async def test_who_gets_no_answer_in_time_is_told_what_to_look_for(monkeypatch: pytest.MonkeyPatch) -> None:
    client(monkeypatch, None)
    async with Questions.open(SETTINGS) as questions:
        with pytest.raises(UnavailableError, match=r"no embed worker answered within 0\.01 s; look whether"):
            await questions.vectors("text", seconds=0.01)
        assert questions._waiting == {}


async def test_a_question_that_is_refused_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    client(monkeypatch, lambda _: encode(Answer([], "it is none")))
    async with Questions.open(SETTINGS) as questions:
        with pytest.raises(AfreshError, match="the embed worker refuses the question: it is none"):
            await questions.vectors("text")


@pytest.mark.parametrize("value", [b"{}", None])
async def test_an_answer_of_somebody_else_is_an_error_and_nothing_else_suffers(
    monkeypatch: pytest.MonkeyPatch, value: bytes | None
) -> None:
    client(monkeypatch, lambda asked: value if asked.text == "odd" else encode(Answer([VECTOR])))
    async with Questions.open(SETTINGS) as questions:
        with pytest.raises(AfreshError, match="is none of afresh's"):
            await questions.vectors("odd")
        assert await questions.vectors("fine") == {"7": VECTOR}


async def test_a_text_that_is_too_long_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = client(monkeypatch, None)
    async with Questions.open(SETTINGS) as questions:
        with pytest.raises(AfreshError, match=r"a text of 16,385 characters is too long for a question"):
            await questions.vectors("x" * (LONGEST_QUESTION + 1))
    assert kafka.asked == []


async def test_a_text_with_half_a_character_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = client(monkeypatch, lambda _: encode(Answer([VECTOR])))
    async with Questions.open(SETTINGS) as questions:
        assert await questions.vectors("\ud83d film")
    assert kafka.asked[0].text == "? film"


async def test_while_kafka_is_away_one_waits_and_a_right_that_it_refuses_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kafka = client(monkeypatch, None)
    async with Questions.open(SETTINGS) as questions:
        asking = asyncio.create_task(questions.vectors("text"))
        kafka.polls.put_nowait(KafkaConnectionError())
        await let_others_run()
        assert not asking.done()
        assert "Kafka does not serve the answers of embed workers" in caplog.text
        kafka.polls.put_nowait(TopicAuthorizationFailedError("afresh.answers"))
        with pytest.raises(NotAllowedError):
            await asking
