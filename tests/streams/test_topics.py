import pytest

from afresh.state.store.rocks import KEPT_MS
from afresh.streams.settings import Settings
from afresh.streams.topics import DAY_MS, DEAD_LETTER_BYTES, Topic, Topics


@pytest.fixture
def topics() -> Topics:
    settings = Settings(_env_file=None, namespace="test", partitions=3, replication=2, retention_days=1.5)
    return Topics(settings)


def test_topics_are_listed_in_the_order_of_an_event(topics: Topics) -> None:
    assert [topic.name for topic in topics.all()] == [
        "test.events",
        "test.events.dlq",
        "test.interactions",
        "test.examples",
        "test.judged",
        "test.items",
        "test.items.keyed",
        "test.texts",
        "test.texts.again",
        "test.embeddings",
        "test.encoders",
        "test.questions",
        "test.answers",
        "test.identities",
        "test.identities.keyed",
        "test.identities.suggested",
        "test.intake.changelog",
        "test.people.changelog",
        "test.received.changelog",
        "test.users.changelog",
        "test.behaviour.changelog",
        "test.content.changelog",
        "test.weights.changelog",
        "test.model",
        "test.model.lease",
    ]


def test_every_topic_has_the_partitions_and_replicas_of_the_settings(topics: Topics) -> None:
    """A table and its source topics must have the same number of partitions."""
    assert {(topic.partitions, topic.replication) for topic in topics.all()} == {(3, 2)}


def test_logs_have_a_retention_and_tables_are_compacted(topics: Topics) -> None:
    logs = [topics.events, topics.dead_letters, topics.interactions, topics.examples, topics.judged]
    logs += [topics.model_lease, topics.texts_again]
    for topic in topics.all():
        if topic in logs:
            assert topic.config["cleanup.policy"] == "delete"
            assert topic.config["retention.ms"] == str(int(1.5 * DAY_MS))
        elif topic not in (topics.questions, topics.answers):
            assert topic.config["cleanup.policy"] == "compact"


def test_what_people_say_is_gone_within_a_day_and_kafka_tells_how_old_it_is(topics: Topics) -> None:
    for topic in (topics.questions, topics.answers):
        assert topic.config["cleanup.policy"] == "delete"
        assert int(topic.config["retention.ms"]) == DAY_MS
        assert topic.config["message.timestamp.type"] == "LogAppendTime"
        assert int(topic.advised["segment.ms"]) < DAY_MS / 10


def test_changelogs_keep_tombstones_for_longer_than_rows_may_stay_on_disk_unread(topics: Topics) -> None:
    for topic in (topics.received, topics.users, topics.behaviour, topics.content):
        assert int(topic.config["delete.retention.ms"]) > KEPT_MS


def test_the_largest_record_that_kafka_takes_fits_the_dead_letters_with_its_headers(topics: Topics) -> None:
    assert topics.dead_letters.config["max.message.bytes"] == str(DEAD_LETTER_BYTES)
    assert DEAD_LETTER_BYTES > 2 * 1_048_588
    assert isinstance(topics.dead_letters, Topic)


def test_the_topics_that_only_we_write_are_all_but_events_and_the_inputs() -> None:
    topics = Topics(Settings(_env_file=None))
    left = [topic.name for topic in topics.all() if topic not in topics.ours()]
    assert left == ["afresh.events", "afresh.items", "afresh.identities"]


def test_a_link_whose_moves_were_sent_comes_once_more_after_a_stop_even_if_it_has_ended(
    topics: Topics,
) -> None:
    assert topics.identities_keyed.config["cleanup.policy"] == "compact"
    assert int(topics.identities_keyed.advised["min.compaction.lag.ms"]) >= 30 * DAY_MS
