"""Files of Windows tools and odd records of other clients: what is harmless counts, what is not says why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from afresh.deploy.cli import app
from afresh.deploy.demo.workers import variables
from afresh.deploy.ledger import audit
from afresh.streams.settings import Settings
from tests.kafka.deployment import NOW_MS, Deployment, accepted, deployment, wait

BOM = b"\xef\xbb\xbf"

TAKEN: dict[str, dict[str, Any]] = {
    "plain": {},
    "time as a float": {"time": float(NOW_MS)},
    "time with an exponent": {"time": 1.7e12},
    "leap second": {"time": "2016-12-31T23:59:60Z"},
    "null in the context": {"context": {"a": None}},
    "empty session": {"session": ""},
    "value as a text": {"value": "7"},
    "user as a number": {"user": 7},
}
"""Fields of events that are taken in, by the id of the event."""

REFUSED: dict[str, tuple[Any, str]] = {
    "seconds": (NOW_MS // 1000, "looks like seconds; send milliseconds"),
    "microseconds": (NOW_MS * 1000, "looks like microseconds; send milliseconds"),
    "digits": (str(NOW_MS), "string of digits that looks like milliseconds; send milliseconds"),
}
"""Times of events that are refused, and the hint in the dead letter."""

DROPPED = {"context": 1, "session": 1, "value": 1, "title": 1, "attributes": 1}


@pytest.fixture
def embedded(embedded_settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(embedded_settings, tmp_path) as opened:
        yield opened


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(settings.model_copy(update={"list_refresh_seconds": 0.5}), tmp_path) as opened:
        yield opened


def line(name: str, **fields: Any) -> bytes:
    event = {"id": name, "type": "view", "time": NOW_MS, "user": "ann", "item": "alien", "platform": "web"}
    return json.dumps(event | {"domain": "films"} | fields).encode()


def afresh(made: Deployment, *arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), env=variables(made.settings))
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_byte_order_mark_costs_no_item_and_no_event(embedded: Deployment, tmp_path: Path) -> None:
    items = [json.dumps({"id": name, "domain": "films"}).encode() for name in ("alien", "babe")]
    events = [line("e1"), line("e2")]
    files = {"items": tmp_path / "items.jsonl", "replay": tmp_path / "events.jsonl"}
    files["items"].write_bytes(BOM + b"\r\n".join(items))
    files["replay"].write_bytes(BOM + b"\r\n".join(events))
    for command, noun in (("items", "items"), ("replay", "events")):
        said = afresh(embedded, command, str(files[command]))
        assert said.startswith(f"sent 2 {noun} in")
        assert said.endswith("/s)\n"), "nothing is malformed or left out"
    assert sorted(each.value for each in embedded.records(embedded.topics.items)) == items
    found = embedded.records(embedded.topics.events)
    assert [(each.key, each.value) for each in found] == [(b"web:ann", event) for event in events]


def test_odd_records_of_another_client_count_and_refused_ones_say_why(
    made: Deployment, tmp_path: Path
) -> None:
    stranger = Producer({"bootstrap.servers": made.settings.kafka})
    lines = [line(name, **fields) for name, fields in TAKEN.items()]
    lines += [BOM + line("mark"), *(line(name, time=time) for name, (time, _) in REFUSED.items())]
    odd: dict[str, dict[str, Any]] = {"alien": {"title": None}, "babe": {"title": ["Babe"]}, "7": {"id": 7}}
    odd["babe"] |= {"attributes": {"year": 1995, "age": None}, "available": "true"}
    for name, fields in odd.items():
        item = json.dumps({"id": name, "domain": "films"} | fields)
        stranger.produce(made.topics.items.name, item, name)
    for each in lines:
        stranger.produce(made.topics.events.name, each, "web:ann")
    assert stranger.flush(30) == 0
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(lines))

    with made.running(made.process()) as page:
        wait(lambda: accepted(page) == len(TAKEN) + 1, "the odd events to be taken in", 40)
        wait(lambda: page.read().total("afresh_catalogue_items") == 3, "the odd items to be known")
        report = audit(made.settings, events=str(tmp_path / "events.jsonl"), wait_seconds=60)
        assert not report.differences
        assert report.events.accepted == len(TAKEN) + 1
        assert page.read().by("afresh_fields_dropped_total", "field") == DROPPED
        letters = made.records(made.topics.dead_letters)
    said = {json.loads(each.value)["id"]: dict(each.headers)["detail"].decode() for each in letters}
    assert said.keys() == REFUSED.keys()
    for name, (_, hint) in REFUSED.items():
        assert hint in said[name]
    assert made.list_of("7") is not None
