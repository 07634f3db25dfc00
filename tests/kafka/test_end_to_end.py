"""The whole path on real servers, from the event of a producer to the list that an application reads."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from afresh.deploy.servers import Server
from afresh.deploy.servers.process import ServerProcess
from afresh.state.rows import users
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.streams.settings import Settings
from tests.conftest import settings_for
from tests.kafka.deployment import Deployment, accepted, deployment, learned, wait

TASTES = {"crime": ["c1", "c2", "c3", "c4"], "love": ["l1", "l2", "l3", "l4"]}


@pytest.fixture
def genuine(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(settings, tmp_path) as made:
        yield made


@pytest.fixture
def embedded(embedded_settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(embedded_settings, tmp_path) as made:
        yield made


def play(made: Deployment) -> None:
    """Send a catalogue, and events of users with two tastes."""
    for taste, films in TASTES.items():
        for film in films:
            made.item(film, text=f"a film of {taste}")
    for number in range(12):
        films = TASTES["crime" if number % 2 else "love"]
        for item in films[: 3 + number % 3 // 2]:
            last = made.event(f"u{number}", item)
        made.answer(f"u{number}", last)


def whole_path(made: Deployment) -> None:
    with made.running(made.process()) as page:
        play(made)
        wait(lambda: learned(page.read()) >= 40, "the examples to be learned")

        made.event("ann", "c1")
        answer = made.answer("ann", made.event("ann", "c2"))
        listed = [each.id for each in answer.items]
        assert set(listed[:2]) == {"c3", "c4"}, "a user who likes crime sees crime"
        assert not {"c1", "c2"} & set(listed), "items that she has taken are left out"
        assert answer.revision == 2
        assert answer.items[0].score == pytest.approx(sum(answer.items[0].parts.values()))

        same = made.event("ann", "l4", id="twice")
        made.answer("ann", same)
        made.event("ann", "l4", id="twice")
        made.send(made.topics.events, "web:ann", b'{"id": "broken"')
        after = made.answer("ann", made.event("ann", "c3"))
        assert after.revision == 4, "an event sent twice counts once"

        made.send(made.topics.items, "c4", None)
        made.item("c5", text="a film of crime")
        made.event("bob", "c5")
        made.event("bob", "c1")
        wait(
            lambda: "c5" in {each.id for each in (made.popular() or answer).items}, "the new item to be known"
        )
        last = made.answer("ann", made.event("ann", "l3"))
        listed = [each.id for each in last.items]
        assert "c4" not in listed, "a deleted item is left out"
        assert "c5" in listed, "a new item is recommended"

        (letter,) = made.records(made.topics.dead_letters)
        headers = dict(letter.headers)
        assert (headers["reason"], headers["topic"]) == (b"malformed", made.topics.events.name.encode())
        assert letter.value == b'{"id": "broken"'
        readings = page.read()
        assert readings.total("afresh_dead_letters_total") == 1
        assert readings.total("afresh_events_total", outcome="duplicate") == 1
        assert readings.total("afresh_rows", table="users") == 14


def test_the_whole_path_on_the_genuine_kafka(genuine: Deployment) -> None:
    whole_path(genuine)


def test_the_whole_path_on_the_embedded_broker(embedded: Deployment) -> None:
    whole_path(embedded)


def revisions(made: Deployment) -> dict[str, int]:
    """Read from the changelog how many events each user's row has counted."""
    newest = {record.key: record.value for record in made.records(made.topics.users)}
    return {
        key.decode(): users.unpack(row).revision
        for key, row in newest.items()
        if key != PARTITION_ROW_KEY and row
    }


