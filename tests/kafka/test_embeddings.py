"""On the genuine Kafka: lists change over to another encoder and back, under load, whoever is killed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import msgspec
import pytest

from afresh.deploy.demo.workers import environment
from afresh.deploy.embeddings import look, refresh, use
from afresh.deploy.embeddings.collect import Embedded
from afresh.deploy.ledger import audit
from afresh.state.model import told
from afresh.state.rows import content
from afresh.state.store.marks import OWN_KEYS
from afresh.streams.messages import embedding_decoder
from afresh.streams.settings import Settings
from tests.kafka.deployment import Deployment, deployment, wait
from tests.models.encoder.making import WORDS, bert

ITEMS = 200


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    chosen = {"encoder": str(bert(tmp_path / "old")), "encoder_check_seconds": 5.0, "encoder_threads": 1}
    with deployment(settings.model_copy(update=chosen | {"session_timeout_seconds": 6.0}), tmp_path) as each:
        for number in range(ITEMS):
            item = {"id": f"i{number}", "domain": "films", "title": title(number)}
            each.producer.send(each.topics.items.name, msgspec.json.encode(item), item["id"].encode())
        each.producer.flush()
        yield each


def title(number: int) -> str:
    """Return a text that no other item has."""
    return f"{WORDS[number % 9]} {' '.join(WORDS[int(digit)] for digit in str(number))}"


def used(made: Deployment) -> str:
    """Return the version of the encoder that the newest version of the model names."""
    whole = [record.value for record in made.records(made.topics.model) if record.key == b"whole"]
    return told.decoder.decode(whole[-1]).encoder if whole else ""


def settled(made: Deployment, version: str) -> Embedded | None:
    """Return who has read what, once lists are made from a version that has read all."""
    found = look(made.settings)
    read = {named.version: number for named, number in found.read.items()}
    return found if found.used == version and read.get(version) == found.items else None


def rows_of(made: Deployment) -> dict[str, content.ContentRow]:
    """Return the newest content rows, by item."""
    newest = {each.key: each.value for each in made.records(made.topics.content) if each.key not in OWN_KEYS}
    return {key.decode(): content.unpack(value) for key, value in newest.items()}


def written_twice(made: Deployment) -> list[str]:
    """Return the items whose rows got another vector of an encoder for a text than the one that they had."""
    first: dict[tuple[str, str, int], bytes] = {}
    found = []
    for record in made.records(made.topics.content):
        for each in [] if record.key in OWN_KEYS else content.unpack(record.value).vectors:
            known = first.setdefault((record.key.decode(), each.encoder_version, each.content), each.vector)
            found += [record.key.decode()] if known != each.vector else []
    return found


def test_lists_change_over_to_another_encoder_and_back_whoever_is_killed(
    made: Deployment, tmp_path: Path
) -> None:
    events = count()

    def load() -> bool:
        for number in range(20):
            event = made.next_event(f"u{next(events) % 50}", f"i{number}")
            made.producer.send(
                made.topics.events.name, msgspec.json.encode(event), f"web:{event['user']}".encode()
            )
        return True

    workers, embedding = [made.process(), made.process()], made.process("embed-worker")
    with made.running(workers[0]), made.running(workers[1]), made.running(embedding):
        old = wait(lambda: used(made), "a version that names an encoder")
        wait(lambda: load() and settled(made, old), "all items to be read")
        new = refresh(made.settings, str(bert(tmp_path / "new", seed=1)), 0.9).version
        workers[0].kill()
        embedding.kill()
        made.item("i1", title="war film")
        made.item("later", title="babe story")
        for process in (workers[0], embedding):
            with environment(made.variables(process)):
                process.start()
            made.ready(process)
        wait(lambda: load() and settled(made, new), "lists to change over to the new encoder")
        assert look(made.settings).items == ITEMS + 1
        rows = rows_of(made)
        assert {each.encoder_version for each in rows["later"].vectors} == {old, new}
        assert all(rows["i1"].is_read_by(version) for version in (old, new))
        first = next(each for each in made.records(made.topics.texts_again) if each.key != b"later")
        assert first.key.decode() in {f"i{number}" for number in range(20)}
        use(made.settings, old)
        wait(lambda: load() and settled(made, old), "lists to change back")
        made.item("last", title="toy story")
        wait(lambda: "last" in (rows := rows_of(made)) and len(rows["last"].vectors) == 2, "the last item")
        report = audit(made.settings, wait_seconds=60.0)
    assert report.differences == []
    assert written_twice(made) == []
    answers = [embedding_decoder.decode(each.value) for each in made.records(made.topics.embeddings)]
    assert len(answers) < 3 * (ITEMS + 10), "little is encoded twice"
