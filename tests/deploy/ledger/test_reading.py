from __future__ import annotations

import pytest
from kafka import KafkaProducer

from afresh.deploy.clients import places
from afresh.deploy.ledger.reading import PARTITION_ROW, agent_state_of, decoded, kafka_logs, newest
from afresh.deploy.ledger.report import Report
from afresh.state.records import Example
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.admin import create_topics
from afresh.streams.kafka.sender import OutgoingRecord
from afresh.streams.messages import COMMAND_KEY, encode, example_decoder
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics
from tests.deploy.ledger.making import MemoryLogs
from tests.replay.memory import Log

EXAMPLES = Topics(Settings(_env_file=None)).examples
EXAMPLE = Example(0, 1, "i1", "films", 5, b"", b"", 0)


def log(*records: tuple[bytes | None, bytes | None]) -> Log:
    made = Log()
    for key, value in records:
        made.append(EXAMPLES.name, 0, OutgoingRecord(key, value))
    return made


def test_the_newest_row_of_each_key_stays_unless_it_was_deleted() -> None:
    records = log(
        (b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"b", None), (b"never there", None), (None, b"own")
    )
    assert newest(records.partitions[EXAMPLES.name, 0]) == {b"a": b"3", PARTITION_ROW: b"own"}


def test_without_a_partition_row_the_agent_state_is_empty() -> None:
    assert agent_state_of({b"a": b"1"}) == b""


def test_commands_and_records_without_a_value_are_left_out() -> None:
    made, report = log((b"i1", encode(EXAMPLE)), (COMMAND_KEY, b"?"), (b"i1", None)), Report()
    found = [each for _, each in decoded(MemoryLogs(made), EXAMPLES, 0, example_decoder.decode, report)]
    assert found == [EXAMPLE]
    assert report.differences == []


def test_an_unreadable_record_is_a_difference_and_the_others_are_read() -> None:
    made, report = log((b"i1", b"\xc1"), (b"i1", encode(EXAMPLE))), Report()
    found = [each for _, each in decoded(MemoryLogs(made), EXAMPLES, 0, example_decoder.decode, report)]
    assert found == [EXAMPLE]
    assert len(report.differences) == 1


@pytest.mark.parametrize("more", [0, 3])
def test_topics_are_read_up_to_where_they_ended_when_opened(settings: Settings, more: int) -> None:
    create_topics(settings)
    topic = Topics(settings).events
    producer = KafkaProducer(**kafka_options(settings), enable_idempotence=settings.idempotence)
    for number in range(5):
        producer.send(topic.name, f"{number}".encode(), b"web:ann", partition=1)
    producer.flush()
    with kafka_logs(settings) as logs:
        for _ in range(more):
            producer.send(topic.name, b"later", b"web:ann", partition=1)
        producer.flush()
        read = [[each.value for each in logs.records(topic, place.partition)] for place in places(topic)]
    producer.close()
    assert read == [[], [f"{number}".encode() for number in range(5)]]
