import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest, FetchResponse_v4
from aiokafka.protocol.metadata import MetadataRequest

from afresh.streams import metrics
from afresh.streams.kafka import throttling as module
from afresh.streams.kafka.throttling import Noted, Throttling


def throttled(request: str) -> float:
    return float(metrics.THROTTLED_SECONDS.labels(request)._value.get())


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> Noted:
    made = Noted()
    monkeypatch.setattr(module, "NOTED", made)
    return made


async def answered(monkeypatch: pytest.MonkeyPatch, request: Any, response: Any, **login: str) -> Any:
    """Send a request through a client whose connection answers at once."""
    client = AIOKafkaClient(client_id="ours", **login)

    async def answer() -> Any:
        return response

    async def ready(*_: Any, **__: Any) -> bool:
        return True

    monkeypatch.setattr(client, "ready", ready)
    connection = SimpleNamespace(send=lambda *_, **__: answer())
    monkeypatch.setattr(client, "_conns", {(1, 0): connection})
    return await client.send(1, request)


async def test_every_client_notes_how_long_kafka_makes_it_wait(
    noted: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = throttled("Fetch")
    request, response = FetchRequest(0, 1, 1, 0, []), FetchResponse_v4(1500, [])
    login = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_plain_username": "ann",
        "sasl_plain_password": "secret",
    }
    assert await answered(monkeypatch, request, response) is response
    await answered(monkeypatch, request, response, **login)
    await answered(monkeypatch, request, FetchResponse_v4(0, []))
    assert throttled("Fetch") - before == 3.0
    assert noted.take() == {"client id ours": 1.5, "client id ours of user ann": 1.5}
    assert noted.take() == {}


async def test_answers_that_tell_no_time_are_passed_on(noted: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    response = SimpleNamespace(brokers=[])
    assert await answered(monkeypatch, MetadataRequest([]), response) is response
    assert noted.seconds == {}


class Recovering:
    """An app that recovers its tables, and then works off its lag."""

    def __init__(self, *remaining: int) -> None:
        self.should_stop = False
        self.left = list(remaining)
        self.tables = SimpleNamespace(
            actives_ready=False,
            recovery=SimpleNamespace(active_remaining_total=lambda: self.left.pop(0)),
        )


def reports(app: Recovering, noted: Noted, *seconds: float) -> list[bool]:
    lag: Any = SimpleNamespace(records=7)
    told: Any = Throttling(app, lag)  # type: ignore[arg-type]
    found = []
    for each in seconds:
        noted.note("client id ours", "Fetch", each)
        found.append(told.report(10.0))
    return found


def test_the_sentence_names_time_client_rest_and_progress(
    noted: Noted, caplog: pytest.LogCaptureFixture
) -> None:
    app = Recovering(900, 700, 700)
    assert reports(app, noted, 9.0, 8.0, 8.0) == [True, True, True]
    first, second, third = caplog.messages
    assert first == (
        "Kafka throttles this process (client id ours: 9 s, in the last 10 s), and 900 records remain to recover; ask "
        "for a higher quota (consumer_byte_rate, producer_byte_rate or request_percentage)"
    )
    assert "700 records remain to recover, 200 fewer than before;" in second
    assert "not one fewer than before: batches larger than what the quota allows in 10 s never come" in third
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_short_waits_are_not_worth_a_sentence(noted: Noted, caplog: pytest.LogCaptureFixture) -> None:
    assert reports(Recovering(9, 9), noted, 0.5, 0.4) == [False, False]
    assert caplog.messages == []


def test_once_tables_are_recovered_the_lag_remains(noted: Noted, caplog: pytest.LogCaptureFixture) -> None:
    app = Recovering(900)
    app.tables.actives_ready = True
    reports(app, noted, 5.0)
    assert "and 7 records remain to process;" in caplog.messages[0]


async def test_it_is_said_at_most_once_a_minute(noted: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    app, pauses = Recovering(3, 2, 1), []
    told: Any = Throttling(app, SimpleNamespace(records=0))  # type: ignore[arg-type]

    async def slept(seconds: float) -> None:
        pauses.append(seconds)
        noted.note("client id ours", "Fetch", 0.0 if len(pauses) == 1 else 5.0)
        app.should_stop = len(pauses) == 3

    monkeypatch.setattr(asyncio, "sleep", slept)
    await told.run()
    assert pauses == [10.0, 10.0, 60.0]
