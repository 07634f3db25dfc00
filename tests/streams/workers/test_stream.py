import asyncio
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from faust.types import TP

from afresh.deploy.servers import Server
from afresh.deploy.servers.kafka import REPOSITORY
from afresh.models import scorers
from afresh.models.fusion.weights import Weights
from afresh.state.errors import AfreshError, StartAgainError
from afresh.state.model.told import Numbered, Whole
from afresh.state.rows import weights
from afresh.state.store.changes import partition_row
from afresh.streams.runs.run import RunDroppedError
from afresh.streams.settings import Settings
from afresh.streams.workers import stream as module
from afresh.streams.workers.stream import Worker, run

NOBODY = "redis://127.0.0.1:1/0"


def settings_for(folder: Path, **fields: Any) -> Settings:
    values: dict[str, Any] = {"redis": NOBODY, "data_dir": folder, "start_timeout_seconds": 0.3}
    return Settings(_env_file=None, **(values | fields))


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(settings_for(tmp_path, partitions=2, namespace="test"))


def test_every_agent_reads_its_topic_and_every_table_is_recovered(worker: Worker) -> None:
    read = {agent.name.rpartition(".")[2]: list(agent.channel.topics) for agent in worker.app.agents.values()}
    assert read == {
        "intake": ["test.items", "test.identities"],
        "link": ["test.identities.keyed"],
        "ingest": ["test.events"],
        "profile": ["test.interactions"],
        "weigh": ["test.judged"],
        "learn": ["test.examples"],
        "content": ["test.items.keyed", "test.embeddings"],
    }
    assert {name: worker.app.tables[name] for name in worker.tables} == worker.tables
    assert {agent.concurrency for agent in worker.app.agents.values()} == {1}


def test_a_worker_needs_neither_torch_nor_transformers(tmp_path: Path) -> None:
    code = """
import sys
from afresh.streams.messages import KeyedRecord, encode, keyed_key
from afresh.streams.runs.run import RunDroppedError
from afresh.streams.settings import Settings
from afresh.streams.workers.stream import Worker
Worker(Settings(_env_file=None))
print({"torch", "transformers", "huggingface_hub"} & set(sys.modules))
"""
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY / ".src")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=variables, capture_output=True, check=True
    )
    assert done.stdout == b"set()\n"


async def test_a_followed_topic_that_was_made_again_ends_the_worker(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def follow() -> None:
        raise StartAgainError("start it again")

    monkeypatch.setattr(worker.follower, "run", follow)
    with pytest.raises(StartAgainError):
        await worker.follow()


def test_a_worker_watches_all_topics_and_knows_their_incarnations_in_every_stage(worker: Worker) -> None:
    assert worker.app.positions is not None
    assert worker.app.positions._watch._topics == worker.topics.all()
    worker.app.incarnations.learn({"test.users.changelog": 7})
    change = worker.tables["users"].change(0)
    change.apply(-1)
    row = partition_row(worker.tables["users"].rows[0])
    assert row is not None
    assert row.changelog == 7


def test_a_worker_says_what_is_not_ready_yet(worker: Worker) -> None:
    app: Any = SimpleNamespace(
        started=False,
        assigned=set,
        rebalancing=True,
        tables=SimpleNamespace(actives_ready=False),
        refuses_writes=lambda: "Kafka takes no writes",
    )
    worker.app = app
    assert worker.not_ready() == "no partitions assigned"
    app.started = True
    assert worker.not_ready() == "no partitions assigned"
    app.assigned = lambda: {TP("test.events", 0)}
    assert worker.not_ready() == "tables not recovered"
    app.rebalancing = False
    assert worker.not_ready() == "tables not recovered"
    app.tables.actives_ready, app.rebalancing = True, True
    assert worker.not_ready() == "tables not recovered"
    app.rebalancing = False
    assert worker.not_ready() == "catalogue not read"
    worker.follower.caught_up.set()
    assert worker.not_ready().startswith("no model: nobody has made one yet; start `afresh model-worker`")
    worker.catalogue.take(Numbered(1, 0, b""))
    worker.catalogue.take(Whole(1, 0, 0, b""))
    assert worker.not_ready() == "Kafka takes no writes"
    app.refuses_writes = str
    assert worker.not_ready() == "Redis has not answered yet"


async def test_partitions_are_prepared_without_a_record_and_again_after_a_rebalance(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[tuple[int, int]] = []
    worker.app = SimpleNamespace(consumer_generation_id=4)  # type: ignore[assignment]
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(worker, "_partitions_of_users", lambda: {0, 1})

    class Stage:
        async def settle(self, owned: Any) -> None:
            settled.append((owned.partition, owned.generation))
            if len(settled) == 3:
                raise asyncio.CancelledError
            if owned.partition == 0:
                raise RunDroppedError

    worker._prepared_stages = [Stage()]  # type: ignore[list-item]
    with pytest.raises(asyncio.CancelledError):
        await worker.settle()
    assert settled == [(0, 4), (1, 4), (0, 4)]


async def test_after_a_rebalance_no_lists_are_made_for_users_of_partitions_that_left(worker: Worker) -> None:
    for partition in (0, 1):
        worker.recommender.request(partition, {f"u{partition}": 5})
    worker.app = SimpleNamespace(  # type: ignore[assignment]
        assigned=lambda: {TP("test.interactions", 1)}
    )
    await worker._on_assigned()
    assert [each.user for each in worker.recommender.requests.take_users(5)] == ["u1"]


def test_the_worker_follows_the_weights(worker: Worker) -> None:
    row = weights.pack(Weights(scorers.prior(), 7), 0)
    worker.follower._topics["test.weights.changelog"]({weights.WEIGHTS_KEY: row})
    assert worker.recommender.weights.now.version == 7


async def test_a_worker_is_ready_once_redis_has_taken_a_write(
    redis_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url, expected in ((redis_server.address, ""), (NOBODY, "Redis takes no lists: Error")):
        worker = Worker(settings_for(tmp_path, redis=url, namespace=f"test-{uuid4().hex[:12]}"))
        worker.app = SimpleNamespace(started=True, assigned=lambda: {0}, refuses_writes=str)  # type: ignore[assignment]
        monkeypatch.setattr(worker, "_tables_not_ready", lambda: False)
        worker.follower.caught_up.set()
        for message in (Numbered(1, 0, b""), Whole(1, 0, 0, b"")):
            worker.catalogue.take(message)
        await worker.probe.ask()
        assert worker.not_ready().startswith(expected)
        assert bool(worker.not_ready()) == bool(expected)
        await worker.redis.aclose()


def test_a_worker_without_a_broker_ends_after_the_timeout(tmp_path: Path) -> None:
    with pytest.raises(AfreshError, match=r"Kafka at 127\.0\.0\.1:1 did not answer"):
        run(settings_for(tmp_path, kafka="127.0.0.1:1"))


def test_a_worker_checks_kafka_the_topics_and_redis_before_it_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []
    for name in ("require_topics", "wait_for_redis", "require_room", "claim_expiry"):
        monkeypatch.setattr(module, name, lambda *_, name=name, **__: asked.append(name))
    monkeypatch.setattr(module, "execute", lambda *_: asked.append("execute"))
    run(settings_for(tmp_path))
    assert asked == ["require_topics", "wait_for_redis", "require_room", "claim_expiry", "execute"]
