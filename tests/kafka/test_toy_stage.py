"""A stage with a table that is not ours, in a real worker on a genuine Kafka."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from afresh.state.store.marks import OWN_KEYS
from afresh.streams.connections import kafka_options
from afresh.streams.settings import Settings
from tests.kafka.deployment import Deployment, deployment, recovered, wait
from tests.streams.stages.toy import ToyTopics

BROKEN = 5


def counted(made: Deployment) -> Callable[[], Counter[bytes]]:
    """Dead letters by reason, as the newest rows of the toy's changelog say."""

    def look() -> Counter[bytes]:
        newest = {
            (each.partition, each.key): int(each.value)
            for each in made.records(ToyTopics(made.settings).tallies)
            if each.key not in OWN_KEYS and each.value
        }
        total = Counter[bytes]()
        for (_, reason), count in newest.items():
            total[reason] += count
        return total

    return look


@pytest.mark.timeout(300)
def test_a_worker_counts_with_a_toy_stage_and_goes_on_from_its_changelog_after_a_restart(
    settings: Settings, tmp_path: Path
) -> None:
    with deployment(settings, tmp_path) as made:
        topic = ToyTopics(settings).tallies
        admin = KafkaAdminClient(**kafka_options(settings))
        admin.create_topics(
            [NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=topic.config)]
        )
        admin.close()
        look = counted(made)
        for turn in (1, 2):
            with made.running(made.changed_worker("toy_worker")) as page:
                if turn == 2:
                    assert recovered(page) > 0
                for number in range(BROKEN):
                    made.send(made.topics.events, f"web:u{number}", b"{broken")
                due = {b"malformed": turn * BROKEN}
                wait(lambda due=due: look() == due, f"{due} dead letters to be counted")  # type: ignore[misc]
