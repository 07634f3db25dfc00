"""An evaluation computes exactly the lists that workers write to Redis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import pytest

from afresh.deploy.demo.scrape import Page
from afresh.deploy.demo.workers import variables
from afresh.deploy.ledger.served import read_ages
from afresh.deploy.ledger.settling import settle
from afresh.deploy.servers.kafka import REPOSITORY
from afresh.state.lists import UserList
from afresh.streams.serving.recommend import REFRESH_SECONDS
from afresh.streams.settings import Settings
from tests.deploy.evaluate.making import START_MS, event, write
from tests.kafka.deployment import Deployment, deployment, learned

SETTLED_SECONDS = 120.0

QUIET_SECONDS = REFRESH_SECONDS + 0.5
"""Time without a change after which the lists are final: a sweep comes once in ``REFRESH_SECONDS``."""

USERS = ("ann", "bob", "cid")

WORDS = ("a murder in the city", "two lovers in Paris", "a ship lost in space")

TOO_OLD = 5
"""Time of the event that ingest refuses, in ms."""

LATE = "i17"
"""Id of the item that arrives in the middle of the log."""


def catalogue() -> list[dict[str, Any]]:
    """Make items of two domains. They are so few that an evaluation, too, derives before every event."""
    made: list[dict[str, Any]] = [
        {
            "id": f"i{number}",
            "domain": "films" if number < 12 else "books",
            "title": f"Story {number}",
            "text": WORDS[number % 3],
        }
        for number in range(17)
    ]
    return [*made, {"id": LATE, "domain": "books", "title": "Late", "text": "", "time": START_MS + 900_000}]


def events() -> list[dict[str, Any]]:
    """Make events of users who take one story after the other; one is sent twice, one is refused, two take nothing."""
    made = []
    for number in range(28):
        item = (7 * (number // 3) + number) % 17
        domain = "films" if item < 12 else "books"
        kind = "impression" if number == 9 else "dislike" if number == 18 else "view"
        made.append(event(number, USERS[number % 3], f"i{item}", domain=domain, type=kind))
    made[24]["item"], made[24]["domain"] = LATE, "books"
    made.insert(15, made[14])
    made.insert(12, event(100, "bob", "i1", time=TOO_OLD))
    return made


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    # With one partition, its fusion takes a step. With one text at a time, embeddings are bit for bit the same: a
    # batch would change their last bits.
    alone = {"encoder": "minilm", "encoder_batch": 1, "encoder_batch_tokens": 1}
    changed = alone | {"partitions": 1, "list_refresh_seconds": 0.1}
    with deployment(settings.model_copy(update=changed), tmp_path) as opened:
        yield opened


class Player:
    """Plays a log into a deployment, one event at a time; before each event every stage has caught up."""

    def __init__(self, made: Deployment, page: Page) -> None:
        self._made = made
        self._page = page
        self._announced = 0
        self._sent: list[dict[str, Any]] = []

    def play(self) -> dict[str, UserList | None]:
        """Play the log; return, by event id, the list in Redis just before the event was first sent."""
        found: dict[str, UserList | None] = {}
        for each in events():
            self._announce(each["time"])
            self._settle()
            found.setdefault(each["id"], self._made.list_of(each["user"]))
            self._made.send(self._made.topics.events, f"web:{each['user']}", each)
            self._sent.append(each)
        return found

    def _announce(self, now: int) -> None:
        due = [item for item in catalogue() if item.get("time", 0) <= now]
        for item in due[self._announced :]:
            self._made.send(self._made.topics.items, item["id"], item)
        self._announced = len(due)

    def _settle(self) -> None:
        settled, behind = settle(self._look, QUIET_SECONDS, SETTLED_SECONDS, sleep=lambda _: time.sleep(0.25))
        assert settled is not None, f"{behind} records wait"

    def _look(self) -> tuple[int, Hashable]:
        """Return the number of waiting records, and a value that changes while anything else is at work."""
        readings = self._page.read()
        read = readings.total("afresh_events_total")
        taken = {each["id"] for each in self._sent if each["type"] == "view" and each["time"] > TOO_OLD}
        embedded = readings.total("afresh_catalogue_embedded_items")
        behind = len(self._sent) - read, len(taken) - learned(readings), self._announced - embedded
        derived = readings.total("afresh_stage_seconds_count", stage="derive")
        return sum(behind), (derived, *read_ages(self._made.redis, self._made.settings.namespace).items())


def evaluated(made: Deployment, folder: Path) -> list[dict[str, Any]]:
    """Run ``afresh evaluate`` on the same log, and return the lines of its lists."""
    file = folder / "lists.jsonl"
    inputs = [
        "--events",
        write(folder / "events.jsonl", events()),
        "--items",
        write(folder / "items.jsonl", catalogue()),
    ]
    subprocess.run(
        [sys.executable, "-m", "afresh.deploy.cli", "evaluate", *inputs, "--from", "0", "--lists", str(file)],
        env=os.environ
        | {"PYTHONPATH": str(REPOSITORY / ".src"), "XDG_CACHE_HOME": str(folder / "cache")}
        | variables(made.settings),
        check=True,
    )
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.timeout(900)
def test_workers_that_have_caught_up_serve_the_same_lists_as_an_evaluation(
    made: Deployment, tmp_path: Path
) -> None:
    with made.running(made.process()) as page, made.running(made.process("embed-worker")):
        stood = Player(made, page).play()
    lines = evaluated(made, tmp_path)
    assert len(lines) == 26
    known: set[str] = set()
    for line in lines:
        before = stood[line["id"]]
        if line["user"] in known:
            assert before is not None
            assert [item.id for item in before.items] == line["items"], line["id"]
            assert [item.score for item in before.items] == line["scores"], line["id"]
        else:
            assert before is None, "a user without an event has no list, and reads the popular one"
        known.add(line["user"])