def test_a_worker_that_is_killed_and_restarted_counts_every_event_once(genuine: Deployment) -> None:
    process = genuine.process()
    sent = dict.fromkeys((f"web:u{number}" for number in range(5)), 0)
    with genuine.running(process):
        genuine.item("c1")
        for number in range(200):
            user = f"u{number % 5}"
            genuine.event(user, f"i{number % 17}")
            sent[f"web:{user}"] += 1
            if number in (60, 130):
                process.kill()
                process.start()
                genuine.ready(process)
        wait(lambda: sum(revisions(genuine).values()) >= 200, "all events to be counted")
        assert revisions(genuine) == sent


def test_two_workers_share_the_partitions_and_one_takes_over_when_the_other_is_killed(
    genuine: Deployment,
) -> None:
    first, second = genuine.process(), genuine.process()
    with genuine.running(first) as page, genuine.running(second) as other:
        wait(lambda: page.ready() and other.ready(), "both workers to be ready")
        for user in ("ann", "bob", "cid", "dan", "eve", "fay"):
            genuine.answer(user, genuine.event(user, "c1"))
        rows = [each.read().total("afresh_rows", table="users") for each in (page, other)]
        wait(
            lambda: sum(each.read().total("afresh_rows", table="users") for each in (page, other)) == 6,
            f"six users in all, not {rows}",
        )
        second.kill()
        for user in ("ann", "bob", "cid", "dan", "eve", "fay"):
            assert genuine.answer(user, genuine.event(user, "c2")).revision == 2
        wait(lambda: page.read().total("afresh_rows", table="users") == 6, "the gauge to show all six users")


def test_a_worker_that_gets_sigterm_under_load_ends_with_status_0(genuine: Deployment) -> None:
    process = genuine.process()
    with genuine.running(process) as page:
        for number in range(3000):
            value = msgspec.json.encode(genuine.next_event(f"u{number % 300}", f"i{number % 97}"))
            genuine.producer.send(genuine.topics.events.name, value, b"web:u%d" % (number % 300))
        genuine.producer.flush()
        wait(lambda: accepted(page) > 0, "the worker to be at work")
        running = process._process
        assert running is not None
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0


def test_lists_come_back_after_redis_was_killed_and_restarted_empty(
    kafka: Server, tmp_path: Path, own_redis: Server
) -> None:
    with (
        deployment(settings_for(kafka, own_redis, tmp_path), tmp_path) as made,
        made.running(made.process()) as page,
    ):
        made.answer("ann", made.event("ann", "c1"))
        own_redis.kill()
        event = made.event("ann", "c2")
        wait(lambda: page.read().total("afresh_redis_retries_total") > 0, "the worker to notice")
        own_redis.start()
        assert made.answer("ann", event).revision == 2


def test_texts_are_embedded_and_a_new_item_is_recommended_by_its_text(
    settings: Settings, tmp_path: Path
) -> None:
    with (
        deployment(settings.model_copy(update={"encoder": "minilm"}), tmp_path) as made,
        made.running(worker := made.process()) as page,
        made.running(embed_worker := made.process("embed-worker")),
    ):
        made.item("space", title="Star Trek", text="science fiction space ship adventure")
        made.item("aliens", title="Alien", text="science fiction horror on a space ship")
        made.item("ballet", title="Swan Lake", text="classical ballet dance on stage")
        made.item("silent", title="")
        wait(lambda: page.read().total("afresh_catalogue_items") == 4, "four items")
        wait(lambda: page.read().total("afresh_catalogue_embedded_items") == 3, "three embeddings")
        answer = made.answer("ann", made.event("ann", "space"))
        parts = {each.id: each.parts for each in answer.items}
        assert set(parts) == {"aliens", "ballet", "silent"}
        text = {record.key: record.value for record in made.records(made.topics.texts)}
        assert set(text) == {b"space", b"aliens", b"ballet"}
        assert "libtorch" in libraries(embed_worker)
        assert "libtorch" not in libraries(worker)


def libraries(process: ServerProcess) -> str:
    """Return the memory map of a process, which names the libraries that it has loaded."""
    return Path(f"/proc/{process.pid}/maps").read_text()
