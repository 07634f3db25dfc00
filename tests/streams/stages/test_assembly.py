"""STAGES decides what runs; a new stage needs only its file, its topic and its entry."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.streams.kafka.app import create_app
from afresh.streams.kafka.positions import Read
from afresh.streams.settings import Settings
from afresh.streams.stages import STAGES
from afresh.streams.stages.assembly import reads_of
from afresh.streams.topics import Topics
from afresh.streams.workers.stream import Worker
from tests.replay.memory import CrashError, Pipeline
from tests.streams.stages.toy import TOY, Tally, ToyTopics


@pytest.fixture
def plain(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, partitions=2, data_dir=tmp_path, list_size=5, namespace="test")


def test_every_stage_names_existing_topics_and_no_table_has_two_writers(plain: Settings) -> None:
    topics = Topics(plain)
    tables = [row.table for row in STAGES]
    assert len(set(tables)) == len(tables)
    sources = [source for row in STAGES for source in row.sources]
    assert len(set(sources)) == len(sources)
    named = {topics.named(name).name for name in [*tables, *sources]}
    assert named <= {topic.name for topic in topics.all()}
    assert {f"test.{table}.changelog" for table in tables} <= named


def test_only_a_stage_whose_sources_keep_everything_makes_its_rows_anew(plain: Settings) -> None:
    """The others would begin in the middle: retention has removed what their rows were made from."""
    worker = Worker(plain)
    reads = reads_of(worker.topics, STAGES, worker.tables)
    assert reads["test.events"] == Read(worker.tables["received"], rebuilt=False)
    for name, read in reads.items():
        topic = next(each for each in worker.topics.all() if each.name == name)
        assert not read.rebuilt or topic.config["cleanup.policy"] == "compact"


def tallied(pipeline: Pipeline) -> dict[bytes, int]:
    total = Counter[bytes]()
    for rows in pipeline.rows()["tallies"].values():
        total.update({key: int(row) for key, row in rows.items() if key != PARTITION_ROW_KEY})
    return total


def due(pipeline: Pipeline) -> dict[bytes, int]:
    return Counter(dict(letter.headers)["reason"] for letter in pipeline.letters())


async def test_a_toy_stage_counts_every_dead_letter_once_across_crashes_and_recovers(
    plain: Settings,
) -> None:
    crashes = iter([False, True] * 4)
    pipeline = Pipeline(plain, rows_of_stages=(*STAGES, TOY), own_topics=ToyTopics(plain))
    for number in range(90):
        pipeline.feed(pipeline.topics.events.name, f"web:u{number}", b"{broken" if number % 3 else None)
    pipeline.crash = lambda step: step.startswith("tally: ") and next(crashes, False)
    while True:
        again = Pipeline(
            plain,
            pipeline.log,
            pipeline.committed,
            pipeline.crash,
            rows_of_stages=(*STAGES, TOY),
            own_topics=ToyTopics(plain),
        )
        try:
            await again.drain(lambda: 7)
        except CrashError:
            continue
        break
    assert next(crashes, None) is None
    assert tallied(again) == due(again) == {b"malformed": 90}


def test_a_worker_runs_a_toy_stage_beside_all_others_and_recovers_its_table(plain: Settings) -> None:
    worker = Worker(plain, stages=(*STAGES, TOY), topics=ToyTopics(plain))
    read = {agent.name.rpartition(".")[2]: list(agent.channel.topics) for agent in worker.app.agents.values()}
    assert read.keys() == {row.name for row in STAGES} | {"tally"}
    assert read["tally"] == ["test.events.dlq"]
    assert worker.app.tables["tallies"].changelog_topic.get_topic_name() == "test.tallies.changelog"
    assert worker.runners.keys() == read.keys()
    assert "test.tallies.changelog" in {topic.name for topic in worker.topics.all()}


def test_an_app_without_the_toy_stage_does_not_know_it(plain: Settings) -> None:
    assert "tallies" not in create_app(plain, "other").tables
    assert not hasattr(Topics(plain), "tallies")
    assert Tally not in {row.agent for row in STAGES}
