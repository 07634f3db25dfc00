import math
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from afresh.deploy.feeds import feed as module
from afresh.deploy.feeds.feed import Fed, FeedRecord, FeedSender, paced, sender
from afresh.state.errors import AfreshError
from afresh.streams.kafka.admin import create_topics
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic, Topics

TOPIC = Topic("events", 1, 1)
RECORD = FeedRecord(None, b"{}")


class Clock:
    """A clock that moves only when somebody sleeps or works."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


class Answer:
    """Kafka's answer to a record, as kafka-python returns it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def get(self) -> None:
        if self.error is not None:
            raise self.error


class Producer:
    """A producer whose answers the test sets."""

    def __init__(self, answer: Callable[[int], Answer]) -> None:
        self.sent = 0
        self.answer = answer

    def send(self, topic: str, value: bytes, key: bytes | None) -> Answer:
        self.sent += 1
        return self.answer(self.sent)

    def flush(self) -> None:
        pass


def times(speed: float | None, work: list[float]) -> list[float]:
    """Return the time at which each record passes; ``work`` is the seconds that handling each record takes."""
    clock = Clock()
    passed = []
    for _, seconds in zip(paced([RECORD] * len(work), speed, clock, clock.sleep), work, strict=True):
        passed.append(clock.now - 100.0)
        clock.now += seconds
    return passed


def test_records_pass_at_the_given_speed() -> None:
    assert times(50.0, [0.001] * 5) == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08])


def test_without_a_speed_records_pass_at_once() -> None:
    assert times(None, [0.0] * 3) == [0.0, 0.0, 0.0]


def test_a_late_record_does_not_delay_the_next_ones() -> None:
    assert times(10.0, [0.25, 0.0, 0.0, 0.0]) == pytest.approx([0.0, 0.25, 0.25, 0.3])


def test_after_a_long_pause_at_most_one_second_is_caught_up() -> None:
    passed = times(10.0, [3_600.0] + [0.0] * 30)
    burst = [moment for moment in passed[1:] if moment == pytest.approx(3_600.0)]
    assert len(burst) <= 11


@given(st.floats(0.5, 1_000.0), st.lists(st.floats(0.0, 3.0), min_size=1, max_size=20))
def test_no_record_passes_before_its_turn(speed: float, work: list[float]) -> None:
    passed = times(speed, work)
    assert all(moment >= number / speed - 1e-6 for number, moment in enumerate(passed))


class Stepping(Clock):
    """A clock that moves on at each reading, as a real one does."""

    def __call__(self) -> float:
        self.now += 1e-4
        return self.now


@given(st.floats(0.0, exclude_min=True))
def test_no_speed_makes_a_sleep_that_the_system_refuses(speed: float) -> None:
    clock = Stepping()

    class EnoughError(Exception):
        """The test does not wait for centuries."""

    def sleep(seconds: float) -> None:
        assert 0 < seconds < threading.TIMEOUT_MAX
        clock.sleep(seconds)
        if clock.now > 1_000_000:
            raise EnoughError

    with suppress(EnoughError):
        assert len(list(paced([RECORD] * 300, speed, clock, sleep))) == 300


def test_an_infinite_speed_is_no_limit() -> None:
    assert times(math.inf, [0.0] * 3) == [0.0, 0.0, 0.0]


def test_a_speed_beyond_what_the_clock_can_tell_is_fed_to_the_end() -> None:
    assert len(list(paced([RECORD] * 2000, 1_000_000.0))) == 2000


def test_only_records_that_kafka_acknowledged_are_counted() -> None:
    fed = Fed()
    out = FeedSender(Producer(lambda _: Answer()), TOPIC, fed)
    for _ in range(3):
        out.send(RECORD)
    assert fed.sent == 0
    out.wait_for_answers()
    assert fed.sent == 3


def test_a_refused_record_ends_the_feed_with_the_number_of_records_sent() -> None:
    fed = Fed()
    broken = Producer(lambda count: Answer(KafkaTimeoutError("gone") if count == 3 else None))
    out = FeedSender(broken, TOPIC, fed)
    for _ in range(5):
        out.send(RECORD)
    with pytest.raises(AfreshError, match=r"stopped accepting records of events after 2 .*gone"):
        out.wait_for_answers()


def test_a_record_too_large_for_the_broker_is_counted_and_the_others_are_sent() -> None:
    fed = Fed()
    out = FeedSender(Producer(lambda n: Answer(MessageSizeTooLargeError() if n == 1 else None)), TOPIC, fed)
    for _ in range(3):
        out.send(RECORD)
    out.wait_for_answers()
    assert (fed.sent, fed.too_large) == (2, 1)


def test_the_number_of_unanswered_records_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_FLIGHT", 10)
    fed = Fed()
    out = FeedSender(Producer(lambda _: Answer()), TOPIC, fed)
    for _ in range(25):
        out.send(RECORD)
    assert fed.sent == 15


@pytest.mark.parametrize("broker", ["settings", "embedded_settings"])
def test_a_record_too_large_to_send_is_counted_and_the_others_are_sent(
    broker: str, request: pytest.FixtureRequest
) -> None:
    settings: Settings = request.getfixturevalue(broker)
    create_topics(settings)
    fed = Fed()
    with sender(settings, Topics(settings).events, fed) as out:
        for value in (b"small", b"x" * 2_000_000, b"small"):
            out.send(FeedRecord(b"key", value))
        out.wait_for_answers()
    assert (fed.sent, fed.too_large) == (2, 1)


def test_a_missing_topic_is_named_before_anything_is_sent(settings: Settings) -> None:
    with (
        pytest.raises(AfreshError, match=r"is missing.*afresh topics create"),
        sender(settings, Topics(settings).events, Fed()),
    ):
        pass


@pytest.mark.parametrize("idempotence", [True, False])
def test_no_producer_may_change_the_order_of_records(
    idempotence: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {}

    class Recorded:
        def __init__(self, **options: Any) -> None:
            asked.update(options)

        def close(self, timeout: float) -> None:
            pass

    monkeypatch.setattr(module, "require_topics", lambda settings, topics, rights: None)
    monkeypatch.setattr(module, "KafkaProducer", Recorded)
    with sender(Settings(_env_file=None, idempotence=idempotence), TOPIC, Fed()):
        pass
    assert asked["enable_idempotence"] is idempotence
    assert idempotence or asked["max_in_flight_requests_per_connection"] == 1
    assert asked["acks"] == "all"
